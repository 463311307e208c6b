-- Every op that the library lists, on its own sample arguments: derivatives
-- against central differences to second order, odd layouts, f32 against
-- f64, vmap against a loop, jit against eager.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, core, tap = common.sd, common.core, common.tap
local unpack = table.unpack

-- Ops that must look at values, so neither vmap nor jit can trace them.
local looks = { unique = true, histogram = true }
-- Ops whose draws differ from call to call.
local random = { rand = true, randn = true, randint = true, randperm = true }

local function find(name)
  local inner = name:match "^linalg%.(.*)"
  if inner then return sd.linalg[inner] end
  return name:find "_$" and core.ops[name] or sd[name]
end

local function is_symmetric(x)
  local n = x.ndim
  return n >= 2 and x:size(n) == x:size(n - 1) and x:size(n) > 1 and
         common.distance(x, x:T()) == 0
end

-- One sample: the arguments, their tensors, and f of replaced tensors.
local function read(name, line)
  local env = setmetatable(common.makers(3), { __index = { sd = sd } })
  local make = assert(load("return table.pack(" .. line .. ")", line, "t",
                           setmetatable({ table = table }, { __index = env })))
  local args = make()
  local op, list = find(name), core.leaves(args, false)
  local s = { name = name, list = list, floats = {}, symmetric = {} }
  for k, x in ipairs(list) do
    if common.is_float(x) then s.floats[#s.floats + 1] = k end
    s.symmetric[k] = common.is_float(x) and is_symmetric(x)
  end
  function s.call(new)
    sd.seed(5)
    local mine = {}
    for k, x in ipairs(new) do
      mine[k] = s.symmetric[k] and (x + x:T()) / 2 or x
    end
    local full = core.rebuild(args, mine)
    return common.tensors(op(unpack(full, 1, args.n)))
  end
  return s
end

local function floats_of(list)
  local out = {}
  for _, x in ipairs(list) do
    if common.is_float(x) then out[#out + 1] = x end
  end
  return out
end

-- The float results as a function of the float arguments alone.
local function smooth(s)
  return function(xs)
    local new = table.move(s.list, 1, #s.list, 1, {})
    for j, k in ipairs(s.floats) do new[k] = xs[j] end
    return floats_of(s.call(new))
  end
end

local function float_inputs(s)
  local xs = {}
  for j, k in ipairs(s.floats) do xs[j] = s.list[k] end
  return xs
end

local function weights(y)
  return sd.arange(1, y:numel(), { dtype = "f64" }):cos()
         :reshape(y.shape):to(y.dtype)
end

-- A one-element result that weighs all float results.
local function weighed(s, list)
  local total
  for _, y in ipairs(floats_of(s.call(list))) do
    local t = (y * weights(y)):sum()
    total = total and total + t or t
  end
  return total
end

local function gradients(s, list)
  local f = function(xs)
    local new = table.move(list, 1, #list, 1, {})
    for j, k in ipairs(s.floats) do new[k] = xs[j] end
    return weighed(s, new)
  end
  local xs = {}
  for j, k in ipairs(s.floats) do xs[j] = list[k] end
  return sd.grad(f)(xs)
end

local function worst(a, b, floor)
  if #a ~= #b then return math.huge end
  local most = 0
  for i = 1, #a do
    if not common.same_shape(a[i], b[i]) or a[i].dtype ~= b[i].dtype then
      return math.huge
    end
    most = math.max(most, common.distance(a[i], b[i], floor))
  end
  return most
end

local function check(s, what, tolerance, f)
  local good, d = xpcall(f, function(e)
    return os.getenv "TRACEBACK" and debug.traceback(e) or e
  end)
  local name = ("%s(%s): %s"):format(s.name, s.line:gsub("\n", " "), what)
  if good and d <= tolerance then return tap.ok(true, name) end
  tap.ok(false, name .. ": " .. tostring(d))
end

-- ---- other layouts of the same values --------------------------------------

-- A row-major copy.
local function copy(x) return sd.eval(sd.stack({ x, x }, 1))[2] end

local layouts = {}
function layouts.transposed(x)
  if x.ndim < 2 then return x end
  return copy(x:transpose(1, -1)):transpose(1, -1)
end
function layouts.strided(x)
  return sd.eval(sd.stack({ x, x }, x.ndim + 1)):narrow(-1, 2, 1):squeeze(-1)
end
function layouts.reversed(x)
  return x.ndim > 0 and copy(x:flip()):flip() or x
end
local layout_names = { "transposed", "strided", "reversed" }

local function layout_checks(s, base)
  for _, how in ipairs(layout_names) do
    check(s, how .. " inputs", 1e-12, function()
      local new = {}
      for k, x in ipairs(s.list) do new[k] = layouts[how](x) end
      return worst(s.call(new), base)
    end)
  end
  check(s, "inputs repeated by expand", 1e-12, function()
    local views, copies = {}, {}
    for k, x in ipairs(s.list) do
      if x.ndim > 0 and x:size(1) > 0 and not s.symmetric[k] then
        views[k] = copy(x:narrow(1, 1, 1)):expand(x.shape)
        copies[k] = copy(views[k])
      else
        views[k], copies[k] = x, x
      end
    end
    return worst(s.call(views), s.call(copies))
  end)
end

-- Odd shapes either work or are refused in words.
local function survives(s, what, change)
  check(s, what, 0, function()
    local new = {}
    for k, x in ipairs(s.list) do new[k] = change(x) end
    local good, e = pcall(function()
      local y = s.call(new)
      sd.eval(y)
      if #s.floats > 0 and #floats_of(y) > 0 then
        sd.eval(gradients(s, new))
      end
    end)
    if not good and not tostring(e):find "%.lua:%d+: [%w_.]+:" and
       not tostring(e):find "%.lua:%d+: shapes" then
      error("unclear message: " .. tostring(e), 0)
    end
    return 0
  end)
end

local function shape_checks(s)
  survives(s, "empty first dims", function(x)
    return x.ndim > 0 and x:size(1) > 0 and x:narrow(1, 1, 0) or x
  end)
  survives(s, "empty last dims", function(x)
    return x.ndim > 0 and x:narrow(-1, 1, 0) or x
  end)
  survives(s, "0-d inputs", function(x)
    return x:numel() > 0 and x:reshape(-1):narrow(1, 1, 1):reshape {} or x
  end)
end

-- ---- dtypes ----------------------------------------------------------------

local function dtype_check(s, base)
  check(s, "f32 as f64", 1e-5, function()
    local new = {}
    for k, x in ipairs(s.list) do
      new[k] = common.is_float(x) and x:to "f32" or x
    end
    local y = s.call(new)
    for k, v in ipairs(y) do
      if s.name ~= "cast" and not s.name:find "^histogram" and
         common.is_float(base[k]) and v.dtype ~= "f32" then
        error("result " .. k .. " is " .. v.dtype)
      end
      y[k] = v:to(base[k].dtype)
    end
    return worst(y, base)
  end)
end

-- ---- vmap ------------------------------------------------------------------

local function variants(x, symmetric)
  if x.dtype == "bool" then return { x, x:logical_not(), x } end
  if not common.is_float(x) then
    if x.ndim == 0 then return { x, x, x } end
    return { x, sd.eval(x:roll(1)), sd.eval(x:roll(2)) }
  end
  if symmetric then return { x, x * 1.5, x * 0.75 } end
  return { x, x * 0.9, x * 1.07 }
end

local function stack_results(rows)
  local out = {}
  for i = 1, #rows[1] do
    local column = {}
    for j, row in ipairs(rows) do column[j] = row[i] end
    out[i] = sd.stack(column, 1)
  end
  return out
end

-- f(list) for three sets of arguments at once, and one after another. Those
-- with mapped[k] differ.
local function vmap_distance(s, f, mapped, last)
  local sets, batched, n = { {}, {}, {} }, {}, 0
  for k, x in ipairs(s.list) do
    local v = variants(x, s.symmetric[k])
    for j = 1, 3 do sets[j][k] = mapped[k] and v[j] or x end
    if mapped[k] then
      n = n + 1
      batched[n] = sd.stack(v, last and x.ndim + 1 or 1)
    end
  end
  local function one(xs)
    local new, at = {}, 0
    for k, x in ipairs(s.list) do
      if mapped[k] then at = at + 1 end
      new[k] = mapped[k] and xs[at] or x
    end
    return f(new)
  end
  local got = sd.vmap(one, last and -1 or 1)(batched)
  local rows = {}
  for j = 1, 3 do rows[j] = f(sets[j]) end
  return worst(got, stack_results(rows))
end

local function vmap_checks(s, differentiable)
  if #s.list == 0 or looks[s.name] then return end
  local sets = {}
  for k = 1, #s.list do sets[k] = { [k] = true } end
  if #s.list > 1 then
    local all = {}
    for k = 1, #s.list do all[k] = true end
    sets[#sets + 1] = all
  end
  for k, mapped in ipairs(sets) do
    local which = k <= #s.list and "argument " .. k or "all arguments"
    check(s, "vmap over " .. which, 1e-12, function()
      return vmap_distance(s, s.call, mapped)
    end)
    check(s, "vmap over the last dim of " .. which, 1e-12, function()
      return vmap_distance(s, s.call, mapped, true)
    end)
    if differentiable then
      check(s, "vmap of the gradient over " .. which, 1e-11, function()
        return vmap_distance(s, function(list) return gradients(s, list) end,
                             mapped)
      end)
    end
  end
end

-- ---- jit -------------------------------------------------------------------

local function jit_checks(s, base, differentiable)
  if looks[s.name] or #s.list == 0 then return end
  check(s, "jit", 1e-12, function()
    local f = sd.jit(s.call)
    return math.max(worst(f(s.list), base), worst(f(s.list), base))
  end)
  if differentiable then
    check(s, "jit of the gradient", 1e-12, function()
      local f = sd.jit(function(list) return gradients(s, list) end)
      f(s.list)
      return worst(f(s.list), gradients(s, s.list))
    end)
  end
end

-- ---- derivatives -----------------------------------------------------------

local function zero_check(s, base)
  if #s.floats == 0 or #floats_of(base) == 0 then return end
  check(s, "derivative exactly 0", 0, function()
    local most = 0
    for _, g in ipairs(gradients(s, s.list)) do
      most = math.max(most, g:abs():sum():item())
    end
    local xs = float_inputs(s)
    local _, dy = sd.jvp(smooth(s), { xs }, { sd.tree.map(sd.ones_like, xs) })
    for _, t in ipairs(dy) do most = math.max(most, t:abs():sum():item()) end
    return most
  end)
end

local function derivative_check(s)
  check(s, "derivatives to second order", 2e-6, function()
    return select(2, sd.check_grad(smooth(s), float_inputs(s),
                                   { tolerance = 2e-6 }))
  end)
end

-- Tangents of f32 that go through a cast to f64 into the op.
local function cast_check(s)
  local f, low, high, t32, t64 = smooth(s), {}, {}, {}, {}
  for j, x in ipairs(float_inputs(s)) do
    low[j] = sd.eval(x:to "f32")
    high[j] = sd.eval(low[j]:to(x.dtype))
    t32[j] = sd.eval(weights(low[j]))
    t64[j] = sd.eval(t32[j]:to(x.dtype))
  end
  check(s, "tangents through a cast", 1e-13, function()
    local _, want = sd.jvp(f, { high }, { t64 })
    local _, got = sd.jvp(function(list)
      local wide = {}
      for j, x in ipairs(list) do wide[j] = x:to(high[j].dtype) end
      return f(wide)
    end, { low }, { t32 })
    return worst(got, want)
  end)
end

local function check_sample(name, entry, line)
  local good, s = pcall(read, name, line)
  if not good then return tap.ok(false, name .. "(" .. line .. "): " .. s) end
  s.line = line
  local base
  check(s, "evaluates", 0, function()
    base = s.call(s.list)
    sd.eval(base)
    return #base > 0 and 0 or math.huge
  end)
  if not base or random[name] then return end
  local differentiable = false
  if entry.zero_grad then
    zero_check(s, base)
  elseif #s.floats > 0 and #floats_of(base) > 0 and not looks[name] then
    differentiable = true
    derivative_check(s)
    cast_check(s)
  end
  layout_checks(s, base)
  shape_checks(s)
  dtype_check(s, base)
  vmap_checks(s, differentiable)
  jit_checks(s, base, differentiable)
end

local names = {}
for name in pairs(sd.about) do
  if not arg or not arg[1] or arg[1] == name then names[#names + 1] = name end
end
table.sort(names)
for _, name in ipairs(names) do
  local entry = sd.about[name]
  tap.ok(entry.samples and entry.samples:find "%S", name .. " has samples")
  for line in (entry.samples or ""):gmatch "[^\n]+" do
    check_sample(name, entry, line)
  end
end
tap.done()
