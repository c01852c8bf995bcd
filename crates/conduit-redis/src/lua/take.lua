-- Takes a request from a budget. KEYS: the budget. ARGV: the interval, the tolerance and the longest lead in microseconds.
-- Returns the time by which the arrival time is ahead, as text: numbers of Lua have 53 bits.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrival = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
if arrival > now + ARGV[3] then
    -- The clock was set back.
    arrival = now + ARGV[2] - ARGV[1]
end
local ahead = math.max(arrival, now) + ARGV[1] - now
if ahead <= tonumber(ARGV[2]) then
    local lifetime = string.format('%.0f', math.ceil(ahead / 1000) + 1)
    redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', lifetime)
end
return string.format('%.0f', ahead)
