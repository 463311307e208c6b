-- Chains and wrappers against the same steps made by hand; second-order rules
-- on functions whose answers are known; and mistakes.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local optim, f64 = sd.optim, { dtype = "f64" }
local distance = common.distance

local function vector(...) return sd.tensor({ ... }, f64) end
local function bowl(w) return (vector(1, 10) * w * w):sum() / 2 end
local from = vector(2, 1)
local slope = sd.grad(bowl)

-- ---- transforms ------------------------------------------------------------

local function after(opt, n, f, w)
  for _ = 1, n do w = opt:step(f or bowl, w or from) end
  return w
end
local sgd = optim.sgd { lr = 0.1 }
local stepped = optim.sgd { lr = 0.1, allow_unused = true }

local g = slope(from)
local size = g:norm():item()
tap.ok(distance(after(optim.chain { optim.clip_norm(0.5), sgd }, 1),
                from - 0.1 * g * (0.5 / (size + 1e-6))) < 1e-15, "clip_norm")
tap.ok(distance(after(optim.chain { optim.clip_norm(100), sgd }, 1),
                from - 0.1 * g) < 1e-15, "clip_norm of a short gradient")
tap.ok(distance(after(optim.chain { optim.clip_value(3), sgd }, 1),
                from - 0.1 * vector(2, 3)) < 1e-15, "clip_value")
tap.ok(distance(after(optim.chain { optim.normalize(), sgd }, 1),
                from - 0.1 * g / size) < 1e-15, "normalize")
tap.ok(distance(after(optim.chain { optim.weight_decay(0.5), sgd }, 1),
                from - 0.1 * (g + 0.5 * from)) < 1e-15, "weight_decay")

local W = sd.tensor({ { 1, 2 }, { 3, 5 } }, f64)
local function weigh(w) return (W * w):sum() end
local zero = sd.zeros(2, 2, f64)
tap.ok(distance(after(optim.chain { optim.centralize(), sgd }, 1, weigh, zero),
                -0.1 * (W - W:mean(2, { keepdim = true }))) < 1e-15,
       "centralize takes a row's mean out")
tap.ok(distance(after(optim.chain { optim.clip_adaptive(0.01), sgd }, 1, weigh,
                      zero),
                -0.1 * 1e-5 * W / W:square():sum(2, { keepdim = true })
                  :sqrt()) < 1e-15,
       "clip_adaptive by the norms of units")

do -- noise of the variance it says
  local flat = sd.zeros(20000, f64)
  local opt = optim.chain { optim.noise { eta = 4, gamma = 0 },
                            optim.gd { lr = 1 } }
  local w = opt:step(function(x) return (x * 0):sum() end, flat)
  tap.near(w:var():item(), 4, 0.1, "noise has the variance eta")
  tap.near(w:mean():item(), 0, 0.05, "and no mean")
end

do -- accumulate: the mean of the batches' gradients
  local function part(w, k) return (vector(1, 10) * w * w):sum() * k end
  for _, how in ipairs { "step", "compile" } do
    local opt = optim.chain { optim.accumulate(3),
      optim.adam { lr = function(t) return 0.1 / t end } }
    local run = how == "step" and
      function(w, k) return opt:step(part, w, k) end or opt:compile(part)
    local plain = optim.adam { lr = function(t) return 0.1 / t end }
    local a, b = from, from
    for i = 1, 12 do
      a = run(a, vector(i % 3 + 1):sum())
      if i % 3 ~= 0 then
        tap.ok(distance(a, b) == 0, how .. ": accumulate holds back")
      else
        b = plain:step(part, b, vector(2):sum())
      end
    end
    tap.ok(distance(a, b) < 1e-14, how .. ": accumulate steps on the mean, " ..
           "and what follows counts its own steps")
  end
end

