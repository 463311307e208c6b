-- Jobs side by side in processes of their own, where the host has them;
-- otherwise (a sandbox, a stock lua5.4, one worker) one after another here.

local core = require "saddle.core"
local fail = require "saddle.fail"

local function pack(list, i)
  for k, v in ipairs(list) do
    if type(v) ~= "number" then
      fail("parallel: job %d: entry %d is a %s, not a number", i, k, type(v))
    end
  end
  return ("d"):rep(#list):pack(table.unpack(list))
end

local function unpack(bytes)
  local n = #bytes // 8
  local list = table.pack(("d"):rep(n):unpack(bytes))
  list[n + 1], list.n = nil, nil
  return list
end

--- The lists of numbers f(1) ... f(n), computed by `workers` processes. An
--- error in one is an error here.
---@param n integer
---@param workers integer
---@param f fun(i: integer): number[]
---@return number[][]
return function(n, workers, f)
  local results = {}
  if not core.parallel or workers == 1 or n == 1 then
    for i = 1, n do results[i] = unpack(pack(f(i), i)) end
    return results
  end
  local function job(i) return pack(f(i), i) end
  for i, r in ipairs(core.parallel(n, math.min(workers, n), job)) do
    if not r[1] then error(r[2], 0) end
    results[i] = unpack(r[2])
  end
  return results
end
