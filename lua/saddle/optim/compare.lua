-- Optimizers side by side under one budget: each tuned on each problem over the
-- same grid, then run from several starts, and the differences tested against
-- the spread between the starts.

local fail = require "saddle.fail"
local module = require "saddle.module"
local parallel = require "saddle.parallel"
local sd = require "saddle.init"
local stepper = require "saddle.optim.stepper"
local statistics = require "saddle.statistics"
local trial = require "saddle.optim.trial"

-- ---- what is compared ------------------------------------------------------

-- Rules as { name, make }: an entry is a maker, or { maker, option = value }.
local function read_rule(key, entry)
  local make, fixed = entry, {}
  if type(entry) == "table" then
    make = entry[1]
    for k, v in pairs(entry) do if k ~= 1 then fixed[k] = v end end
  end
  if type(make) ~= "function" then
    fail("compare: rule %s is a %s, not a rule such as sd.optim.adam",
         tostring(key), type(make))
  end
  local function build(setting)
    local o = {}
    for k, v in pairs(fixed) do o[k] = v end
    for k, v in pairs(setting) do o[k] = v end
    return stepper.check(make(o), "compare: the result of rule " ..
                         tostring(key))
  end
  return { name = type(key) == "string" and key or build({}).name,
           make = build }
end

local function read_rules(list)
  local keys, rules, seen = {}, {}, {}
  for k in pairs(list) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  for i, k in ipairs(keys) do
    rules[i] = read_rule(k, list[k])
    if seen[rules[i].name] then
      fail("compare: two rules are called '%s'; give names: { name = rule }",
           rules[i].name)
    end
    seen[rules[i].name] = true
  end
  if #rules == 0 then fail "compare: there are no rules" end
  return rules
end

local function read_problems(list)
  local problems = {}
  for i, p in ipairs(list) do
    if type(p) == "string" then p = sd.problems[p] end
    if type(p) ~= "table" or not p.f or not p.start then
      fail("compare: problem %d is neither a name nor { f =, start = }", i)
    end
    problems[i] = setmetatable({ name = p.name or ("problem " .. i) },
                               { __index = p })
  end
  if #problems == 0 then fail "compare: there are no problems" end
  return problems
end

-- ---- the runs --------------------------------------------------------------

