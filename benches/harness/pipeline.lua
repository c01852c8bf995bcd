-- Sends a number of requests at once: the argument after `--`.
require "report"

local batch

function init(args)
   batch = string.rep(wrk.format(), tonumber(args[1]))
end

function request()
   return batch
end
