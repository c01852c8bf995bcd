-- Extends the time to live of topics. KEYS: their streams and members. ARGV: the time.
for _, key in ipairs(KEYS) do
    redis.call('PEXPIRE', key, ARGV[1])
end
return 1
