-- Renews the lease of a process. KEYS: the leases. ARGV: the process, the time of the lease. Returns whether it had ended, and
-- the processes that have one.
local now = now_millis()
local until_millis = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now))
local reply = redis.call('ZRANGE', KEYS[1], 0, -1)
table.insert(reply, 1, until_millis < now and '1' or '0')
return reply
