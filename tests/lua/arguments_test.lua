-- Whatever a script passes to whatever function: an answer, or an error in
-- words at the script's line; never a crash, never a hang. Answers are
-- computed, differentiated and mapped.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, core, tap = common.sd, common.core, common.tap
local f64 = { dtype = "f64" }
local pick = function(list, n) return list[math.random(n or #list)] end

-- Tensors first.
local makers = {
  function() return sd.randn(2, 3, f64) end,
  function() return sd.randn(3) end,
  function() return sd.tensor(1.5, f64) end,
  function() return sd.randn(0, 3) end,
  function() return sd.zeros(3, 0) end,
  function() return sd.randint(-3, 9, { 3 }) end,
  function() return sd.randint(1, 3, { 2, 3 }) end,
  function() return sd.tensor { true, false, true } end,
  function() return sd.randn(3, 3) end,
  function() return sd.randn(2, 3, 4, f64) end,
  function() return sd.randn(3, 2):T() end,
  function() return sd.ones(1):expand(5) end,
  function() return sd.randn(4, 4)[{ {}, { 4, 1, -1 } }] end,
  function() return sd.tensor { 0 / 0, 1 / 0, -1 / 0 } end,
  function() return sd.randn(1, 1, 1, 1, 1, 1) end,
}
local tensors = #makers
for _, v in ipairs { 0, 1, 2, 3, -1, 4, 65, 0.5, 0 / 0, 1 / 0, 1e300,
                     math.maxinteger, math.mininteger, true, false, "f64",
                     "x", print } do
  makers[#makers + 1] = function() return v end
end
for _, f in ipairs {
  function() return nil end,
  function() return {} end,
  function() return { 1, 2 } end,
  function() return { 2, 1 } end,
  function() return { -1 } end,
  function() return { 1, 1, 2, 2 } end,
  function() return { math.maxinteger } end,
  function() return { 1e18 } end,
  function() return { 0 / 0 } end,
  function() return { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } end,
  function() return { { 1, 2 }, { 3 } } end,
  function() return { { {} } } end,
  function() return { keepdim = true } end,
  function() return { dim = 1 } end,
  function() return { dtype = "i32" } end,
  function() return { reduction = "none" } end,
  function() return { sd.randn(2), sd.randn(2) } end,
  function() return { sd.randn(2, 3), 3 } end,
} do
  makers[#makers + 1] = f
end

-- Options with values of any kind.
local option_names = { "dim", "keepdim", "dtype", "reduction", "correction",
  "unbiased", "p", "weight", "ignore_index", "label_smoothing", "bins",
  "range", "largest", "beta", "alpha", "approximate", "negative_slope",
  "interpolation", "delta", "nan", "posinf", "margin", "descending",
  "generator", "seed", "threshold", "log_target", "pos_weight" }
local values = #makers
makers[#makers + 1] = function()
  return { [pick(option_names)] = pick(makers, values)() }
end
for _ = 1, 6 do makers[#makers + 1] = makers[#makers] end

local names = { "eye", "linspace", "tensor", "meshgrid", "einsum",
                "rand_like", "stop_gradient", "view", "T", "size", "item",
                "totable", "numel" }
for name in pairs(sd.about) do names[#names + 1] = name end
table.sort(names)

local function find(name)
  local inner = name:match "^linalg%.(.*)"
  if inner then return sd.linalg[inner] end
  return name:find "_$" and core.ops[name] or rawget(sd, name) or
         core.methods[name]
end

local function describe(name, args)
  local words = {}
  for i = 1, args.n do
    local a = args[i]
    words[i] = core.is_tensor(a) and a.dtype .. "{" ..
               table.concat(a.shape, ", ") .. "}" or
               type(a) == "table" and "{" .. tostring(a[1]) .. "..}" or
               tostring(a)
  end
  return ("%s(%s)"):format(name, table.concat(words, ", "))
end

-- The gradient has x's shape; vmap computes or refuses.
local function derive(f, args)
  local x = args[1]
  if not core.is_tensor(x) or not common.is_float(x) then return true end
  local function at(z)
    local new = table.move(args, 2, args.n, 2, { z })
    return f(table.unpack(new, 1, args.n))
  end
  local good, g = pcall(function()
    return sd.eval(sd.grad(function(z) return at(z):to("f64"):sum() end)(x))
  end)
  pcall(function()
    sd.eval((sd.vmap(function(z) return (at(z)) end)(sd.stack({ x, x }, 1))))
  end)
  return not good or common.same_shape(g, x)
end

local function attempt(name)
  local f, args = find(name), { n = math.random(1, 5) }
  for i = 1, args.n do
    local first = i == 1 and math.random() < 0.9
    args[i] = pick(makers, first and tensors or nil)()
  end
  local good, e = pcall(function()
    local r = table.pack(f(table.unpack(args, 1, args.n)))
    for i = 1, r.n do
      if type(r[i]) == "table" or core.is_tensor(r[i]) then sd.eval(r[i]) end
    end
  end)
  if good then return derive(f, args), describe(name, args) .. ": gradient" end
  local clear = type(e) == "string" and e:find "%.lua:%d+: " and
                not e:find "attempt to" and not e:find "bad argument"
  return clear, describe(name, args) .. ": " .. tostring(e)
end

sd.memory(2 << 30)
for seed = 1, 8 do
  math.randomseed(seed)
  sd.seed(seed)
  local wrong
  for _ = 1, 2500 do
    local good, what = attempt(pick(names))
    if not good then wrong = wrong or what end
  end
  tap.ok(not wrong, ("2500 calls with any arguments, seed %d%s"):format(
         seed, wrong and ": " .. wrong or ""))
end
sd.memory(0)
tap.done()
