-- Stability thresholds against their formulas, and conversions of momentum
-- against the rules written out.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local optim, f64 = sd.optim, { dtype = "f64" }
local convert = optim.convert

-- A coarse scan: the thresholds are refined anyway.
local function stability(opt, o)
  o = o or {}
  o.range, o.points = o.range or { 0.1, 100 }, o.points or 12
  return optim.stability(opt, o)
end

-- ---- the forms of momentum, written out ------------------------------------

local function form(name, update)
  return optim.rule { name = name, tidy = true,
    defaults = { lr = 0.1, momentum = 0.9 },
    init = function(p) return { v = sd.zeros_like(p) } end, update = update }
end
local forms = {
  heavy_ball = form("heavy_ball", function(p, g, s, h)
    s.v = h.momentum * s.v + g
    return p - h.lr * s.v
  end),
  average = form("average", function(p, g, s, h)
    s.v = h.momentum * s.v + (1 - h.momentum) * g
    return p - h.lr * s.v
  end),
  velocity = form("velocity", function(p, g, s, h)
    s.v = h.momentum * s.v - h.lr * g
    return p + s.v
  end),
  nesterov = form("nesterov", function(p, g, s, h)
    s.v = h.momentum * s.v + g
    return p - h.lr * (g + h.momentum * s.v)
  end),
  nesterov_average = form("nesterov_average", function(p, g, s, h)
    s.v = h.momentum * s.v + (1 - h.momentum) * g
    return p - h.lr * ((1 - h.momentum) * g + h.momentum * s.v)
  end),
}

-- ---- thresholds ------------------------------------------------------------

local function near(r, want, name)
  local d = math.abs(r.threshold / want - 1)
  tap.ok(d < 1e-3, ("%s: %.6g, expected %.6g"):format(name, r.threshold,
                                                     want))
  return r
end

local gd = near(stability(optim.sgd { lr = 0.1 }), 2, "gradient descent")
tap.near(gd.best.x, 1, 2e-3, "its best step is 1 / lambda")
tap.ok(gd.best.rate < 2e-3, "which arrives")
tap.ok(gd.linear and gd.exact, "a linear rule, read exactly")
for i, x in ipairs(gd.x) do
  if x < 1.9 and i % 2 == 0 then
    tap.near(gd.rate[i], math.abs(1 - x), 1e-9,
             ("its rate at %.3g"):format(x))
  end
end

for _, b in ipairs { 0.5, 0.9 } do
  local o = { lr = 0.1, momentum = b }
  near(stability(optim.sgd(o)), 2 + 2 * b, "heavy ball, " .. b)
  near(stability(optim.sgd { lr = 1e-3, momentum = b, nesterov = true }),
       (2 + 2 * b) / (1 + 2 * b), "Nesterov, " .. b)
  near(stability(forms.average(o)), 2 * (1 + b) / (1 - b),
       "averaged momentum, " .. b)
end

-- Goh 2017: the best of heavy ball at its best momentum.
do
  local k = 100
  local b = ((math.sqrt(k) - 1) / (math.sqrt(k) + 1)) ^ 2
  local r = stability(optim.sgd { lr = 0.1, momentum = b },
                      { condition = k })
  tap.near(r.best.rate, (math.sqrt(k) - 1) / (math.sqrt(k) + 1), 1e-3,
           "heavy ball's best rate at condition 100")
  tap.near(r.best.x, k * (2 / (1 + math.sqrt(k))) ^ 2, 2e-2,
           "at the step Polyak gave")
  r = stability(optim.sgd { lr = 0.1 }, { condition = 10 })
  tap.near(r.best.rate, 9 / 11, 1e-3, "descent's best rate at condition 10")
  tap.near(r.best.x, 20 / 11, 1e-3, "at 2 / (1 + 1 / condition)")
end