local chained = optim.chain { optim.clip_norm(1), optim.adamw { lr = 0.5 } }
tap.is(chained.lr, 0.5, "a chain's lr is its rule's")
chained.lr = 0.25
tap.is(chained.lr, 0.25, "and can be set")
tap.is(chained.max_norm, 1, "also a transform's options")
tap.ok(tostring(chained):find "clip_norm{ max_norm = 1 }, adamw{",
       "a chain says what it is made of")

do -- groups and settings inside a chain, compiled
  local function loss(p) return bowl(p.weight) + bowl(p.bias) end
  local opt = optim.chain { optim.clip_norm(1e9), optim.sgd { lr = 0.1,
    groups = { { match = "bias$", lr = 0 } } } }
  local step = opt:compile(loss)
  local p = step { weight = from, bias = from }
  tap.ok(distance(p.weight, from - 0.1 * g) < 1e-15 and
         distance(p.bias, from) == 0, "a chain keeps its rule's groups")
  opt.lr = 0.2
  local q = step(p)
  tap.ok(distance(q.weight, p.weight - 0.2 * slope(p.weight)) < 1e-15 and
         distance(q.bias, from) == 0, "and a plan follows what is set")
end

-- ---- wrappers --------------------------------------------------------------

do
  local w = from + 0.2 * g / size
  tap.ok(distance(after(optim.sam { base = sgd, rho = 0.2 }, 1),
                  from - 0.1 * slope(w)) < 1e-15, "sam: the gradient near by")
  local T = from:abs() + 0.01
  w = from + 0.2 * T * T * g / (T * g):norm()
  tap.ok(distance(after(optim.sam { base = sgd, rho = 0.2, adaptive = true },
                        1), from - 0.1 * slope(w)) < 1e-15, "adaptive sam")
  local _, loss = optim.sam { base = sgd }:step(bowl, from)
  tap.near(loss:item(), bowl(from):item(), 1e-15, "sam: the loss before it")
end

do
  local slow, fast = from, from
  for i = 1, 7 do
    fast = fast - 0.1 * slope(fast)
    if i % 3 == 0 then
      slow = slow + 0.4 * (fast - slow)
      fast = slow
    end
  end
  tap.is(optim.lookahead(sgd).k, 5, "a base alone")
  local opt = optim.lookahead { base = sgd, k = 3, alpha = 0.4 }
  tap.ok(distance(after(opt, 7), fast) < 1e-15, "lookahead")
end

do
  local w, mean, average, n = from, from, nil, 0
  for i = 1, 8 do
    w = w - 0.1 * slope(w)
    mean = 0.7 * mean + 0.3 * w
    if i >= 3 and (i - 3) % 2 == 0 then
      n = n + 1
      average = average and average + (w - average) / n or w
    end
  end
  local ema = optim.ema { base = sgd, decay = 0.7 }
  local p = after(ema, 8)
  tap.ok(distance(p, w) < 1e-15, "ema leaves the steps alone")
  tap.ok(distance(ema:average(p), mean) < 1e-15, "ema")
  local swa = optim.swa { base = sgd, start = 3, every = 2 }
  p = after(swa, 8)
  tap.ok(distance(swa:average(p), average) < 1e-15, "swa")
  local run = optim.swa { base = sgd, start = 3, every = 2 }
  local step = run:compile(bowl)
  p = from
  for _ = 1, 8 do p = step(p) end
  tap.ok(distance(run:average(p), average) < 1e-15, "swa, compiled")
  local free = optim.schedule_free { lr = 0.05 }
  local x, y, z = from, from, from
  for i = 1, 8 do
    z = z - 0.05 * slope(y)
    x = x + (z - x) / i
    y = 0.1 * z + 0.9 * x
  end
  p = after(free, 8)
  tap.ok(distance(p, y) < 1e-15 and distance(free:average(p), x) < 1e-15,
         "schedule_free's average")
  tap.throws(function() sgd:average(p) end, "sgd: keeps no average",
             "no average to give")
end

-- ---- curvature -------------------------------------------------------------

