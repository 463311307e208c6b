-- One run of one optimizer on one problem, for comparisons: whatever goes
-- wrong is a number, not an error.

local sd = require "saddle.init"
local stepper = require "saddle.optim.stepper"

local trial = {}

-- Where seed starts: the problem's start, moved by a tenth of its size (at
-- least 1) in a random direction; seed 0 starts at the start.
local function start_of(problem, seed)
  if seed == 0 then return problem.start end
  local generator = sd.generator(seed)
  return sd.eval(sd.tree.map(function(x)
    local size = math.max(1, x:square():mean():sqrt():item())
    return x + 0.1 * size * sd.randn(x.shape, { dtype = x.dtype,
                                               generator = generator })
  end, problem.start))
end

-- A gap this small beside the first is rounding, and counts as this.
local FLOOR = 1e-12

local function finite(v) return v == v and math.abs(v) ~= math.huge end

-- Takes steps until `budget` evaluations of the problem's function are spent,
-- and after each calls look(params, spent), which says whether to go on. A
-- replayed step costs what it did when it was traced.
local function descend(opt, problem, p, seed, budget, look)
  local calls, each, spent, t = 0, 1, 0, 0
  local function f(...)
    calls = calls + 1
    return problem.f(...)
  end
  local step = stepper.new(opt, f, function() calls = 0 end)
  repeat
    t, calls = t + 1, 0
    if problem.batch then
      p = step(p, problem.batch(seed * 1000000 + t))
    else
      p = step(p)
    end
    if problem.project then p = problem.project(p) end
    if calls > 0 then each = calls end
    spent = spent + each
  until not look(p, spent) or spent >= budget
end

--- Runs opt for `budget` evaluations: { final, start (gaps to the optimum, or
--- losses where it is not known), reached (the evaluations, when looked at,
--- after which the gap is within `target` of the first; math.huge when it never
--- is), failed (it is not finite, or no lower than at the start), message (of
--- an error) }.
function trial.run(opt, problem, seed, budget, target)
  local optimum = problem.optimum or 0
  local function gap(p) return problem.f(p):item() - optimum end
  local p = start_of(problem, seed)
  local r = { reached = math.huge, start = gap(p) }
  local every = math.max(1, budget // 100)
  local due = every
  local ok, message = pcall(descend, opt, problem, p, seed, budget,
                            function(q, spent)
    if spent < due and spent < budget then return true end
    due = due + every
    r.final = gap(q)
    if r.reached == math.huge and r.final <= target * r.start then
      r.reached = spent
    end
    return finite(r.final)
  end)
  if not ok then
    stepper.pass_interrupt(message)
    r.message = tostring(message)
  end
  if not ok or not finite(r.final) then r.final = math.huge end
  r.final = math.max(r.final, FLOOR * math.abs(r.start))
  r.failed = not (r.final < r.start)
  return r
end

--- All settings of the lists in `grid`: { lr = { a, b } } gives { lr = a } and
--- { lr = b }.
function trial.settings(grid)
  local list, names = { {} }, {}
  for name in pairs(grid) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local wider = {}
    for _, setting in ipairs(list) do
      for _, v in ipairs(grid[name]) do
        local s = {}
        for k, e in pairs(setting) do s[k] = e end
        s[name] = v
        wider[#wider + 1] = s
      end
    end
    list = wider
  end
  return list
end

--- Whether run a ended lower than b, or as low and sooner.
function trial.is_better(a, b)
  if a.final ~= b.final then return a.final < b.final end
  return a.reached < b.reached
end

--- The place in settings that ends lowest from seed 0, and that run.
function trial.tune(make, settings, problem, budget, target)
  local best, run
  for i, setting in ipairs(settings) do
    local r = trial.run(make(setting), problem, 0, budget, target)
    if not best or trial.is_better(r, run) then best, run = i, r end
  end
  return best, run
end

--- Ten rates from 1e-4 to 3 in half decades.
trial.rates = {}
for i = 0, 9 do
  trial.rates[i + 1] = 10 ^ (i // 2 - 4) * (i % 2 == 0 and 1 or 3)
end

return trial
