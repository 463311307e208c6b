-- Is this rule right? Its faults, found by putting it through standard
-- problems and asking what every rule must do.

local core = require "saddle.core"
local fail = require "saddle.fail"
local sd = require "saddle.init"
local stepper = require "saddle.optim.stepper"
local trial = require "saddle.optim.trial"

local f64 = { dtype = "f64" }

local function bowl(p)
  local sum
  for _, x in ipairs((core.leaves(p, false))) do
    local part = (x * x):sum() / 2
    sum = sum and sum + part or part
  end
  return sum
end

local function tree(dtype)
  local o = { dtype = dtype, generator = sd.generator(1) }
  return { bias = sd.randn(3, o), scale = sd.randn({}, o),
           weight = sd.randn(4, 3, o) }
end

local function values(p)
  return (sd.tree.ravel(sd.is_tensor(p) and { p } or p)):to("f64"):totable()
end

local function distance(a, b)
  local x, y, most = values(a), values(b), 0
  for i, v in ipairs(x) do
    local d = math.abs(v - y[i])
    most = math.max(most, d == d and d or math.huge)
  end
  return most
end

local function is_finite(p)
  for _, v in ipairs(values(p)) do
    if v ~= v or math.abs(v) == math.huge then return false end
  end
  return true
end

local function state_size(opt)
  local n, shapes = 0, {}
  for i, x in ipairs((core.leaves(opt:state(), false))) do
    n, shapes[i] = n + x:numel(), table.concat(x.shape, " ")
  end
  return n, table.concat(shapes, ", ")
end

-- Whether the rule has a learning rate.
local function has_rate(make)
  return (pcall(make, { lr = 1e-3 }))
end

-- ---- what every rule must do: name -> function(make) -> fault or nothing ----

local laws = {}

laws[1] = { "steps", function(make)
  for _, dtype in ipairs { "f32", "f64" } do
    local p = tree(dtype)
    local q = make {}:step(bowl, p)
    for i, x in ipairs((core.leaves(q, false))) do
      if x.dtype ~= dtype then
        return ("%s parameters become %s"):format(dtype, x.dtype)
      end
      if not core.same_shape(x, core.leaves(p, false)[i]) then
        return "a parameter changes its shape"
      end
    end
  end
end }

laws[2] = { "parameters", function(make)
  local p = tree "f64"
  local before = values(p)
  make {}:step(bowl, p)
  for i, v in ipairs(values(p)) do
    if v ~= before[i] then return "the parameters given to it are changed" end
  end
end }

laws[3] = { "zero gradient", function(make)
  local p = make {}:step(function(q) return 0 * bowl(q) end, tree "f64")
  if not is_finite(p) then return "NaN or infinite after a gradient of 0" end
end }

laws[4] = { "small gradients", function(make)
  for _, size in ipairs { 1e-30, 1e-15 } do
    local p, opt = tree "f32", make {}
    for _ = 1, 3 do p = opt:step(function(q) return size * bowl(q) end, p) end
    if not is_finite(p) then
      return ("NaN or infinite after f32 gradients of %.0e"):format(size)
    end
  end
end }

laws[5] = { "state", function(make)
  local opt, p = make {}, tree "f64"
  for _ = 1, 3 do p = opt:step(bowl, p) end
  local early, before = state_size(opt)
  for _ = 1, 5 do p = opt:step(bowl, p) end
  local late, after = state_size(opt)
  if late > early then
    return ("the state grows, from %d numbers to %d in 5 steps"):format(early,
                                                                      late)
  elseif before ~= after then
    return ("the state's shapes change, from %s to %s"):format(before, after)
  end
  for _, x in ipairs((core.leaves(opt:state(), false))) do
    if (x.dtype == "f64" or x.dtype == "f32") and
       not x:isfinite():all():item() then
      return "the state is not finite"
    end
  end
end }

laws[6] = { "resuming", function(make)
  local opt, p = make {}, tree "f64"
  for _ = 1, 4 do p = opt:step(bowl, p) end
  local other = make {}
  other:load(opt:state())
  local a, b = opt:step(bowl, p), other:step(bowl, p)
  if distance(a, b) > 0 then
    return ("resumed from its state it goes elsewhere (by %.1g): something " ..
            "is kept outside it"):format(distance(a, b))
  end
end }

laws[7] = { "repeating", function(make)
  local a, b = make {}, make {}
  local p, q = tree "f64", tree "f64"
  for _ = 1, 4 do p, q = a:step(bowl, p), b:step(bowl, q) end
  if distance(p, q) > 0 then
    return ("two runs from one start differ by %.1g"):format(distance(p, q))
  end
end }

laws[8] = { "compiling", function(make)
  local a, b = make {}, make {}
  local ok, step = pcall(function() return b:compile(bowl) end)
  if not ok then return end -- a rule with its own step
  local p, q = tree "f64", tree "f64"
  local done, message = pcall(function()
    for _ = 1, 6 do p, q = a:step(bowl, p), step(q) end
  end)
  if not done then
    return "it cannot be compiled: " .. tostring(message):gsub("^.-:%d+: ", "")
  end
  if distance(p, q) > 1e-9 then
    return ("compiled it goes elsewhere (by %.1g): it looks at the step's " ..
            "number or at values"):format(distance(p, q))
  end
end }

laws[9] = { "groups", function(make)
  if not has_rate(make) then return end
  local opt = make { groups = { { match = "^bias$", lr = 0 } } }
  local p = tree "f64"
  local q = opt:step(bowl, p)
  if distance({ p.bias }, { q.bias }) > 0 then
    return "a group with lr = 0 moves"
  end
end }