for _, name in ipairs { "newton", "newton_cg" } do
  local o = name == "newton_cg" and { tol = 1e-12 } or nil
  tap.ok(sd.norm(after(optim[name](o), 1)):item() < 1e-9,
         name .. ": one step to a quadratic's minimum")
end
local function ridge(w) return (w[1] ^ 2 - w[2] ^ 2) / 2 + w[2] ^ 4 / 4 end
tap.ok(sd.norm(after(optim.newton {}, 20, ridge, vector(0.3, 0.1))):item() <
       1e-9, "newton goes to the saddle")
for name, o in pairs { saddle_free_newton = { lr = 0.5 }, trust_region = {},
                       cubic_newton = {}, newton_cg = {} } do
  local w = after(optim[name](o), 60, ridge, vector(0.3, 0.1))
  tap.near(w, { 0, 1 }, 1e-6, name .. " leaves it for the minimum")
end
for name, o in pairs { trust_region = {}, cubic_newton = {}, newton_cg = {},
                       newton = {}, nonlinear_cg = {},
                       lbfgs = { max_iter = 5, tolerance_change = 1e-20 } } do
  local w = after(optim[name](o), 100, function(p)
    return (1 - p[1]) ^ 2 + 100 * (p[2] - p[1] ^ 2) ^ 2
  end, vector(-1.2, 1))
  tap.near(w, { 1, 1 }, 1e-6, name .. " finds Rosenbrock's minimum")
end
for _, beta in ipairs { "FR", "PR+", "HS", "DY" } do
  local n = 0
  local w, opt = from, optim.nonlinear_cg { beta = beta, c2 = 1e-3 }
  repeat
    w, n = opt:step(bowl, w), n + 1
  until sd.norm(slope(w)):item() < 1e-6 or n == 20
  tap.ok(n <= 8, ("nonlinear_cg, %s: %d steps for two dimensions"):format(
    beta, n))
end

do -- the cubic model's least value against a search
  local M, H = 2, sd.tensor({ { -1, 0.5 }, { 0.5, 2 } }, f64)
  local b = vector(0.3, -0.7)
  local function f(w) return sd.dot(b, w) + sd.dot(w, H:mv(w)) / 2 end
  local w = after(optim.cubic_newton { M = M, adapt = false }, 1, f,
                  vector(0, 0))
  local function model(x) return f(x) + M / 6 * sd.norm(x) ^ 3 end
  local r = sd.norm(sd.grad(model)(w)):item()
  tap.ok(r < 1e-9, "cubic_newton: the model's slope is zero")
  local least = model(w):item()
  local lower = false
  for i = 0, 20 do
    for k = 0, 20 do
      local v = model(vector(i * 0.3 - 3, k * 0.3 - 3)):item()
      lower = lower or v < least - 1e-12
    end
  end
  tap.ok(not lower, "and nothing on a grid lies below")
end

do -- fits: residuals that vanish at the true parameters
  local t = sd.linspace(0, 1, 20, f64)
  local y = 2 * (-1.5 * t):exp()
  local function model(w, x) return w[1] * (w[2] * x):exp() end
  local function residuals(w) return model(w, t) - y end
  local function loss(w) return residuals(w):square():sum() / 2 end
  local lm = optim.levenberg_marquardt { residuals = residuals }
  tap.near(after(lm, 15, loss, vector(1, 0)), { 2, -1.5 }, 1e-8,
           "levenberg_marquardt fits")
  local function half(z, b) return (z - b):square():sum() / 2 end
  local gn = optim.gauss_newton_cg { model = model, loss = half,
                                     damping = 1e-3, tol = 1e-10 }
  local w = vector(1, 0)
  for _ = 1, 30 do
    w = gn:step(function(p, x, b) return half(model(p, x), b) end, w, t, y)
  end
  tap.near(w, { 2, -1.5 }, 1e-7, "gauss_newton_cg fits")
end