-- A rule with three numbers of state, and one of the user's own.
local two = optim.rule { name = "two", defaults = { lr = 0.1, a = 0.9,
                                                    b = 0.5 },
  init = function(p)
    return { u = sd.zeros_like(p), v = sd.zeros_like(p) }
  end,
  update = function(p, g, s, h) -- aggregated momentum (Lucas et al. 2019)
    s.u, s.v = h.a * s.u + g, h.b * s.v + g
    return p - h.lr * (s.u + s.v) / 2
  end }
-- z = -1 is a root: eta lambda (1 / (1 + a) + 1 / (1 + b)) / 2 = 2.
near(stability(two {}), 4 / (1 / 1.9 + 1 / 1.5), "aggregated momentum")

local vary = stability(optim.sgd { lr = 0.1 },
  { vary = { name = "momentum", values = { 0, 0.5 } } })
tap.near(vary.vary.thresholds, { 2, 3 }, 1e-3, "a map over momentum")
tap.is({ #vary.map, #vary.map[1] }, { 2, #vary.x }, "of rates")
tap.ok(sd.plot.is_figure(vary:plot()) and sd.plot.is_figure(gd:plot()),
       "a figure of it")
tap.ok(tostring(gd):find "sgd: stable for eta lambda < 2", "and words")

-- Adaptive rules: Cohen et al. 2022 give 38 for Adam with beta1 = 0.9.
local narrow = { range = { 1, 100 }, points = 8 }
local adam = stability(optim.adam { lr = 1e-3 }, narrow)
tap.ok(not adam.linear, "Adam is not linear")
local function about(r, want, tol, name)
  tap.ok(math.abs(r.threshold / want - 1) < tol,
         ("%s: %.5g, expected %.5g"):format(name, r.threshold, want))
end
about(adam, 38, 1e-2, "Adam")
about(stability(optim.adam { lr = 0.1, beta1 = 0.5 }, narrow), 6, 1e-2,
      "Adam with beta1 = 0.5")
local rms = optim.rule { name = "rms", tidy = true,
  defaults = { lr = 1e-2, beta = 0.99 },
  init = function(p) return { v = sd.zeros_like(p) } end,
  update = function(p, g, s, h)
    s.v = h.beta * s.v + (1 - h.beta) * g * g
    return p - h.lr * g / (s.v:sqrt() + 1e-8)
  end }
about(stability(rms {}, narrow), 2, 2e-2, "RMSprop")
local signs = optim.rule { name = "signs", defaults = { lr = 0.1 },
  update = function(p, g, _, h) return p - h.lr * g:sign() end }
tap.is(stability(signs {}, narrow).threshold, math.huge, "the sign has none")

local used = optim.sgd { lr = 0.1 }
stability(used)
tap.is(used.t, 0, "the optimizer comes back as it was")
local p = used:step(function(x) return (x * x):sum() end, sd.ones(1, f64))
tap.near(p[1]:item(), 0.8, 1e-15, "and works")

-- ---- conversions -----------------------------------------------------------

local function rosen(x)
  return (1 - x[1]) ^ 2 + 10 * (x[2] - x[1] ^ 2) ^ 2
end
local function path(name, o)
  local opt, x = forms[name](o), sd.tensor({ -1.2, 1 }, f64)
  for _ = 1, 20 do x = opt:step(rosen, x) end
  return x
end
local falling = sd.schedule.cosine { from = 4e-3, to = 1e-3, steps = 20 }
for _, pair in ipairs {
  { "average", "heavy_ball" }, { "heavy_ball", "average" },
  { "heavy_ball", "velocity" }, { "velocity", "average" },
  { "velocity", "heavy_ball" }, { "average", "velocity" },
  { "nesterov", "nesterov_average" }, { "nesterov_average", "nesterov" } } do
  for kind, lr in pairs { constant = 3e-3, scheduled = falling } do
    local from, to = pair[1], pair[2]
    local o = { lr = lr, momentum = 0.8 }
    local d = common.distance(path(from, o), path(to, convert(from, to, o)))
    tap.ok(d < 1e-12, ("%s as %s, %s lr (%.1g)"):format(from, to, kind, d))
  end
end
tap.is(convert("ema", "PyTorch", { lr = 1, momentum = 0.75 }).lr, 0.25,
       "by other names")

-- PyTorch's Nesterov visits the points w + b v of Sutskever's.
do
  local lr, b = 3e-3, 0.8
  local o = convert("pytorch nesterov", "sutskever nesterov",
                    { lr = lr, momentum = b })
  local opt = optim.sgd { lr = lr, momentum = b, nesterov = true }
  local w = sd.tensor({ -1.2, 1 }, f64)
  local x, v = w, sd.zeros(2, f64)
  for _ = 1, 10 do
    x = opt:step(rosen, x)
    v = o.momentum * v - o.lr * sd.grad(rosen)(w + o.momentum * v)
    w = w + v
  end
  tap.ok(common.distance(x, w + o.momentum * v) < 1e-13,
         "PyTorch's Nesterov is Sutskever's, looked at ahead")
end

-- Adam with eps beside the plain root, as TensorFlow has it.
do
  local hat = optim.rule { name = "hat", defaults = { lr = 0.1, beta1 = 0.9,
                                                     beta2 = 0.999,
                                                     eps = 1e-8 },
    init = function(p)
      return { m = sd.zeros_like(p), v = sd.zeros_like(p) }
    end,
    update = function(p, g, s, h)
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.v = h.beta2 * s.v + (1 - h.beta2) * g * g
      local rate = h.lr * (1 - h.beta2 ^ h.t) ^ 0.5 / (1 - h.beta1 ^ h.t)
      return p - rate * s.m / (s.v:sqrt() + h.eps)
    end }
  local function run(opt)
    local x = sd.tensor({ -1.2, 1 }, f64)
    for _ = 1, 10 do x = opt:step(rosen, x) end
    return x
  end
  local o = { lr = 0.05, eps = 0.1 }
  tap.ok(common.distance(run(optim.adam(o)),
                         run(hat(convert("adam", "adam_hat", o)))) < 1e-13,
         "Adam as TensorFlow has it")
  tap.ok(common.distance(run(hat(o)), run(optim.adam(convert(
    "tensorflow adam", "pytorch adam", o)))) < 1e-13, "and back")
end

-- ---- mistakes --------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "stability_test.lua:%d+: .*" .. pattern, name)
end
bad(function() stability(optim.sgd) end, "call the rule first", "a maker")
bad(function() stability(3) end, "expected an optimizer, got a number", "3")
bad(function() stability({}) end, "expected an optimizer, got a table", "{}")
bad(function() stability(optim.sgd { lr = 0 }) end, "needs an lr above 0",
    "no rate")
bad(function() stability(optim.sgd {}, { range = { 2, 1 } }) end,
    "range must be { from, to } above 0, not { 2, 1 }", "a range")
bad(function()
  stability(optim.sgd { lr = sd.schedule.time { lr = 1, gamma = 1 } })
end, "a learning rate that changes, from 1 to", "a schedule")
bad(function() stability(optim.sgd {}, { condition = 0 }) end,
    "condition must be at least 1", "a condition")
bad(function() stability(optim.sgd {}, { vary = { "momentum" } }) end,
    "vary must be", "nothing to vary")
used:step(function(x) return (x * x):sum() end, p)
bad(function() stability(used) end, "has taken 2 steps", "a used one")
bad(function() convert("heavy_ball", "nesterov", { lr = 1, momentum = 0 }) end,
    "take different steps", "two families")
bad(function() convert("adam", "average", { lr = 1 }) end,
    "take different steps", "Adam is no momentum")
bad(function() convert("heavi_ball", "average", {}) end,
    "no momentum form 'heavi_ball' %(did you mean 'heavy_ball'", "a form")
bad(function() convert("average", "pytorch", { lr = 1, momentum = 1 }) end,
    "momentum must be a number from 0 to below 1", "a momentum of 1")

tap.done()
