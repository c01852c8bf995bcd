-- Adds members, and removes others. KEYS: of each the members of its topic, and the channel. ARGV: the time to live, the most
-- members, and of each `+`, `-`, or `!` for one that is announced again, and the process with the member.
-- Returns 0 for a topic that is full, else 1.
local ttl, limit = ARGV[1], tonumber(ARGV[2])
local results = {}
for at = 1, #KEYS / 2 do
    local members, channel = KEYS[2 * at - 1], KEYS[2 * at]
    local change, member = ARGV[2 * at + 1], ARGV[2 * at + 2]
    results[at] = 1
    if change == '-' then
        if redis.call('SREM', members, member) == 1 then
            redis.call('PUBLISH', channel, '-' .. member)
        end
    elseif redis.call('SISMEMBER', members, member) == 0 and redis.call('SCARD', members) >= limit then
        results[at] = 0
    else
        if redis.call('SADD', members, member) == 1 or change == '!' then
            redis.call('PUBLISH', channel, '+' .. member)
        end
        redis.call('PEXPIRE', members, ttl)
    end
end
return results
