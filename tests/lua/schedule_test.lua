-- Schedules against PyTorch's, in composition, as hyper-parameters.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local golden = require "golden_schedules"
local S, f64 = sd.schedule, { dtype = "f64" }

local function make(text)
  return load("local S = ... return S." .. text)(S)
end

-- ---- PyTorch's values ------------------------------------------------------

local function worst(s, want)
  local most = 0
  for i, t in ipairs(golden.steps) do
    local d = math.abs(s(t) - want[i]) / math.max(math.abs(want[i]), 0.01)
    most = math.max(most, d)
  end
  return most
end

for _, row in ipairs(golden.rates) do
  local d = worst(make(row[1]), row[2])
  tap.ok(d < 1e-12, ("%s is PyTorch's (%.1g)"):format(row[1], d))
end
for _, row in ipairs(golden.momenta) do
  local d = worst(make(row[1]).momentum, row[2])
  tap.ok(d < 1e-12, ("the momentum of %s is PyTorch's (%.1g)"):format(
    row[1], d))
end

local function metric(k)
  return 1 / (1 + (k < 40 and k or 40 + (k - 40) // 30))
end
for _, row in ipairs(golden.plateaus) do
  local s, rates = make(row[1]), {}
  for t = 1, 200 do
    rates[t] = s(t)
    s:observe(metric(t - 1))
  end
  local d = worst(function(t) return rates[t] end, row[2])
  tap.ok(d < 1e-12, ("%s is PyTorch's (%.1g)"):format(row[1], d))
end

-- ---- those PyTorch has not -------------------------------------------------

local s = S.cosine { from = 1e-3, to = 1e-4, steps = 100 }
tap.near({ s(1), s(51), s(101), s(500) }, { 1e-3, 5.5e-4, 1e-4, 1e-4 }, 1e-15,
         "a cosine of so many steps stays at its end")
s = S.exponential { from = 1, to = 0.01, steps = 10 }
tap.near({ s(1), s(6), s(11), s(50) }, { 1, 0.1, 0.01, 0.01 }, 1e-14,
         "an exponential from and to")
s = S.linear { from = 0, to = 2, steps = 4 }
tap.near({ s(1), s(3), s(5), s(9) }, { 0, 1, 2, 2 }, 1e-15, "a line")
tap.near(S.time { lr = 1, gamma = 0.5 }(5), 1 / 3, 1e-15, "time decay")
s = S.rex { lr = 1, steps = 10 }
tap.near({ s(1), s(6), s(11) }, { 1, 2 / 3, 0 }, 1e-15, "REX")
s = S.inverse_sqrt { lr = 1, warmup = 4 }
tap.near({ s(1), s(4), s(16) }, { 0.25, 1, 0.5 }, 1e-15, "inverse root")
s = S.wsd { lr = 1, warmup = 3, stable = 10, decay = 4 }
tap.near({ s(1), s(3), s(4), s(14), s(16), s(18), s(99) },
         { 0.25, 0.75, 1, 1, 0.5, 0, 0 }, 1e-15, "warm-up, stable, decay")
tap.near(S.wsd { lr = 1, stable = 0, decay = 4, shape = "sqrt" }(2), 0.5,
         1e-15, "a decay like 1 - sqrt")
s = S.piecewise { { 1, 1 }, { 5, 3 }, { 9, 0 } }
tap.is({ s(1), s(4), s(5), s(8), s(9), s(50) }, { 1, 1, 3, 3, 0, 0 },
       "piecewise constant")
s = S.piecewise { { 3, 1 }, { 5, 3 }, between = "linear" }
tap.is({ s(1), s(4), s(5), s(9) }, { 1.0, 2.0, 3.0, 3.0 },
       "piecewise linear")
s = S.warmup { steps = 3, after = S.cosine { from = 1, steps = 10 } }
tap.near({ s(1), s(3), s(4), s(9) }, { 0.25, 0.75, 1, 0.5 }, 1e-15,
         "warm-up, then a cosine")
tap.is(S.warmup { steps = 1, ["then"] = 2 }(1), 1.0, "its other name")

-- Chebyshev's rates (Agarwal, Goel and Zhang 2021): what is left of a
-- quadratic of condition 100 after 64 steps is 1/T_64, and the way there is
-- short in the fractal order alone.
do
  local lambda = sd.linspace(1, 100, 2000, f64)
  local function run(order)
    local rate = S.chebyshev { low = 1, high = 100, steps = 64,
                               order = order }
    local x, most = sd.ones(2000, f64), 0
    for t = 1, 64 do
      x = x * (1 - rate(t) * lambda)
      most = math.max(most, x:abs():max():item())
    end
    return x:abs():max():item(), most
  end
  local left, most = run "fractal"
  local T = 101 / 99
  local a = 64 * math.log(T + (T * T - 1) ^ 0.5)
  tap.near(left * (math.exp(a) + math.exp(-a)) / 2, 1, 1e-9,
           "Chebyshev's rates leave 1/T_64 of a quadratic")
  tap.ok(most < 200, ("in fractal order it never grows beyond %.0f"):format(
    most))
  local _, wild = run "falling"
  tap.ok(wild > 1e10, ("in falling order it does (%.0e)"):format(wild))
end

-- ---- composition -----------------------------------------------------------

local c = S.constant(2)
local line = S.linear { from = 0, to = 4, steps = 4 }
tap.is({ (0.5 * line)(3), (line * 2)(3), (line + c)(3), (1 - line)(3),
         (line / 2)(3), (-line)(3), (line ^ 2)(3) },
       { 1.0, 4.0, 4.0, -1.0, 1.0, -2.0, 4.0 }, "arithmetic")
tap.is((line * function(t) return t end)(3), 6.0, "with any function")
tap.is(line:map(math.sqrt)(3), math.sqrt(2), "map")
tap.is(line:values(3), { 0.0, 1.0, 2.0 }, "values")
tap.is(#line:values(), 5, "as many as it has")
tap.ok(sd.plot.is_figure(line:plot()), "a figure of it")
tap.ok(tostring(line):find "linear: 0, ... 4 at step 5", "and words")

-- ---- plateau's memory ------------------------------------------------------

do
  local function fresh() return S.plateau { lr = 1, patience = 2 } end
  local a, b = fresh(), fresh()
  for _, v in ipairs { 3, 2, 2, 2 } do a:observe(v) end
  b:load(a:state())
  tap.is(a:observe(2), b:observe(2), "a plateau's state goes on where it was")
  tap.near(b(1), 0.1, 1e-15, "and falls")
  a = fresh()
  b:load(a:state())
  tap.is(b(1), 1.0, "a fresh state")
  tap.is(a:observe(sd.tensor(3.0)), 1, "it takes a tensor of one element")
  for _ = 1, 3 do a:observe(0 / 0) end
  tap.near(a(1), 0.1, 1e-15, "not a number is no progress")
end

do -- Polyak's step: on curvatures 1 and 4 it converges without a rate
  local c, rate = sd.tensor({ 1, 4 }, f64), S.polyak { lr = 0 }
  local function f(x) return (c * x * x):sum() / 2 end
  local opt, x = sd.optim.sgd { lr = rate }, sd.tensor({ 4, 1 }, f64)
  for _ = 1, 60 do
    local value, g = sd.value_and_grad(f)(x)
    rate:observe(value, g:norm())
    x = opt:apply(x, g)
  end
  tap.near(rate:observe(2, 4), 0.125, 1e-15, "Polyak's step")
  tap.ok(f(x):item() < 1e-6, "which needs no tuning")
  local edge = S.sharpness { lr = 0.1, factor = 1.5, max = 1 }
  tap.is({ edge(1), edge:observe(30), edge(2), edge:observe(0.1) },
         { 0.1, 0.05, 0.05, 1 }, "a share of the edge, at most max")
  tap.is(S.sharpness { lr = 0.1 }:load(edge:state())(3), 1.0, "restored")
end

-- ---- as hyper-parameters ---------------------------------------------------

local function bowl(p) return 0.5 * (p * p):sum() end
for how, run in pairs {
  step = function(opt)
    return function(p) return opt:step(bowl, p) end
  end,
  compile = function(opt) return opt:compile(bowl) end,
} do
  local rate = S.join { S.linear { from = 0.1, to = 0.3, steps = 3 },
                        S.cosine { from = 0.3, steps = 5 },
                        milestones = { 3 } }
  local mu = S.piecewise { { 1, 0.5 }, { 4, 0.8 } }
  local step = run(sd.optim.sgd { lr = rate, momentum = mu })
  local p, w, v = sd.ones(1, f64), 1, 0
  for t = 1, 8 do
    p = step(p)
    v = mu(t) * v + w
    w = w - rate(t) * v
  end
  tap.near(p[1]:item(), w, 1e-14, "rate and momentum on schedules, by " .. how)
  local listening = S.plateau { lr = 0.5, patience = 0 }
  step = run(sd.optim.sgd { lr = listening })
  p = step(sd.ones(1, f64))
  listening:observe(1)
  listening:observe(1)
  p = step(p)
  tap.near(p[1]:item(), 0.5 * 0.95, 1e-15, "a plateau is heard, by " .. how)
end

-- ---- mistakes --------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "schedule_test.lua:%d+: .*" .. pattern, name)
end
bad(function() return S.cosin end, "sd.schedule has no 'cosin'.*cosine",
    "an unknown schedule")
bad(function() S.cosine { from = 1 } end, "schedule.cosine: needs steps",
    "no steps")
bad(function() S.cosine { steps = 1 } end, "schedule.cosine: needs lr or from",
    "no rate")
bad(function() S.step { lr = 1, step_sise = 1 } end,
    "unknown option 'step_sise' %(did you mean 'step_size'", "a misspelt one")
bad(function() S.cosine { from = 1, lr = 1, steps = 2 } end,
    "lr and from are two names", "two names")
bad(function() S.step { lr = 1 / 0, step_size = 2 } end,
    "lr must be a finite number, not inf", "an infinite rate")
bad(function() S.step { lr = 1, step_size = 0 } end,
    "step_size: expected a whole number above 0, got 0", "no step size")
bad(function() line(0) end, "a step is a number from 1, not 0", "step 0")
bad(function() line() end, "a step is a number from 1, not nil", "no step")
bad(function() return line + {} end, "a table is neither a number", "a sum")
bad(function() S.join { line, c } end, "2 schedules need 1 milestones, not 0",
    "no milestones")
bad(function() S.join { line, c, c, milestones = { 5, 5 } } end,
    "entry 2 must be a step after 5, not 5", "milestones that do not rise")
bad(function() S.piecewise {} end, "expected pairs", "no pieces")
bad(function() S.warmup { steps = 3 } end, "needs steps and after",
    "a warm-up to nothing")
bad(function() S.chebyshev { low = 1, high = 2, steps = 6 } end,
    "needs a power of 2 steps, not 6", "an order that is not there")
bad(function() S.plateau { lr = 1, factor = 1 } end, "must lie in", "no fall")
bad(function() S.plateau { lr = 1 }:observe "x" end,
    "plateau:observe: value: expected a number, got string", "no metric")
bad(function() S.polyak { lr = 1 }:observe(1) end,
    "polyak:observe: |g|: expected a number, got nil",
    "no gradient")
bad(function() S.plateau { lr = 1 }:load {} end, "plateau:load: expected",
    "another's state")
bad(function() return line.stepz end, "the schedule has no 'stepz'",
    "an unknown field")

tap.done()
