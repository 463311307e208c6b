-- Comparing and checking optimizers: the statistics, planted differences and
-- faults, processes.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap, core = common.sd, common.tap, common.core
local statistics = require "saddle.statistics"
local optim = sd.optim

-- ---- statistics: against SciPy 1.10 ----------------------------------------

local quantile, rank_sum = statistics.quantile, statistics.rank_sum
tap.is({ quantile({ 4, 1, 3, 2 }, 0.25), quantile({ 4, 1, 3, 2 }, 0.5),
         quantile({ 7 }, 0.9) }, { 1.75, 2.5, 7 }, "quantiles")
tap.is(quantile({ 1, 0 / 0, 2 }, 1), math.huge, "of what is no number")
-- scipy.stats.mannwhitneyu(a, b, method="exact"), and "asymptotic"
tap.near(rank_sum({ 1, 2, 3, 4, 5 }, { 6, 7, 8, 9, 10 }), 2 / 252, 1e-12,
         "apart")
tap.near(rank_sum({ 1.1, 2.5, 3.7, 0.2 }, { 2.2, 4.1, 5.9, 6.3, 3.0 }),
         1 / 9, 1e-12, "overlapping")
-- With ties: all 70 choices of 4 of 8 ranks, counted by hand in Python.
tap.near(rank_sum({ 1, 2, 2, 3 }, { 2, 3, 4, 5 }), 14 / 70, 1e-12, "ties")
tap.is(rank_sum({ 1, 1, 1 }, { 1, 1, 1 }), 1.0, "all the same")
do
  local a, b = {}, {}
  for i = 1, 30 do a[i], b[i] = i, i + 8.5 end
  tap.near(rank_sum(a, b), 0.001236184563209, 1e-6, "many")
end
tap.near(statistics.holm { 0.01, 0.04, 0.03 }, { 0.03, 0.06, 0.06 }, 1e-15,
         "Holm's correction")

-- ---- processes -------------------------------------------------------------

