-- The table that `require "saddle"` returns. Modules load when first used,
-- so that a script which needs little starts fast.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"

local sd = { version = "0.1.0" }

local modules = {
  nn = "saddle.nn", optim = "saddle.optim", curvature = "saddle.curvature",
  critical = "saddle.critical", sensitivity = "saddle.sensitivity",
  landscape = "saddle.landscape", schedule = "saddle.schedule",
  problems = "saddle.problems", dynamics = "saddle.dynamics",
  data = "saddle.data", plot = "saddle.plot", tree = "saddle.tree",
}

-- Functions that live in a module of their own: name -> module.
local functions = {
  save = "saddle.files", load = "saddle.files",
  report = "saddle.report", help = "saddle.help",
}

local function lookup(_, key)
  if modules[key] then
    local m = require(modules[key])
    rawset(sd, key, m)
    return m
  elseif functions[key] then
    local m = require(functions[key])
    local f = type(m) == "table" and m[key] or m
    rawset(sd, key, f)
    return f
  end
  local known = {}
  for k in pairs(sd) do known[#known + 1] = k end
  for k in pairs(modules) do known[#known + 1] = k end
  for k in pairs(functions) do known[#known + 1] = k end
  fail("sd has no field '%s'%s", tostring(key), module.hint(key, known))
end

local methods = core.methods

-- Every op is a function and a method; "linalg.solve" lives in sd.linalg.
sd.linalg = {}
for name, f in pairs(core.ops) do
  local inner = name:match "^linalg%.(.*)"
  if inner then
    sd.linalg[inner] = f
  elseif not name:find "_$" then
    sd[name] = f
    methods[name] = f
  end
end

module.strict("sd.linalg", sd.linalg)

sd.tensor, sd.generator, sd.seed = core.tensor, core.generator, core.seed
sd.default_dtype, sd.deterministic = core.default_dtype, core.deterministic
sd.threads, sd.memory, sd.clock = core.threads, core.memory, core.clock
methods.detach = core.stop_gradient

--- A tensor, or a tree of them, that derivatives take for constant.
function sd.stop_gradient(x)
  if type(x) ~= "table" then return core.stop_gradient(x) end
  return sd.tree.map(core.stop_gradient, x)
end

--- Computes all pending tensors of any trees at once.
function sd.eval(...)
  local all = {}
  for i = 1, select("#", ...) do
    for _, x in ipairs((core.leaves((select(i, ...)), false))) do
      all[#all + 1] = x
    end
  end
  core.eval(all)
  return ...
end

sd.is_tensor = core.is_tensor

require "saddle.tensor" (sd, methods, core)
require "saddle.print" (sd, core)
require "saddle.transform" (sd, core)

debug.getregistry()["saddle.nearest"] = function(key, known)
  local names = { "shape", "ndim", "dtype" }
  for k in pairs(known) do names[#names + 1] = k end
  return module.hint(key, names)
end

return setmetatable(sd, { __index = lookup })
