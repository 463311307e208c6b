-- Problems to try optimizers and studies of landscapes on, in f64, with what
-- is known of them.
--
-- A problem has
--   name     as in sd.problems
--   f        f(params): the objective; where there is a `batch`,
--            f(params, batch(t)) is what step t, from 1, sees of it
--   start    parameters to begin at (a vector, or a tree)
--   dim      their number
--   minima, saddles, maxima
--            lists of { at =, loss =, index = (negative eigenvalues),
--            degenerate = true (a singular Hessian there), kink = true (no
--            derivative there) }; the global minima first, and not all of the
--            others unless said
--   optimum  the least loss
--   domain   { from, to } of each coordinate, where the function is studied
--
-- and is called with options to make another: sd.problems.rosenbrock{
-- dim = 10 }.

local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

---@class saddle.Problem
---@field name string
---@field f fun(params: any, ...): userdata
---@field start any
---@field dim integer
local Problem = { __name = "problem" }

local optional = {}
for _, key in ipairs { "minima", "saddles", "maxima", "optimum", "domain",
                       "batch", "project", "eigenvalues", "accuracy",
                       "condition", "step", "name", "f", "start", "dim" } do
  optional[key] = true
end
Problem.__index = module.fields("the problem", {}, optional)

-- name -> { options (as for check_options), make(o) -> fields }.
local rows = {}
local problems = {}

local function make(name, o)
  local row = rows[name]
  o = sd.check_options(o, row.options, "problems." .. name)
  local p = row.make(o, "problems." .. name)
  p.name = name
  p.dim = p.dim or sd.is_tensor(p.start) and p.start:numel() or
          sd.tree.numel(p.start)
  return setmetatable(p, Problem)
end

function Problem:__call(o) return make(self.name, o) end

function Problem:__tostring()
  local words = ("problem %s of %d parameters"):format(self.name, self.dim)
  if self.optimum then
    words = ("%s, least loss %.6g"):format(words, self.optimum)
  end
  return words
end

local function names()
  local list = {}
  for name in pairs(rows) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- The names of all problems, sorted; of those of one kind ("plane": two
--- variables, "space": any number of them, "noisy": stochastic ones, "net")
--- when one is named.
---
--- ```lua
--- for _, name in ipairs(sd.problems.list "plane") do
---   print(sd.problems[name])
--- end
--- ```
---@param kind? string
---@return string[]
function problems.list(kind)
  local kinds, list = {}, {}
  for _, name in ipairs(names()) do
    kinds[rows[name].kind] = true
    if kind == nil or rows[name].kind == kind then list[#list + 1] = name end
  end
  if kind ~= nil and not kinds[kind] then
    fail("problems.list: no kind '%s' (there are plane, space, noisy, net)",
         tostring(kind))
  end
  return list
end

for _, kind in ipairs { "plane", "space", "noisy", "net" } do
  local function define(name, options, f)
    rows[name] = { kind = kind, options = options, make = f }
  end
  require("saddle.problems." .. kind)(define)
end

return setmetatable(problems, { __index = function(_, name)
  if not rows[name] then
    fail("sd.problems has no '%s'%s", tostring(name),
         module.hint(name, names()))
  end
  local p = make(name)
  rawset(problems, name, p)
  return p
end })