-- Each rule's best setting on each problem: places[problem][rule].
local function tune(rules, problems, o, workers)
  local n, m = #rules, #o.settings
  local finals = parallel(#problems * n * m, workers, function(i)
    local s, k = (i - 1) % m + 1, (i - 1) // m
    local rule, problem = rules[k % n + 1], problems[k // n + 1]
    local r = trial.run(rule.make(o.settings[s]), problem, 0, o.budget,
                        o.target)
    return { r.final, r.reached }
  end)
  local function run(i)
    return { final = finals[i][1], reached = finals[i][2] }
  end
  local places = {}
  for i = 1, #problems do
    places[i] = {}
    for k = 1, n do
      local first = ((i - 1) * n + k - 1) * m
      local best = 1
      for s = 2, m do
        if trial.is_better(run(first + s), run(first + best)) then
          best = s
        end
      end
      places[i][k] = best
    end
  end
  return places
end

-- All seeds at those settings, a list over problems, rules, seeds: { final,
-- reached, failed }.
local function repeat_all(rules, problems, places, o, workers)
  local n = #rules
  return parallel(#problems * n * o.seeds, workers, function(i)
    local seed, k = (i - 1) % o.seeds + 1, (i - 1) // o.seeds
    local rule, problem = k % n + 1, k // n + 1
    local setting = o.settings[places[problem][rule]]
    local r = trial.run(rules[rule].make(setting), problems[problem], seed,
                        o.budget, o.target)
    return { r.final, r.reached, r.failed and 1 or 0 }
  end)
end

local function read_runs(setting, runs, first, count)
  local cell = { setting = setting, final = {}, reached = {}, failures = 0 }
  for i = first, first + count - 1 do
    table.insert(cell.final, runs[i][1])
    table.insert(cell.reached, runs[i][2])
    cell.failures = cell.failures + math.floor(runs[i][3])
  end
  local quantile = statistics.quantile
  cell.median, cell.steps = quantile(cell.final, 0.5),
                            quantile(cell.reached, 0.5)
  cell.low, cell.high = quantile(cell.final, 0.25), quantile(cell.final, 0.75)
  return cell
end

-- The rules of a problem against the one of the least median: p-values of the
-- rank-sum test, corrected for their number.
local function judge(cells)
  local best
  for i, c in ipairs(cells) do
    if not best or c.median < cells[best].median then best = i end
  end
  local p, others = {}, {}
  for i, c in ipairs(cells) do
    if i ~= best then
      others[#others + 1] = i
      p[#p + 1] = statistics.rank_sum(cells[best].final, c.final)
    end
  end
  for k, v in ipairs(statistics.holm(p)) do cells[others[k]].p = v end
  cells[best].p = 1
  return best
end

-- Dolan and More 2002: over problems and seeds, the share in which a rule
-- reaches the target within a factor of the steps of whichever is fastest.
local function profiles(r)
  local ratios, count = {}, 0
  for k in ipairs(r.rules) do ratios[k] = {} end
  for _, row in ipairs(r.cells) do
    for s = 1, r.seeds do
      local least = math.huge
      for _, c in ipairs(row) do least = math.min(least, c.reached[s]) end
      count = count + 1
      for k, c in ipairs(row) do
        ratios[k][count] = least < math.huge and c.reached[s] / least or
                           math.huge
      end
    end
  end
  local list = {}
  for k, name in ipairs(r.rules) do
    table.sort(ratios[k])
    local x, y = { 1 }, { 0 }
    for i, v in ipairs(ratios[k]) do
      if v < math.huge then
        if v > x[#x] then x[#x + 1], y[#y + 1] = v, y[#y] end
        y[#y] = i / count
      end
    end
    list[k] = { name = name, x = x, y = y, solved = y[#y], first = y[1] }
  end
  return list
end

-- ---- the result ------------------------------------------------------------

local methods = {}
local result = { __index = module.fields("the comparison", methods) }

local function setting_text(setting)
  local parts = {}
  for k, v in pairs(setting) do
    parts[#parts + 1] = ("%s = %s"):format(k, type(v) == "number" and
                                           ("%.4g"):format(v) or tostring(v))
  end
  table.sort(parts)
  return table.concat(parts, ", ")
end

local function number(v, format)
  if v == math.huge then return "-" end
  return (format or "%.2e"):format(v)
end

function result:__tostring()
  local lines = { ("%d evaluations, %d seeds; loss above the optimum: " ..
    "median (quartiles); evaluations to %.0e of the first"):format(
    self.budget, self.seeds, self.target) }
  for i, problem in ipairs(self.problems) do
    lines[#lines + 1] = ("\n%s"):format(problem)
    for k, name in ipairs(self.rules) do
      local c = self.cells[i][k]
      local verdict = k == self.best[i] and "best" or
        c.p < self.level and ("worse, p = %.2g"):format(c.p) or
        ("no worse than chance allows, p = %.2g"):format(c.p)
      if c.failures > 0 then
        verdict = ("%s; %d failed"):format(verdict, c.failures)
      end
      lines[#lines + 1] = ("  %-14s %9s (%s, %s) %6s  %-18s %s"):format(
        name, number(c.median), number(c.low), number(c.high),
        number(c.steps, "%.0f"), setting_text(c.setting), verdict)
    end
  end
  lines[#lines + 1] = "\nshare of runs that reach the target, and as fastest"
  for _, p in ipairs(self.profiles) do
    lines[#lines + 1] = ("  %-14s %4.0f %%  %4.0f %%"):format(
      p.name, 100 * p.solved, 100 * p.first)
  end
  lines[#lines + 1] = ("p: two-sided rank-sum test (Mann and Whitney) " ..
    "against the best, Holm's correction, level %g"):format(self.level)
  return table.concat(lines, "\n")
end

--- A figure of the performance profiles, saved when a path is given.
---@param path? string
---@return saddle.plot.Figure
function methods:plot(path)
  local lines = { title = "Performance profiles (Dolan and Moré)",
    xlabel = "evaluations, as a multiple of the fastest rule's", logx = true,
    ylabel = "share of runs at the target", yrange = { 0, 1.02 },
    legend = "outside" }
  local most = 2
  for _, p in ipairs(self.profiles) do most = math.max(most, p.x[#p.x]) end
  for i, p in ipairs(self.profiles) do
    local x, y = { table.unpack(p.x) }, { table.unpack(p.y) }
    x[#x + 1], y[#y + 1] = most * 1.1, y[#y]
    lines[i] = { x = x, y = y, name = p.name, style = "steps" }
  end
  local figure = require "saddle.plot".lines(lines)
  return path and figure:save(path) or figure
end

local function check_grid(grid)
  for name, list in pairs(grid) do
    if type(name) ~= "string" or type(list) ~= "table" or #list == 0 then
      fail("compare: tune must hold lists of values: { lr = { 0.1, 1 } }")
    end
  end
  return trial.settings(grid)
end

--- Compares optimizers on problems. Each rule's options are tuned on each
--- problem over the grid `tune` from the problem's start, then run from seeds
--- 1, 2 ... (starts around it, and other batches), all with the same budget,
--- in processes side by side. Losses above the optimum count as at least 1e-12
--- of the first: below is rounding. What comes back prints as a table: { rules,
--- problems, budget, seeds, target, cells[problem][rule] = { setting, final,
--- reached (lists over seeds), median, low, high, steps, failures, p },
--- best[problem], profiles }, with :plot(path).
---
--- ```lua
--- print(sd.optim.compare{ rules = { sd.optim.sgd, sd.optim.adam },
---   problems = { "beale", "sphere" }, budget = 100, seeds = 4,
---   tune = { lr = { 0.01, 0.1 } }, workers = 1 })
--- ```
---@param o table rules (a list of rules or { rule, option = value }, or such by
---  name), problems (names or problems), budget (1000 evaluations of the
---  function, with or without its gradient: one a step for most rules), seeds
---  (5), tune
---  ({ lr = ten rates from 1e-4 to 3 }), target (1e-4), level (0.05), workers
---  (2)
return function(o)
  o = sd.check_options(o, { "rules:L", "problems:L", "budget:N", "seeds:N",
                            "tune:L", "target:F", "level:F", "workers:N" },
                       "compare")
  if not o.rules or not o.problems then
    fail "compare: needs rules and problems"
  end
  local rules, problems = read_rules(o.rules), read_problems(o.problems)
  local how = { budget = o.budget or 1000, seeds = o.seeds or 5,
                target = o.target or 1e-4,
                settings = check_grid(o.tune or { lr = trial.rates }) }
  for _, rule in ipairs(rules) do -- a misspelt option is an error at once
    for _, setting in ipairs(how.settings) do rule.make(setting) end
  end
  local workers = o.workers or 2
  local places = tune(rules, problems, how, workers)
  local runs = repeat_all(rules, problems, places, how, workers)
  local r = { rules = {}, problems = {}, cells = {}, best = {},
              budget = how.budget, seeds = how.seeds, target = how.target,
              level = o.level or 0.05 }
  for k, rule in ipairs(rules) do r.rules[k] = rule.name end
  for i, problem in ipairs(problems) do
    r.problems[i], r.cells[i] = problem.name, {}
    for k in ipairs(rules) do
      local first = ((i - 1) * #rules + k - 1) * how.seeds + 1
      r.cells[i][k] = read_runs(how.settings[places[i][k]], runs, first,
                                how.seeds)
    end
    r.best[i] = judge(r.cells[i])
  end
  r.profiles = profiles(r)
  return setmetatable(r, result)
end
