-- Sends as many requests at once as the argument after `--` says.
require "report"

local batch

function init(args)
   batch = string.rep(wrk.format(), tonumber(args[1]))
end

function request()
   return batch
end
