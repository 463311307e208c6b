-- Clipping, range tests, monitors: known answers, planted diseases, mistakes.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local f64 = { dtype = "f64" }
local dynamics, clip = sd.dynamics, sd.dynamics.clip
local hasty = os.getenv "SADDLE_GC" -- the collector runs at every step

-- ---- clipping --------------------------------------------------------------

local g = { sd.tensor({ 3, 4 }, f64), { sd.tensor({ { 12 } }, f64) } }
local small, norm = clip.norm(g, 1)
tap.is(norm:item(), 13.0, "the norm before")
-- torch 1.13.1: clip_grad_norm_ scales by 1 / (13 + 1e-6).
tap.near(small[1], { 3 / 13.000001, 4 / 13.000001 }, 1e-15, "as PyTorch's")
tap.near(small[2][1][1][1]:item(), 12 / 13.000001, 1e-15, "the whole tree")
local same = clip.norm(g, 100)
tap.is(same[1], { 3.0, 4.0 }, "below the bound nothing changes")
local _, most = clip.norm(g, 1, { p = math.huge })
tap.is(most:item(), 12.0, "the largest element as norm")
_, most = clip.norm(g, 1, { p = 1 })
tap.is(most:item(), 19.0, "the 1-norm")
tap.is(clip.value(g, 3.5)[1], { 3.0, 3.5 }, "by value")
do
  local w = { sd.tensor({ { 3, 4 }, { 0, 0 } }, f64) }
  local v = { sd.tensor({ { 0.6, 0.8 }, { 0.03, 0.04 } }, f64) }
  local c = clip.adaptive(v, w, 0.1)[1]
  -- Units of norms 5 and 0: bounds 0.5 and 0.1 * 1e-3.
  tap.near(c, { { 0.3, 0.4 }, { 6e-5, 8e-5 } }, 1e-15, "adaptive, by unit")
  local step = sd.jit(function(p) return (clip.norm(p, 1)) end)
  tap.near(step(g)[1], small[1], 1e-15, "in a trace")
end

-- ---- activations -----------------------------------------------------------

do
  local net = sd.nn.chain { sd.nn.dense(2, 3),
                            sd.nn.chain { sd.nn.relu(), sd.nn.dense(3, 1) } }
  local p, x = net:init { seed = 1 }, sd.ones(4, 2)
  local seen, y = net:record(net, p, x)
  local paths = {}
  for i, e in ipairs(seen) do paths[i] = e.path .. " " .. e.name end
  tap.is(paths, { "1 dense(2, 3)", "2.1 relu", "2.2 dense(3, 1)", "2 chain" },
         "what the layers made, in order")
  tap.is(seen[4].value, y, "the last of it is the result")
  tap.throws(function() net:record(error, "no") end, "^no$", "errors pass")
  tap.is(rawget(net, "seen"), nil, "and nothing stays behind")
end

-- ---- the range test --------------------------------------------------------

