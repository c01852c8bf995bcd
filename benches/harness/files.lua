-- Requests the paths after `--` in turn.
require "report"

local requests, next = {}, 0

function init(args)
   for index, path in ipairs(args) do
      requests[index] = wrk.format(nil, path)
   end
end

function request()
   next = next % #requests + 1
   return requests[next]
end