if core.parallel then
  local a = sd.randn(300, 300, { generator = sd.generator(1) })
  sd.threads(2)
  local want = a:matmul(a):sum():item()
  local r = core.parallel(5, 2, function(i)
    if i == 4 then error("no " .. i, 0) end
    return ("%d %.3g"):format(i, a:matmul(a):sum():item() / want)
  end)
  sd.threads(1)
  tap.is({ r[1][2], r[5][2] }, { "1 1", "5 1" },
         "products in copies of a process with threads")
  tap.is({ r[4][1], r[4][2] }, { false, "no 4" }, "an error comes back")
  local b = sd.ones(1200, 1000)
  r = core.parallel(2, 2, function(i)
    sd.threads(2) -- is not obeyed: there are no other threads
    local w = sd.linalg.eigh(a + a:T())
    local s = (b * i):exp():sum():item() / (1.2e6 * math.exp(i))
    return ("%d %.4f %d"):format(sd.threads(), s, w:numel())
  end)
  tap.is({ r[1][2], r[2][2] }, { "1 1.0000 300", "1 1.0000 300" },
         "loops and eigenvalues, on one thread whatever is asked")
  local long = ("x"):rep(300000)
  r = core.parallel(3, 3, function(i) return long .. i end)
  tap.ok(r[3][2] == long .. 3, "results longer than a pipe")
  r = core.parallel(2, 1, function(i)
    if i == 1 then os.exit(3) end
    return "fine"
  end)
  tap.is({ r[1][1], r[1][2], r[2][2] },
         { false, "its process left with status 3", "fine" },
         "a process that leaves")
  r = core.parallel(1, 1, function() return nil end)
  tap.is(r[1][1], false, "no result")
  tap.is(#core.parallel(0, 2, print), 0, "no jobs")
  tap.throws(function() core.parallel(1, 0, print) end,
             "1 to 64 workers, not 0", "no workers")
  local list = require "saddle.parallel" (3, 2, function(i)
    return { i, 0.1 * i, 1 / 0 }
  end)
  tap.is(list[3], { 3.0, 0.1 * 3, 1 / 0 }, "lists of numbers")
  tap.throws(function()
    require "saddle.parallel" (2, 2, function() error("oh", 0) end)
  end, "^oh$", "errors pass")
else
  tap.skip("processes", "not in this program")
end

-- ---- comparisons -----------------------------------------------------------

local stuck = optim.rule { name = "stuck", defaults = { lr = 0.1 },
  update = function(p, g, _, h) return p - 1e-6 * h.lr * g end }
local function compare(o)
  o.budget, o.seeds, o.tune = 40, 5, { lr = { 0.01, 0.1, 100 } }
  return optim.compare(o)
end
local rules = { descent = optim.sgd, heavy = { optim.sgd, momentum = 0.5 },
                stuck = stuck }
local q = sd.problems.quadratic { dim = 4, condition = 10 }
local r = compare { rules = rules, problems = { q, "noisy_quadratic" },
                    workers = 2 }
tap.is(r.rules, { "descent", "heavy", "stuck" }, "rules by name")
tap.is(r.problems, { "quadratic", "noisy_quadratic" }, "problems by name")
local c = r.cells[1]
tap.is({ c[1].setting.lr, c[2].setting.lr }, { 0.1, 0.1 }, "rates are tuned")
tap.is(r.best[1], 2, "momentum is best")
tap.ok(c[1].p < 0.05 and c[3].p < 0.05, "and by more than chance")
tap.ok(c[3].median > c[1].median and #c[3].final == 5, "medians over seeds")
tap.ok(c[2].low <= c[2].median and c[2].median <= c[2].high, "quartiles")
tap.ok(c[3].steps == math.huge and c[2].steps < 40, "steps to the target")
tap.ok(c[1].final[1] ~= c[1].final[2], "seeds start elsewhere")
local noisy = r.cells[2]
tap.ok(noisy[1].p > 0.05 or noisy[2].p > 0.05,
       "no difference where noise covers it")
tap.ok(r.profiles[2].solved >= r.profiles[3].solved and
       r.profiles[2].first > 0, "profiles")
local text = tostring(r)
tap.ok(text:find "quadratic" and text:find "best" and text:find "rank%-sum",
       "a table")
tap.ok(sd.plot.is_figure(r:plot()), "a figure")
local again = compare { rules = rules, problems = { q, "noisy_quadratic" },
                        workers = 1 }
tap.is(again.cells[2][2].final, noisy[2].final,
       "one process or two, the same numbers")
local wild = optim.compare { rules = { optim.sgd }, problems = { q },
  budget = 20, seeds = 2, tune = { lr = { 50 } }, workers = 1 }
tap.is(wild.cells[1][1].failures, 2, "failures are counted")

do -- a rule that evaluates twice takes half the steps
  local steps = 0
  local twice = optim.rule { name = "twice", defaults = { lr = 0.1 },
    step = function(self, f, p)
      steps = steps + 1
      f(p)
      local loss, g = sd.value_and_grad(f)(p)
      return p - self.lr * g, loss
    end }
  optim.compare { rules = { twice }, problems = { q }, budget = 20, seeds = 1,
                  tune = { lr = { 0.1 } }, workers = 1 }
  tap.is(steps, 20, "a budget of evaluations: 10 steps in either run")
end

do -- rules that look at values count, too
  local looks = optim.rule { name = "looks", defaults = { lr = 0.1 },
    update = function(p, g, _, h)
      return g:norm():item() > 0 and p - h.lr * g or p
    end }
  local l = optim.compare { rules = { optim.sgd, looks }, problems = { q },
    budget = 20, seeds = 2, tune = { lr = { 0.1 } }, workers = 1 }
  tap.near(l.cells[1][1].final, l.cells[1][2].final, 1e-12,
           "a rule that looks at values")
end

-- ---- checks ----------------------------------------------------------------

local few = { budget = 30, rates = { 1e-3, 0.1 }, quiet = true,
              others = { sgd = optim.sgd } }
local function faults(rule)
  local found = {}
  local o = { budget = 10, rates = { 1e-3 }, quiet = true, others = {} }
  for _, f in ipairs(optim.check(rule, o).faults) do
    found[f.law] = f.text
  end
  return found
end
local good = optim.check(optim.adam, few)
tap.is(#good.faults, 0, "Adam has no faults")
tap.ok(good.scale < 1e-3, "nor does the loss's size matter to it")
tap.ok(tostring(good):find "no faults" and tostring(good):find "sgd",
       "a table beside others")
tap.is(#optim.check(optim.sgd, few).faults, 0, "descent has none")

tap.ok(faults(optim.rule { defaults = { lr = 0.1 },
  update = function(p, g, _, h) return p + h.lr * g end }).descent,
  "uphill")
tap.ok(faults(optim.rule { defaults = { lr = 0.1 },
  update = function(p, g, _, h) return p - h.lr * g / g:norm() end })
  ["zero gradient"]:find "NaN", "0 / 0")
tap.ok(faults(optim.rule { defaults = { lr = 0.1 },
  update = function(p, g, s, h)
    s[h.t] = g
    return p - h.lr * g
  end }).state:find "grows", "a state that grows")
local outside = sd.tensor(0.0, { dtype = "f64" })
tap.ok(faults(optim.rule { defaults = { lr = 0.1 },
  update = function(p, g, _, h)
    outside = outside + 1
    return p - h.lr * g / outside
  end }).repeating, "memory outside the state")
tap.ok(faults(optim.rule { defaults = { lr = 0.1 },
  update = function(p, g, _, h)
    if g:norm():item() > 1 then g = g / 2 end
    return p - h.lr * g
  end }).compiling:find "cannot be compiled", "a look at values")
tap.ok(faults(optim.rule { defaults = { lr = 0.1 },
  update = function(_, g, _, h) return (g * h.lr):sum() end })
  .steps:find "shape", "another shape")
tap.ok(faults(optim.rule { defaults = { lr = 0.1 },
  update = function(p, g) return p - 0.1 * g end }).groups, "a fixed rate")
tap.is(next(faults(optim.rule { name = "fixed",
  update = function(p, g) return p - 1e-3 * g end })), nil,
  "a rule without a rate has no fault")
tap.is(next(faults(optim.rule { name = "self", defaults = { lr = 1e-3 },
  step = function(self, f, p)
    local loss, g = sd.value_and_grad(f)(p)
    return sd.tree.axpy(-self.lr, g, p), loss
  end })), "groups", "one that steps by itself ignores groups")

-- ---- mistakes --------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "compare_test.lua:%d+: .*" .. pattern, name)
end
bad(function() optim.compare { rules = {} } end, "needs rules and problems",
    "no problems")
bad(function() optim.compare { rules = {}, problems = { "beale" } } end,
    "there are no rules", "no rules")
bad(function()
  optim.compare { rules = { 3 }, problems = { "beale" } }
end, "rule 1 is a number", "a number")
bad(function()
  optim.compare { rules = { optim.sgd, optim.sgd }, problems = { "beale" } }
end, "two rules are called 'sgd'", "one name twice")
bad(function()
  optim.compare { rules = { optim.sgd }, problems = { "beale" },
                  tune = { lrr = { 1 } } }
end, "sgd: unknown option 'lrr'", "a misspelt option")
bad(function()
  optim.compare { rules = { optim.sgd }, problems = { "beale" },
                  tune = { lr = 1 } }
end, "tune must hold lists", "no list")
bad(function() optim.check(optim.sgd {}) end, "not an optimizer made of it",
    "an optimizer")

tap.done()
