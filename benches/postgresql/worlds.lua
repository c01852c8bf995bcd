-- Requests rows of the table `worlds` in the same order in each run.
require "report"

local requests = {}

function init()
   math.randomseed(42)
   for id = 1, 10000 do
      requests[id] = wrk.format("GET", "/worlds/" .. id)
   end
end

function request()
   return requests[math.random(10000)]
end
