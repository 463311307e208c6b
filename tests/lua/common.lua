-- What the engine's tests share: the library, whichever program runs them,
-- and inputs and comparisons in f64.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
if not package.preload.saddle then
  package.cpath = here .. "/../../build/?.so;build/?.so;" .. package.cpath
end

local common = {}
common.sd = require "saddle"
common.core = require "saddle.core"
common.tap = require "tap"
local sd, core = common.sd, common.core

-- Threads that wait for each other slow down a machine that runs other
-- tests meanwhile; what needs several asks for them.
sd.threads(1)

--- The makers of inputs that the ops' sample lines are written with.
function common.makers(seed)
  local g = sd.generator(seed or 1)
  local o = { dtype = "f64", generator = g }
  local m = {}
  local function shape(t) return t or {} end
  function m.r(t) return sd.randn(shape(t), o) end
  function m.u(low, high, t)
    return low + (high - low) * sd.rand(shape(t), o)
  end
  function m.i(n, t) return sd.randint(1, n, shape(t), { generator = g }) end
  function m.s(n)
    local a = m.r { n, n }
    return (a:matmul(a:T()) / n + sd.eye(n, { dtype = "f64" }))
  end
  return m
end

--- The values of x in one flat table; booleans as 0 and 1.
function common.flat(x)
  local list = x:reshape(-1):totable()
  for i, v in ipairs(list) do
    if v == true then list[i] = 1 elseif v == false then list[i] = 0 end
  end
  return list
end

--- The largest difference of two tensors, relative to the larger of floor
--- (1) and the largest finite |b|; NaNs and infinities must agree.
function common.distance(a, b, floor)
  local x, y = common.flat(a), common.flat(b)
  if #x ~= #y then return math.huge end
  local scale, most = floor or 1, 0
  for i = 1, #y do
    local v = math.abs(y[i])
    if v > scale and v < math.huge then scale = v end
  end
  for i = 1, #x do
    local both_nan = x[i] ~= x[i] and y[i] ~= y[i]
    if x[i] ~= y[i] and not both_nan then
      local d = math.abs(x[i] - y[i]) / scale
      if d ~= d then d = math.huge end
      if d > most then most = d end
    end
  end
  return most
end

-- A test that got is within tol of want, and how near it is.
function common.near(got, want, tol, name)
  local d = common.distance(got, want)
  common.tap.ok(d <= tol, ("%s (%.1e)"):format(name, d))
end

function common.same_shape(a, b)
  return table.concat(a.shape, ",") == table.concat(b.shape, ",")
end

function common.is_float(x) return x.dtype == "f32" or x.dtype == "f64" end

--- The tensors of a list of any results, in order.
function common.tensors(...)
  local all = {}
  for i = 1, select("#", ...) do
    local v = (select(i, ...))
    if type(v) == "table" or core.is_tensor(v) then
      for _, x in ipairs((core.leaves(v, false))) do all[#all + 1] = x end
    end
  end
  return all
end

return common
