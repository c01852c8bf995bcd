-- Reads a topic. KEYS: the stream, the members, the leases of processes. ARGV: the time to live, the most messages and bytes,
-- and the position that the process has, or ''. Returns the last position, the time, the number of messages, for each its
-- position, time and JSON, beginning with the last one, and then the members.
local key, members, leases = KEYS[1], KEYS[2], KEYS[3]
local ttl, limit, limit_bytes = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = now_millis()
local last = last_of(key) or begin(key, 0)
local epoch, number = parse(last)
local from = format(epoch, 0)
if ARGV[4] ~= '' then
    local known_epoch, known_number = parse(ARGV[4])
    if known_epoch > epoch or (known_epoch == epoch and known_number > number) then
        -- The server has lost messages: a different message with a reused position must not be treated as the first.
        last = begin(key, known_epoch)
        from = last
    elseif known_epoch == epoch then
        from = ARGV[4]
    end
end
if select(2, parse(last)) == 0 then
    -- A topic without a message is short-lived until a process refreshes it: clients may have invented its key.
    redis.call('PEXPIRE', key, 60000, 'NX')
    redis.call('PEXPIRE', key, 60000, 'GT')
else
    redis.call('PEXPIRE', key, ttl)
end
redis.call('PEXPIRE', members, ttl)

local reply, count, bytes = { last, string.format('%.0f', now), 0 }, 0, 0
if limit ~= '0' then
    for _, entry in ipairs(redis.call('XREVRANGE', key, '+', '(' .. from, 'COUNT', limit)) do
        local fields = entry[2]
        bytes = bytes + #fields[6]
        if bytes > limit_bytes then
            break
        end
        count = count + 1
        reply[#reply + 1] = entry[1]
        reply[#reply + 1] = fields[4]
        reply[#reply + 1] = fields[6]
    end
end
reply[3] = tostring(count)

local live = live_processes(leases)
for _, member in ipairs(redis.call('SMEMBERS', members)) do
    if live[string.match(member, '^%d+')] then
        reply[#reply + 1] = member
    else
        redis.call('SREM', members, member)
    end
end
return reply