do
  local p = sd.problems.quadratic { dim = 5, condition = 10 }
  local opt = sd.optim.sgd { lr = 0.05 }
  local r = dynamics.lr_range { loss = p.f, params = p.start, optimizer = opt,
                                from = 1e-4, to = 10, steps = 120,
                                smooth = 0.5 }
  tap.ok(r.suggestion and r.suggestion < 0.2 and r.suggestion > 1e-3,
         ("a rate below 2 / 10 is suggested: %.3g"):format(r.suggestion))
  tap.ok(r.diverges > 0.2 and r.diverges < 2,
         ("it explodes above 2 / 10: %.3g"):format(r.diverges))
  tap.is({ opt.t, opt.lr }, { 0, 0.05 }, "the optimizer is as it was")
  tap.near(r.lr[1], 1e-4, 1e-15, "it starts at from")
  tap.ok(tostring(r):find "learning rate: ", "in words")
  tap.ok(sd.plot.is_figure(r:plot()), "and a figure")
  local seen = 0
  r = dynamics.lr_range { loss = function(q, t) return p.f(q) + 0 * t end,
    params = p.start, steps = 10, to = 1e-3,
    batch = function(t)
      seen = t
      return sd.tensor(t + 0.0, f64)
    end }
  tap.is({ seen, #r.loss, r.diverges }, { 10, 10, nil }, "in batches")
end

-- ---- the monitor sees what happens -----------------------------------------

local function run(m, opt, loss, params, n, ...)
  local step = m:watch(opt, loss)
  for _ = 1, n do params = step(params, ...) end
  return params
end

do
  local p = sd.problems.quadratic { dim = 4, condition = 10 }
  local function loss(t) return p.f(t.w) end
  local m = dynamics.monitor { every = 3, what = { "loss", "grad_norm",
    "update_ratio", "alignment", "sharpness" } }
  local ours = run(m, sd.optim.sgd { lr = 0.05, momentum = 0.5 }, loss,
                   { w = p.start }, 10)
  local plain, w = sd.optim.sgd { lr = 0.05, momentum = 0.5 }, { w = p.start }
  local path = { w.w }
  for t = 1, 10 do
    w = plain:step(loss, w)
    path[t + 1] = w.w
  end
  tap.near(ours.w, w.w, 1e-14, "a watched training is the same training")
  local steps = {}
  for i, e in ipairs(m.record) do steps[i] = e.step end
  tap.is(steps, { 1, 4, 7, 10 }, "every third step is looked at")
  local e, at = m.record[3], path[7]
  local grad = sd.grad(p.f)(at)
  tap.near(e.loss, p.f(at):item(), 1e-14, "its loss")
  tap.near(e.grad_norm, grad:norm():item(), 1e-14, "its gradient")
  tap.near(e.update_ratio, ((path[8] - at):norm() / at:norm()):item(), 1e-12,
           "its step beside its weights")
  local moved = at - path[6]
  tap.near(e.alignment, (-moved:dot(grad) / moved:norm() /
                         grad:norm()):item(), 1e-12, "its alignment")
  tap.near(e.sharpness, 10, 1e-3, "its sharpness")
  tap.is(tostring(m:report()), "nothing is wrong", "nothing is wrong")
  tap.ok(sd.plot.is_figure(m:plot()), "a figure of it")
end

do -- gradient noise of known size: y = w + noise, |grad|^2 known
  local m = dynamics.monitor { every = 1, what = { "grad_noise" } }
  local random = { dtype = "f64", generator = sd.generator(2) }
  local function loss(w, x) return ((w - x) ^ 2):sum(2):mean() / 2 end
  local step = m:watch(sd.optim.sgd { lr = 0 }, loss)
  local w, signal, noise = sd.full({ 3 }, 2, f64), 0, 0
  for _ = 1, 200 do w = step(w, sd.randn(16, 3, random)) end
  for _, e in ipairs(m.record) do
    signal, noise = signal + e.signal / 200, noise + e.noise / 200
  end
  tap.near(signal, 12, 0.02, ("|G|^2 is 12: %.3f"):format(signal))
  tap.near(noise, 3, 0.15, ("the covariance's trace is 3: %.3f"):format(noise))
end

do -- rules that cannot be replayed
  local p = sd.problems.quadratic { dim = 3, condition = 5 }
  local function rule(update)
    return sd.optim.rule { name = "own", defaults = { lr = 0.05 },
                           update = update }
  end
  for name, make in pairs {
    ["looks at values"] = rule(function(q, g, _, h)
      if g:norm():item() > 1 then g = g / 2 end
      return q - h.lr * g
    end),
    ["compares the step's number"] = rule(function(q, g, _, h)
      return q - (h.t < 3 and 0.1 or h.lr) * g
    end),
    ["has no rate"] = sd.optim.rule { name = "fixed",
      update = function(q, g) return q - 0.05 * g end },
    ["steps by itself"] = sd.optim.rule { name = "self",
      step = function(_, f, q)
        local loss, g = sd.value_and_grad(f)(q)
        return q - 0.05 * g, loss
      end },
  } do
    local m = dynamics.monitor { every = 2 }
    local got = run(m, make {}, p.f, p.start, 7)
    local opt, w = make {}, p.start
    for _ = 1, 7 do w = opt:step(p.f, w) end
    tap.near(got, w, 1e-14, "watched: a rule that " .. name)
    tap.is(#m.record, 4, name .. ": and recorded")
  end
end

-- ---- what is not finite is refused, wherever a step is taken ----------------

do
  local optim, tree = sd.optim, sd.tree
  local p = sd.problems.quadratic { dim = 3, condition = 5 }
  local own = { defaults = { lr = 0.05 } }
  function own.update(q, g, _, h)
    if g:norm():item() > 1 then g = g / 2 end -- looks at values
    return q - h.lr * g
  end
  local makers = {
    sgd = function(o)
      return optim.sgd { lr = 0.05, momentum = 0.5, on_nonfinite = o }
    end,
    adam = function(o) return optim.adam { lr = 0.05, on_nonfinite = o } end,
    chain = function(o)
      return optim.chain { optim.clip_norm(1), optim.momentum { lr = 0.05 },
                           on_nonfinite = o }
    end,
    sam = function(o)
      return optim.sam { base = optim.sgd { lr = 0.05 }, on_nonfinite = o }
    end,
    lbfgs = function(o)
      return optim.lbfgs { max_iter = 1, on_nonfinite = o }
    end,
    own = function(o)
      return optim.rule(own) { lr = 0.05, on_nonfinite = o }
    end,
  }
  -- Gradients are those of p.f times a; b adds to the loss alone.
  local function loss(w, a, b) return a * p.f(w.x) + b end
  local one, zero = sd.tensor(1.0, f64), sd.tensor(0.0, f64)
  local nan, inf = sd.tensor(0 / 0, f64), sd.tensor(1 / 0, f64)
  local function flat(opt) return (tree.ravel { one, opt:state().states }) end

  if hasty then makers = { sgd = makers.sgd, sam = makers.sam } end
  for name, make in pairs(makers) do
    for at, where in pairs { [3] = "looked at", [4] = "in between" } do
      local what = name .. ", " .. where
      local opt, plain = make(), make()
      local m = dynamics.monitor { every = 2 }
      local step, w = m:watch(opt, loss), { x = p.start }
      local v = w
      for _ = 1, at - 1 do
        w, v = step(w, one, zero), plain:step(loss, v, one, zero)
      end
      local before = flat(opt)
      tap.throws(function() step(w, nan, zero) end,
                 ("step %d: the gradient of 'x' is not finite"):format(at),
                 what .. ": NaN is refused")
      tap.throws(function() step(w, one, inf) end,
                 ("step %d: the loss is inf"):format(at),
                 what .. ": and an infinite loss")
      tap.ok(common.distance(flat(opt), before) == 0 and opt.t == at - 1,
             what .. ": the state stays")
      for _ = 1, 2 do
        w, v = step(w, one, zero), plain:step(loss, v, one, zero)
      end
      tap.ok(common.distance(w.x, v.x) < 1e-14, what .. ": and it goes on")
      local skips = dynamics.monitor { every = 2 }
      step = skips:watch(make "skip", loss)
      local u = { x = p.start }
      for _ = 1, at - 1 do u = step(u, one, zero) end
      tap.ok(common.distance(step(u, nan, zero).x, u.x) == 0,
             what .. ": or left out")
    end
  end
end

-- ---- thresholds of rules at work ---------------------------------------------

do
  local optim = sd.optim
  local p = sd.problems.quadratic { dim = 4, condition = 10 }
  local what = { what = { "sharpness" }, every = 1 }
  local function watched(opt, n, o)
    local m = dynamics.monitor(o or what)
    run(m, opt, p.f, p.start, n or 2)
    return m.record[#m.record], m
  end
  local mine = optim.rule { name = "mine", defaults = { lr = 0.01, a = 0.5 },
    init = function(q) return { v = sd.zeros_like(q) } end,
    update = function(q, g, s, h) -- heavy ball, a step late
      local step = s.v
      s.v = h.a * s.v + g
      return q - h.lr * step
    end }
  local heavy = optim.sgd { lr = 0.01, momentum = 0.9 }
  local cases = {
    ["gradient descent"] = { optim.sgd { lr = 0.01 }, 2 },
    ["the heavy ball"] = { heavy, 3.8 },
    ["with dampening"] = { optim.sgd { lr = 0.01, momentum = 0.9,
                                       dampening = 0.5 }, 7.6 },
    ["Nesterov's"] = { optim.sgd { lr = 0.01, momentum = 0.9,
                                   nesterov = true }, 3.8 / 2.8 },
    ["the average"] = { optim.momentum { lr = 0.01, beta = 0.9 }, 38 },
    ["a chain"] = { optim.chain { optim.centralize(),
                                  optim.momentum { lr = 0.01 } }, 38 },
    ["a falling rate"] = { optim.sgd { momentum = 0.5,
      lr = sd.schedule.cosine { from = 0.02, to = 0, steps = 9 } }, 3 },
    -- z^2 - (1 + a) z + a + eta lambda has roots of size 1 at the product 1.
    ["one's own"] = { mine { lr = 0.01 }, 0.5 },
  }
  if hasty then cases = { ["one's own"] = cases["one's own"] } end
  for name, case in pairs(cases) do
    local e = watched(case[1])
    tap.ok(math.abs(e.threshold / case[2] - 1) < 2e-3,
           ("the threshold of %s: %.5g"):format(name, e.threshold))
    tap.near(e.edge, e.lr * e.sharpness / e.threshold, 1e-15,
             name .. ": its edge")
  end
  heavy.momentum = 0.5
  tap.near(watched(heavy).threshold, 3, 3e-3, "of a momentum set anew")
  for name, opt in pairs { ["Adam"] = optim.adam {}, ["Lion"] = optim.lion {},
    ["L-BFGS"] = optim.lbfgs {}, ["clipping"] = optim.chain {
      optim.clip_norm(1), optim.sgd {} } } do
    local e = watched(opt)
    tap.ok(e.sharpness > 9 and e.threshold == nil and e.edge == nil,
           name .. " has no threshold of sharpness")
  end

  -- Adam's P by hand: the Hessian is diag(1 .. 10) in its eigenvectors' basis.
  local c = sd.tensor({ 1, 10, 100 }, f64)
  local function f(w) return (c * w * w):sum() / 2 end
  for _, case in ipairs {
    { "adam", { lr = 0.01, eps = 0.1 }, 38, function(g, t)
      return (1 - 0.9 ^ t) * (math.sqrt(g.v / (1 - 0.999 ^ t)) + 0.1)
    end, 0.999 },
    { "rmsprop", { lr = 0.01, eps_root = 0.1 }, 2, function(g)
      return math.sqrt(g.v + 0.1) + 1e-8
    end, 0.99 } } do
    local name, b2 = case[1], case[5]
    local m = dynamics.monitor { every = 1,
                                 what = { "preconditioned_sharpness" } }
    local step = m:watch(optim[name](case[2]), f)
    local w, state = sd.tensor({ 1, -2, 0.1 }, f64), { {}, {}, {} }
    for t = 1, 6 do
      local most = 0
      for i, s in ipairs(state) do
        local curvature = c[i]:item()
        local g = curvature * w[i]:item()
        s.v = b2 * (s.v or 0) + (1 - b2) * g * g
        most = math.max(most, curvature / case[4](s, t))
      end
      w = step(w)
      tap.near(m.record[t].preconditioned_sharpness, most, 1e-2 * most,
               ("%s's preconditioned sharpness, step %d"):format(name, t))
    end
    local e = m.record[6]
    tap.near(e.threshold, case[3], 1e-13, name .. "'s threshold")
    tap.near(e.edge, 0.01 * e.preconditioned_sharpness / e.threshold, 1e-15,
             name .. ": and edge")
  end
  tap.throws(function()
    dynamics.monitor { what = { "preconditioned_sharpness" } }:watch(
      optim.lion {}, f)
  end, "'preconditioned_sharpness' is for adam, adamw and rmsprop, not lion",
     "a rule without P")
end

-- ---- instruments beside plain computations -----------------------------------

do
  local g2 = sd.generator(5)
  local random2 = { dtype = "f64", generator = g2 }
  local X, Y = sd.randn(12, 3, random2), sd.randn(12, 1, random2)
  local net = sd.nn.mlp { 3, 4, 1, activation = "tanh" }
  local function loss(p, x, y) return sd.mse(net(p, x), y) end
  local start = net:init { seed = 1, dtype = "f64" }
  local m = dynamics.monitor { every = 2, what = { "update_ratio", "distance",
    "step_quality", "curvature", "gradient_tests" } }
  local opt = sd.optim.sgd { lr = 0.1, momentum = 0.5 }
  local step, path = m:watch(opt, loss), { start }
  for t = 1, 5 do path[t + 1] = step(path[t], X, Y) end
  local e, w, after = m.record[3], path[5], path[6]
  local function flat(tree) return (sd.tree.ravel(tree)) end
  local vw, va, _, unravel = flat(w), flat(after), sd.tree.ravel(w)
  tap.near(e.distance, (vw - flat(start)):norm():item(), 1e-12, "the distance")
  tap.near(e.distances[1], (sd.tree.leaves(w)[1] -
                            sd.tree.leaves(start)[1]):norm():item(), 1e-12,
           "and that of one parameter")
  tap.near(e.update_length, (va - vw):norm():item(), 1e-12, "the step's length")

  -- Central differences of the loss along the gradient.
  local gradient = flat((sd.grad(loss)(w, X, Y)))
  local u = gradient / gradient:norm()
  local function at(s) return loss(unravel(vw + s * u), X, Y):item() end
  tap.near(e.curvature, (at(1e-3) - 2 * at(0) + at(-1e-3)) / 1e-6,
           1e-4 * math.abs(e.curvature), "the curvature along the gradient")

  -- The parabola by the normal equations of a + b s + c s^2.
  local d = va - vw
  local there = flat((sd.grad(loss)(after, X, Y)))
  local A = sd.tensor({ { 1, 0, 0 }, { 1, 1, 1 }, { 0, 1, 0 }, { 0, 1, 2 } },
                      f64)
  local seen = sd.tensor({ loss(w, X, Y):item(), loss(after, X, Y):item(),
    sd.dot(d, gradient):item(), sd.dot(d, there):item() }, f64)
  local fit = sd.linalg.solve(A:T():matmul(A), A:T():mv(seen)):totable()
  tap.near(e.step_quality, -2 * fit[3] / fit[2] - 1, 1e-9,
           "the quality of the step")

  -- Each example's gradient by itself.
  local G = {}
  for i = 1, 12 do
    G[i] = flat((sd.grad(loss)(w, X[{ { i, i } }], Y[{ { i, i } }])))
  end
  G = sd.stack(G)
  local size = gradient:norm()
  local off = G - gradient:unsqueeze(1)
  local along = off:mv(u)
  local across = off - sd.outer(along, u)
  local function error_of(x)
    return (x:square():sum() / 11 / 12):sqrt():item() / size:item()
  end
  tap.near(e.norm_test, error_of(off), 1e-9, "the norm test")
  tap.near(e.inner_product_test, error_of(along), 1e-9,
           "the inner product test")
  tap.near(e.orthogonality_test, error_of(across), 1e-9,
           "the orthogonality test")
  tap.ok(sd.plot.is_figure(m:plot()), "a figure of them")

  -- On a quadratic gradient descent ends at lr lambda - 1.
  for lr, want in pairs { [0.05] = -0.5, [0.1] = 0, [0.2] = 1, [0.25] = 1.5 } do
    local q = dynamics.monitor { every = 1, what = { "step_quality" } }
    run(q, sd.optim.sgd { lr = lr }, function(v) return 5 * (v * v):sum() end,
        sd.ones(2, f64), 1)
    tap.near(q.record[1].step_quality, want, 1e-12,
             ("a step of %g / 10"):format(10 * lr))
  end
  local concave = dynamics.monitor { every = 1, what = { "step_quality" } }
  run(concave, sd.optim.sgd { lr = 0.1 }, function(v) return -(v * v):sum() end,
      sd.ones(2, f64), 1)
  tap.is(concave.record[1].step_quality, -1, "where it bends down: -1")
  tap.throws(function()
    run(dynamics.monitor { what = { "gradient_tests" } }, sd.optim.sgd {},
        function(v, x) return ((v * x):sum() ^ 2) end, sd.ones(3, f64), 1, X)
  end, "needs a loss that is the mean of its examples' own", "no mean")
  tap.throws(function()
    run(dynamics.monitor { what = { "gradient_tests" } }, sd.optim.sgd {},
        function(v) return (v * v):sum() end, sd.ones(3, f64), 1)
  end, "gradient_tests needs a batch of at least two", "no batch")
end

-- ---- planted diseases ------------------------------------------------------

local function kinds(r)
  local t = {}
  for _, f in ipairs(r) do t[f.kind] = t[f.kind] or f end
  return t
end

local random = { dtype = "f64", generator = sd.generator(1) }
local x = sd.randn(32, 8, random)
local y = sd.eval(sd.arange(0, 31) % 2 + 1)

local function deep(activation, scale, depth)
  local sizes = { activation = activation, bias = false,
                  init = sd.nn.init.normal { std = scale / math.sqrt(8) } }
  for i = 1, depth do sizes[i] = 8 end
  sizes[depth + 1] = 2
  local net = sd.nn.mlp(sizes)
  local function loss(p) return sd.cross_entropy(net(p, x), y) end
  return net, loss, net:init { seed = 3, dtype = "f64" }
end

local function diagnose(lr, n, activation, scale, depth)
  local net, loss, p = deep(activation, scale, depth)
  local m = dynamics.monitor { net = net, every = 2 }
  run(m, sd.optim.sgd { lr = lr }, loss, p, n)
  return kinds(m:report()), m
end

local found = diagnose(0.01, 6, "sigmoid", 1, 8)
tap.ok(found.vanishing and found.vanishing.where == "1.weight" and
       found.vanishing.value < 1e-3, "vanishing gradients, and where")
found = diagnose(1e-9, 6, "tanh", 1, 3)
tap.ok(found["small updates"], "updates of nothing")
found = diagnose(1e-6, 6, "tanh", 30, 4)
tap.ok(found.saturated and found.saturated.value > 0.5 and
       found.saturated.text:find "tanh", "saturated units, and where")
do
  local net, loss, p = deep("relu", 1, 3)
  p[1].bias = sd.full({ 8 }, -100, f64)
  local m = dynamics.monitor { net = net, every = 1 }
  run(m, sd.optim.sgd { lr = 1e-3 }, loss, p, 4)
  found = kinds(m:report())
  tap.ok(found.dead and found.dead.where == "2" and found.dead.value == 1,
         "dead units, and where")
end
do
  local p = sd.problems.quadratic { dim = 3, condition = 10 }
  local m = dynamics.monitor { every = 1, what = { "alignment",
                                                   "sharpness" } }
  run(m, sd.optim.sgd { lr = 0.23 }, p.f, p.start, 20)
  found = kinds(m:report())
  local f = found["rate above the edge"]
  tap.ok(f and math.abs(f.value - 1.15) < 0.01, "a rate above 2 / sharpness")
  tap.ok(found.oscillation and found.oscillation.value < -0.9, "oscillation")
  m = dynamics.monitor { every = 1, what = { "sharpness" } }
  run(m, sd.optim.sgd { lr = 0.15, momentum = 0.5, nesterov = true }, p.f,
      p.start, 20)
  tap.near(m.record[1].threshold, 1.5, 2e-3, "Nesterov's threshold")
  tap.is(#m:report(), 0, "at its edge nothing is wrong")
  m = dynamics.monitor { every = 1 }
  run(m, sd.optim.sgd { lr = 3 }, p.f, p.start, 20)
  tap.ok(kinds(m:report()).exploding, "an exploding loss")
  m = dynamics.monitor { every = 1 }
  tap.throws(function() run(m, sd.optim.sgd { lr = 1e200 }, p.f, p.start, 5) end,
             "sgd: step 2: the loss is inf; parameters and state",
             "one that is no number is refused")
  tap.ok(kinds(m:report())["not finite"], "and reported")
  local s = sd.problems.saddle { dim = 3 }
  local function high(v) return s.f(v) + 5 end
  m = dynamics.monitor { every = 1 }
  run(m, sd.optim.sgd { lr = 0.5 }, high, s.start, 24)
  found = kinds(m:report())
  tap.ok(found.saddle and math.abs(found.saddle.value + 1) < 1e-6,
         "a plateau at a saddle")
end
do -- one burst
  local m = dynamics.monitor { every = 1 }
  local step = m:watch(sd.optim.sgd { lr = 1e-9 },
                       function(w, k) return k * (w.a + 0.01 * w.b):sum() end)
  local w = { a = sd.ones(2, f64), b = sd.ones(2, f64) }
  for t = 1, 12 do w = step(w, sd.tensor(t == 9 and 1000.0 or 1.0, f64)) end
  found = kinds(m:report())
  tap.ok(found.exploding and found.exploding.where == "a" and
         found.exploding.text:find "step 9", "a burst, and where")
end

-- ---- mistakes --------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "dynamics_test.lua:%d+: .*" .. pattern, name)
end
bad(function() clip.norm(g, -1) end, "clip.norm: the bound must be", "a bound")
bad(function() clip.value({}, 1) end, "hold no tensors", "no gradients")
bad(function() clip.adaptive(g, { g[1] }) end, "2 gradients for 1", "a tree")
bad(function() dynamics.monitor { what = { "grad_norn" } } end,
    "monitor: nothing called 'grad_norn' %(did you mean 'grad_norm'", "a part")
bad(function() dynamics.monitor { what = { "dead" } } end, "needs net", "net")
bad(function() dynamics.monitor { every = 0 } end, "every: expected", "every")
bad(function() dynamics.lr_range { loss = print } end,
    "lr_range: needs loss and params", "no parameters")
bad(function()
  dynamics.lr_range { loss = print, params = g, from = 1, to = 0.1 }
end, "needs 0 < from < to, not 1 and 0.1", "a range")
bad(function() dynamics.monitor():watch(sd.optim.sgd, print) end,
    "monitor:watch: expected an optimizer, got a function %(call the rule",
    "a maker")
bad(function() dynamics.monitor():watch(sd.optim.sgd {}, 3) end,
    "the loss is a number", "no loss")
bad(function() dynamics.monitor():plot() end, "nothing has been recorded",
    "nothing to see")

tap.done()