do -- of a linear model K-FAC's matrix is the Fisher matrix: Newton's step
  local x = sd.randn(30, 3, { dtype = "f64", generator = sd.generator(2) })
  local y = x:matmul(vector(1, -2, 3):unsqueeze(2)) + 0.5
  local net = sd.nn.chain { sd.nn.dense(3, 1) }
  local p = net:init { seed = 1, dtype = "f64" }
  local function loss(q, a) return sd.mse(net(q, a), y) / 2 end
  local opt = optim.kfac { net = net, likelihood = "gaussian", clip = 0,
                           damping = 1e-12 }
  p = opt:step(loss, p, x)
  tap.near(p[1].weight:reshape(-1), { 1, -2, 3 }, 1e-6,
           "kfac: one step of a linear model")
end

do -- exact diagonals: of a quadratic z (H z) needs no average
  local w = after(optim.adahessian { lr = 1, eps = 0 }, 1)
  tap.near(w, from - g / vector(1, 10), 1e-12, "adahessian divides by |H|")
  local s = optim.sophia { lr = 0.1, gamma = 1, weight_decay = 0 }
  -- m = 0.04 g, v = 0.01 (1, 10): clipped at 1
  tap.near(after(s, 1), from - vector(0.1, 0.1), 1e-12, "sophia clips")
end

do -- perturbed_gd leaves a saddle that gradient descent stays on
  local at = vector(0, 0)
  tap.ok(sd.norm(after(optim.gd { lr = 0.1 }, 100, ridge, at)):item() == 0,
         "gd stays on a saddle")
  local w = after(optim.perturbed_gd { lr = 0.1, seed = 3 }, 200, ridge, at)
  tap.near(w[2]:abs():item(), 1, 0.02, "perturbed_gd does not")
end

do
  local M = sd.randn(64, 64, { dtype = "f64", generator = sd.generator(5) })
  local X = optim.orthogonalize(M)
  local s = sd.linalg.eigh(X:T():matmul(X)):sqrt()
  tap.ok(s:min():item() > 0.3 and s:max():item() < 1.25,
         ("orthogonalize: singular values %.2f .. %.2f"):format(
           s:min():item(), s:max():item()))
end

local w = after(optim.polyak {}, 40, function(x) return (x * x):sum() end)
tap.ok(sd.norm(w):item() < 1e-9, "polyak halves the way in a bowl")
local steep = function(x) return 1000 * (x * x):sum() end
tap.ok(sd.norm(after(optim.armijo { c1 = 0.3 }, 40, steep)):item() < 1e-6,
       "armijo finds a step that goes down")

do -- beyond 0 the loss is NaN: searches turn back
  local function barrier(x) return (x - x:log()):sum() end
  for name, o in pairs { lbfgs = { lr = 100 }, nonlinear_cg = { lr = 100 },
                         armijo = { c1 = 0.3 }, trust_region = {},
                         newton_cg = {}, cubic_newton = {} } do
    local x = after(optim[name](o), 30, barrier, vector(0.02, 3))
    tap.near(x, { 1, 1 }, 1e-4, name .. " turns back from NaN")
  end
end

do -- an error inside a step leaves nothing behind
  local opt = optim.lbfgs { max_iter = 2 }
  local step = opt:compile(function(x) return (x * x):sum() * 2 end)
  pcall(step, "no parameters")
  local x = opt:step(bowl, from)
  tap.ok(distance(x, optim.lbfgs { max_iter = 2 }:step(bowl, from)) == 0,
         "a compiled step that failed does not touch the next")
end

-- ---- rules with a step of one's own ----------------------------------------

