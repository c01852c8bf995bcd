-- Publishes messages. KEYS: the stream of each, which is the channel, too. ARGV: the time to live, the most messages of a
-- history, and of each message 1 for another attempt, its token and its JSON. Returns a position or an error for each.
local ttl, limit = ARGV[1], ARGV[2]

-- The identity of a message that an earlier attempt has published.
local function find(key, token)
    for _, entry in ipairs(redis.call('XREVRANGE', key, '+', '-', 'COUNT', 10000)) do
        if entry[2][2] == token then
            return entry[1]
        end
    end
end

local function publish(key, is_retry, token, json)
    local id = is_retry == '1' and find(key, token)
    if not id then
        local epoch, number = parse(last_of(key) or begin(key, 0))
        id = format(epoch, number + 1)
        local about = limit == '0' and '=' or '~'
        local added = redis.pcall('XADD', key, 'MAXLEN', about, limit, id,
            'k', token, 't', string.format('%.0f', now_millis()), 'm', json)
        if type(added) == 'table' and added.err then
            return added.err
        end
        redis.call('PUBLISH', key, 'm' .. id .. ' ' .. json)
    end
    redis.call('PEXPIRE', key, ttl)
    return id
end

local results = {}
for at, key in ipairs(KEYS) do
    local first = 3 * at
    -- An error of one topic, such as a key of another type, leaves the messages of others alone.
    results[at] = outcome(pcall(publish, key, ARGV[first], ARGV[first + 1], ARGV[first + 2]))
end
return results