-- ---- descent beside others -------------------------------------------------

local function standard()
  local P = sd.problems
  return { P.quadratic { dim = 10, condition = 10 },
           P.quadratic { dim = 10, condition = 1000 }, P.rosenbrock, P.beale,
           P.matrix_factorization }
end

-- Does a thousand times the loss change the path? The share by which it does.
local function scale_dependence(make)
  local o = has_rate(make) and { lr = 1e-4 } or {}
  local function run(size)
    local opt, p = make(o), sd.ones(3, f64)
    local function f(q) return size * bowl(q) end
    for _ = 1, 10 do p = opt:step(f, p) end
    return p
  end
  local moved = distance(run(1), sd.ones(3, f64))
  if moved == 0 then return 0 / 0 end
  return distance(run(1), run(1000)) / moved
end

-- Ratios of the last gap and the first, at the best rate.
local function row_of(make, problems, settings, budget)
  local row = {}
  for i, problem in ipairs(problems) do
    local place, run = trial.tune(make, settings, problem, budget, 1e-4)
    row[i] = { ratio = run.final / run.start, failed = run.failed,
               message = run.message, lr = settings[place].lr }
  end
  return row
end

local function cell(entry)
  if entry.message then return "error" end
  if entry.ratio == math.huge then return "diverges" end
  return ("%.0e"):format(math.max(entry.ratio, 1e-99))
end

local result = {}
result.__index = result

function result:__tostring()
  local lines = { ("%-14s"):format "left of the gap" }
  for _, name in ipairs(self.problems) do
    lines[1] = lines[1] .. ("  %-12s"):format(name)
  end
  for _, row in ipairs(self.rows) do
    local line = ("%-14s "):format(row.name)
    for _, entry in ipairs(row) do
      line = line .. ("  %-12s"):format(cell(entry))
    end
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = ("%d steps at the best of %d rates"):format(self.budget,
                                                             self.rates)
  for _, fault in ipairs(self.faults) do
    lines[#lines + 1] = ("%s: %s"):format(fault.law, fault.text)
  end
  if #self.faults == 0 then lines[#lines + 1] = "no faults" end
  lines[#lines + 1] = self.note
  return table.concat(lines, "\n")
end

local function find_faults(make, faults)
  for _, law in ipairs(laws) do
    local ok, text = pcall(law[2], make)
    if not ok then stepper.pass_interrupt(text) end
    if not ok then text = "error: " .. tostring(text) end
    if text then
      faults[#faults + 1] = { law = law[1], text = text }
      if law[1] == "steps" then return false end
    end
  end
  return true
end

local function scale_note(make)
  local ok, share = pcall(scale_dependence, make)
  if not ok or share ~= share then return nil, "" end
  if share < 1e-3 then
    return share, "the size of the loss does not matter to it (as to Adam)"
  end
  return share, "steps scale with the loss (as those of descent do)"
end

--- Puts a rule through standard problems beside sgd and Adam, each at its best
--- of ten learning rates, prints the table, and names what is wrong: no
--- descent, NaN, a state that grows or does not resume, parameters that it
--- changes, a compiled step that is another. { faults = list of { law, text },
--- rows, scale (how much a 1000-fold loss changes the path), lr }.
---
--- ```lua
--- local signs = sd.optim.rule{ name = "signs", defaults = { lr = 0.01 },
---   update = function(p, g, s, h) return p - h.lr * g:sign() end }
--- sd.optim.check(signs, { budget = 50 })
--- ```
---@param make function a rule such as sd.optim.adam
---@param o? table budget (500 steps), rates (a list of learning rates), quiet
---  (false: print the table), others ({ sgd, adam } by name)
return function(make, o)
  o = sd.check_options(o, { "budget:N", "rates:L", "quiet:B", "others:L" },
                       "check")
  if type(make) ~= "function" then
    fail("check: expected a rule such as sd.optim.adam, got a %s%s",
         type(make), type(make) == "table" and
         " (the rule, not an optimizer made of it)" or "")
  end
  local opt = stepper.check(make {}, "check: the rule's result")
  local budget, rates = o.budget or 500, o.rates or trial.rates
  local r = { faults = {}, rows = {}, problems = {}, budget = budget,
              rates = #rates, name = opt.name, note = "" }
  local problems = standard()
  for i, p in ipairs(problems) do
    r.problems[i] = p.name
    if p.condition then r.problems[i] = "cond. " .. p.condition end
    if p.name:find "^matrix" then r.problems[i] = "factors" end
  end
  local settings = trial.settings { lr = rates }
  local own = has_rate(make) and settings or { {} }
  if find_faults(make, r.faults) then
    r.rows[1] = row_of(make, problems, own, budget)
    r.rows[1].name = r.name
    for i, entry in ipairs(r.rows[1]) do
      if entry.failed then
        table.insert(r.faults, { law = "descent",
          text = ("no descent on %s at any of %d settings%s"):format(
            r.problems[i], #own, entry.message and ": " .. entry.message or
            "") })
      end
    end
    r.scale, r.note = scale_note(make)
    local others = o.others or { sgd = sd.optim.sgd, adam = sd.optim.adam }
    local names = {}
    for name in pairs(others) do
      if name ~= r.name then names[#names + 1] = name end
    end
    table.sort(names)
    for _, name in ipairs(names) do
      local row = row_of(others[name], problems, settings, budget)
      row.name = name
      table.insert(r.rows, row)
    end
  end
  setmetatable(r, result)
  if not o.quiet then print(r) end
  return r
end
