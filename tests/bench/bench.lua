-- What the workloads share: time(name, f, o) prints a line for run.lua,
--   name <tab> seconds of one call <tab> limit <tab> its amount
-- limit is a key of o, that of limits.c which applies: flops counts f's floating
-- point operations; bytes the bytes that must move, as in Adam; triad those of
-- a*b+c; reads and rereads those that are read, of many and of what nearly fits
-- the caches. o.scale is how much of the unit of work one call does.

local sd = require "saddle"
local bench = {}

local samples = tonumber(os.getenv "BENCH_SAMPLES") or 3
local target = tonumber(os.getenv "BENCH_SECONDS") or 0.2

local function run(f, n)
  local start = sd.clock()
  for _ = 1, n do f() end
  return (sd.clock() - start) / n
end

function bench.time(name, f, o)
  o = o or {}
  local once = run(f, 1)
  if once < 1 then once = run(f, 2) end
  if once < 0.01 then once = run(f, math.max(1, math.floor(0.02 / once))) end
  local n = math.max(1, math.floor(target / once))
  local list = {}
  -- What takes seconds is timed once: the rounds repeat it.
  for i = 1, once < 1 and samples or 1 do
    list[i] = run(f, n) / (o.scale or 1)
  end
  table.sort(list)
  local kind
  for _, k in ipairs { "flops", "bytes", "triad", "reads", "rereads" } do
    if o[k] then kind = k end
  end
  print(("%s\t%.9g\t%s\t%.9g"):format(
    name, list[(#list + 1) // 2], kind or "-",
    (kind and o[kind] or 0) / (o.scale or 1)))
  io.stdout:flush()
end

return bench