do
  local seen = {}
  local mine = optim.rule {
    name = "mine", defaults = { damping = 0.1, seed = 4 },
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      c.state.count = (c.state.count or 0) + 1
      c.state.last = c.gradient
      seen = { c = c, H = c:matrix(), Hv = c:hvp(c.gradient),
               diag = c:diag { samples = 3 }, value = c:value(c.x),
               e = c:hessian():eigs { k = 1 }.values:item() }
      local d = c:hessian():solve(c.gradient, { damping = c.h.damping })
      return c:done(c.x - d.x)
    end }
  local function loss(p, k) return k * bowl(p.w) + (p.b ^ 4):sum(), p.w * 2 end
  local p = { w = from, b = vector(1) }
  for _, how in ipairs { "step", "compile" } do
    local opt = mine { damping = function(t) return 0.1 * t end }
    local run = how == "compile" and opt:compile(loss) or
                function(...) return opt:step(loss, ...) end
    local q, before, extra = run(p, 2)
    local H = vector(12, 2, 20) -- b comes first: 12 b^2; then w
    tap.ok(distance(seen.H, sd.diag(H)) < 1e-14, how .. ": the matrix")
    tap.ok(distance(seen.Hv, H * seen.c.gradient) < 1e-13, how .. ": products")
    tap.ok(distance(seen.diag, H) < 1e-14, how .. ": the diagonal")
    tap.near(seen.e, 20, 1e-8, how .. ": the operator")
    tap.near(seen.value, before:item(), 1e-14, how .. ": the loss")
    tap.is(extra, { 4, 2 }, how .. ": further results")
    tap.near(q.w, from - vector(4, 20) / (vector(2, 20) + 0.1), 1e-8,
             how .. ": and the step, as a tree")
    q = run(q, 2)
    tap.ok(seen.c.h.damping == 0.2 and opt:state().states.count == 2,
           how .. ": schedules and a state of its own")
    local ok = pcall(run, q, 0 / 0)
    tap.ok(not ok and opt:state().states.count == 2 and opt.t == 2,
           how .. ": a refused step leaves the state")
  end
end

local halved = after(optim.chain {
  optim.clip_value(setmetatable({}, { __call = function() return 3 end })),
  sgd }, 1)
tap.ok(distance(halved, from - 0.1 * vector(2, 3)) < 1e-15,
       "a schedule that is an object")

-- ---- maximize, frozen and unused parameters --------------------------------

for _, name in ipairs { "sgd", "lbfgs", "newton_cg", "trust_region" } do
  local best = after(optim[name] { maximize = true, lr = name == "sgd" and 0.09
                                   or nil },
                     name == "sgd" and 300 or 30, function(x)
    return 3 - bowl(x)
  end)
  tap.near(best, { 0, 0 }, 1e-6, name .. " maximizes")
end
local two = { a = from, b = from }
tap.throws(function()
  optim.sgd {}:step(function(p) return bowl(p.a) end, two)
end,
           "sgd: the loss does not depend on parameter 'b'",
           "a parameter without influence")
tap.is(stepped:step(function(p) return bowl(p.a) end, two).b, { 2, 1 },
       "allow_unused lets it be")
tap.throws(function()
  optim.adam {}:compile(function(p) return bowl(p.a) end)(two)
end, "adam: the loss does not depend on parameter 'b'", "compiled too")

-- ---- what is not finite ----------------------------------------------------

do -- the look at a tensor, whatever its strides
  local first = common.core.first_nonfinite
  for _, dtype in ipairs { "f32", "f64" } do
    local x = sd.zeros(5000, 3, 2, { dtype = dtype })
    x[{ 4321, 2, 1 }] = 0 / 0
    for name, case in pairs {
      whole = { x, 1 }, transposed = { x:transpose(1, 3), 1 },
      flipped = { x:flip(1), 1 }, ["every other"] = { x[{ { 1, 5000, 2 } }], 1 },
      ["the others"] = { x[{ { 2, 5000, 2 } }] },
      ["a slice with it"] = { x[{ {}, 2 }], 1 },
      ["a slice without"] = { x[{ {}, 3 }] },
      ["a run in each row"] = { x[{ {}, { 2, 3 } }], 1 },
      ["such runs, turned"] = { x[{ {}, { 2, 3 } }]:transpose(1, 3), 1 },
      ["runs without it"] = { x[{ {}, {}, { 2, 2 } }] }, ["one part"] = { x[{ { 1, 4320 } }] },
      expanded = { x:unsqueeze(1):expand(4, 5000, 3, 2), 1 },
      ["an expanded number"] = { sd.full({}, 1 / 0):expand(1000, 1000), 1 },
      empty = { x:narrow(1, 1, 0) }, integers = { sd.ones(3, { dtype = "i64" }) },
    } do
      tap.ok(first { sd.ones(3), case[1] } == (case[2] and 2),
             ("%s %s"):format(dtype, name))
    end
  end
