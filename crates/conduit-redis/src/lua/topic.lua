-- Functions for the streams of topics. The identity of an entry is the position of its message: the epoch of the topic, and
-- the number of the message.
local function now_millis()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
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
