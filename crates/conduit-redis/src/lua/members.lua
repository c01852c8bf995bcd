-- Adds members, and removes others. KEYS: the leases of processes, and of each the members of its topic, and the channel.
-- ARGV: the time to live, the most members, and of each `+`, `-`, or `!` for one that is announced again, and the process with
-- the member. Returns 1 for each change that is done, 0 for a topic that is full, and an error as text.
local leases, ttl, limit = KEYS[1], ARGV[1], tonumber(ARGV[2])
local live
local purged = {}

-- Removes the members of processes without a lease, at most once for each topic.
local function purge(members, channel)
    if purged[members] then
        return
    end
    purged[members] = true
    live = live or live_processes(leases)
    for _, member in ipairs(redis.call('SMEMBERS', members)) do
        if not live[string.match(member, '^%d+')] then
            redis.call('SREM', members, member)
            redis.call('PUBLISH', channel, '-' .. member)
        end
    end
end

local function has_room(members, channel)
    if redis.call('SCARD', members) >= limit then
        purge(members, channel)
    end
    return redis.call('SCARD', members) < limit
end

local function apply(members, channel, change, member)
    if change == '-' then
        if redis.call('SREM', members, member) == 1 then
            redis.call('PUBLISH', channel, '-' .. member)
        end
        return '1'
    end
    if redis.call('SISMEMBER', members, member) == 0 and not has_room(members, channel) then
        return '0'
    end
    if redis.call('SADD', members, member) == 1 or change == '!' then
        redis.call('PUBLISH', channel, '+' .. member)
    end
    redis.call('PEXPIRE', members, ttl)
    return '1'
end

local results = {}
for at = 1, (#KEYS - 1) / 2 do
    results[at] = outcome(pcall(apply, KEYS[2 * at], KEYS[2 * at + 1], ARGV[2 * at + 1], ARGV[2 * at + 2]))
end
return results