end

do
  local function inf(x, k) return bowl(x) * k end
  local one, large = sd.tensor(1.0, f64), sd.tensor(math.huge, f64)
  for name, make in pairs {
    adam = function(how) return optim.adam { lr = 0.1, on_nonfinite = how } end,
    sam = function(how)
      return optim.sam { base = optim.adam { lr = 0.1 }, on_nonfinite = how }
    end,
  } do
    local opt = make "skip"
    local step, p = opt:compile(inf), from
    p = step(p, one)
    local q = step(p, large)
    tap.ok(distance(p, q) == 0 and opt.t == 1,
           name .. ": a compiled step is left out")
    local plain = make()
    local r = plain:step(inf, plain:step(inf, from, one), one)
    tap.ok(distance(step(q, one), r) < 1e-15,
           name .. ": and the next one is as without it")
    local run = make "error":compile(inf)
    p = run(from, one)
    tap.throws(function() run(p, large) end, "step 2: .*not finite",
               name .. ": or an error")
    tap.ok(distance(run(p, one), r) < 1e-15,
           name .. ": that leaves the state as it was")
  end
  tap.throws(function()
    optim.sgd { on_nonfinite = "error" }:apply({ w = from },
                                               { w = from * (0 / 0) })
  end, "sgd: step 1: the gradient of 'w' is not finite", "apply looks if asked")
end

-- ---- mistakes --------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "chain_test.lua:%d+: " .. pattern, name)
end
bad(function() optim.chain { optim.clip_norm(1) } end,
    "chain: needs a rule that moves", "a chain without a rule")
bad(function() optim.chain { sgd, optim.clip_norm(1) } end,
    "chain: clip_norm comes after sgd", "a transform after the rule")
bad(function() optim.chain { sgd, optim.adam {} } end,
    "chain: both sgd and adam move", "two rules")
bad(function() optim.chain { optim.clip_norm(1), 5 } end,
    "chain: entry 2 is a number", "no optimizer")
bad(function() optim.chain { optim.clip_norm(1), optim.lbfgs {} } end,
    "chain: lbfgs takes steps of its own", "a rule with its own step")
bad(function()
  local used = optim.sgd {}
  after(used, 2)
  optim.ema { base = used }
end, "chain: sgd has a state already %(2 steps%)", "a base with a state")
bad(function() optim.chain { sgd, lr = 1 } end, "chain: unknown option 'lr'",
    "an option of a chain")
bad(function() optim.sam {} end, "sam: needs base", "sam without base")
bad(function() optim.lookahead { base = sgd, k = 0 } end,
    "lookahead: k must be a whole number above 0", "a bad period")
bad(function() optim.accumulate(1.5) end, "accumulate: n must be a whole",
    "a bad count")
bad(function() optim.clip_norm(-1) end, "clip_norm: max_norm must not be neg",
    "a negative norm")
bad(function() optim.adam { on_nonfinite = "ignore" } end,
    "adam: on_nonfinite must be 'error', 'skip' or 'warn'", "an unknown answer")
bad(function() optim.adam { maximize = 1 } end, "adam: maximize must be a bool",
    "maximize = 1")
bad(function() optim.rmsprop { alpha = 2 } end,
    "rmsprop: alpha must be at most 1", "alpha above 1")
bad(function() optim.rprop { eta_plus = 0.5 } end,
    "rprop: eta_plus must be above 1", "eta_plus below 1")
