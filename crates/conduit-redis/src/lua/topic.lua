-- Functions that the scripts of topics share. The identity of an entry in a stream is the position of its message: the epoch
-- of the topic, and the number of the message.
local function now_millis()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The set of the processes with a lease.
local function live_processes(leases)
    local live = {}
    for _, process in ipairs(redis.call('ZRANGEBYSCORE', leases, string.format('%.0f', now_millis()), '+inf')) do
        live[process] = true
    end
    return live
end

-- The result of a protected call, or its error as text.
local function outcome(is_done, result)
    return is_done and result or (type(result) == 'table' and result.err or tostring(result))
end

local function parse(id)
    local epoch, number = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(epoch), tonumber(number)
end

local function format(epoch, number)
    return string.format('%.0f-%.0f', epoch, number)
end

-- The last identity of a stream; nil if it does not exist.
local function last_of(key)
    local info = redis.pcall('XINFO', 'STREAM', key)
    if info.err then
        return nil
    end
    for at = 1, #info, 2 do
        if info[at] == 'last-generated-id' then
            return info[at + 1]
        end
    end
end

-- Begins a new epoch after another one. Earlier messages stay in the stream.
local function begin(key, after)
    local id = format(math.max(now_millis(), after + 1), 0)
    redis.call('XADD', key, id, 'b', '')
    redis.call('XDEL', key, id)
    return id
end