bad(function() optim.lbfgs { line_search = "x" } end,
    "lbfgs: line_search must be", "an unknown line search")
bad(function() optim.nonlinear_cg { beta = "XY" } end,
    "nonlinear_cg: beta must be", "an unknown beta")
bad(function() optim.lbfgs { groups = {} } end, "lbfgs: takes no groups",
    "groups of a whole-vector rule")
tap.ok(sgd.applies and not optim.lbfgs {}.applies and
       not optim.sam(sgd).applies, "applies says whether apply serves")
bad(function() optim.lbfgs {}:apply(from, from) end,
    "lbfgs: this rule needs the loss function", "apply without a loss")
bad(function() optim.sam { base = sgd }:apply(from, from) end,
    "sam%(sgd%): this rule needs the loss", "apply of sam")
bad(function() optim.kfac {} end, "kfac: needs net", "kfac without a net")
bad(function() optim.gauss_newton_cg {} end, "gauss_newton_cg: needs model",
    "gauss_newton_cg without a model")
bad(function() optim.levenberg_marquardt {} end, ".*needs residuals",
    "levenberg_marquardt without residuals")
bad(function() optim.noise { seed = 1.5 } end, "noise: seed must be a whole",
    "a seed that is no whole number")
bad(function() optim.adam {}:step(nil, from) end,
    "adam: needs a loss function, not a nil", "no loss")
bad(function() optim.lbfgs {}:compile(3) end,
    "lbfgs: needs a loss function, not a number", "no loss to compile")
bad(function() optim.lbfgs {}:step(bowl, sd.zeros(0, f64)) end,
    "lbfgs: the parameters hold no elements", "no elements")
bad(function() optim.adam { lr = function() end }:step(bowl, from) end,
    "adam: the schedule of lr gave a nil", "a schedule without a value")
bad(function()
  optim.adam {}:load({ rule = "adam", t = 1, states = 7 })
end, "adam: not a state", "a state that is none")
bad(function()
  optim.adam {}:load({ rule = "adam", t = 1, states = { 5 } })
    :step(bowl, from)
end, "adam: the loaded state has no '[mv]'", "a state without its tensors")
bad(function()
  optim.rule { name = "odd", step = function(self, f, p)
    return self:context(f, p):done(5)
  end } {}:step(bowl, from)
end, "context:done: needs a vector of 2, not a number", "no vector")
do
  local mixed = { a = sd.ones(2), b = sd.ones(2, f64) }
  for _, name in ipairs { "lbfgs", "newton", "newton_cg" } do
    local p = optim[name] {}:step(function(q)
      return (q.a * q.a):sum() + bowl(q.b)
    end, mixed)
    tap.ok(p.a.dtype == "f32" and p.b.dtype == "f64",
           name .. " keeps each parameter's dtype")
  end
end
bad(function() sgd:context(bowl, from) end, "sgd: a context is for",
    "a context outside a step")
bad(function() optim.rule {} end, "rule: needs an update", "an empty rule")
bad(function()
  optim.newton {}:step(function(x) return x[1] * 2 + x[2] end, from)
end, "newton: the Hessian is singular", "a singular Hessian")

local kept = optim.adam { lr = 0.1 }
kept:step(function(p) return bowl(p.a) + bowl(p.b) end, two)
bad(function()
  optim.adam {}:load(kept:state()):step(
    function(p) return bowl(p.a) + bowl(p.c) end, { a = from, c = from })
end, "adam: the loaded state is for parameter 'b', here is 'c'",
    "a state of other paths")
bad(function()
  optim.adam {}:load(kept:state()):step(
    function(p) return bowl(p.a) + (p.b * p.b):sum() end,
    { a = from, b = sd.ones(3, f64) })
end, "adam: the loaded state's '[mv]' has shape {2}; parameter 'b' needs {3}",
    "a state of other shapes")
bad(function() optim.adam {}:load(optim.sgd {}:state()) end,
    "adam: the state is of sgd", "a state of another rule")
tap.done()
