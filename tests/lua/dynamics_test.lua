-- Clipping, range tests, monitors: known answers, planted diseases, mistakes.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local f64 = { dtype = "f64" }
local dynamics, clip = sd.dynamics, sd.dynamics.clip

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
  tap.near(m.record[1].threshold, 1.5, 1e-15, "Nesterov's threshold")
  tap.is(#m:report(), 0, "at its edge nothing is wrong")
  m = dynamics.monitor { every = 1 }
  run(m, sd.optim.sgd { lr = 3 }, p.f, p.start, 20)
  tap.ok(kinds(m:report()).exploding, "an exploding loss")
  m = dynamics.monitor { every = 1 }
  run(m, sd.optim.sgd { lr = 1e200 }, p.f, p.start, 5)
  tap.ok(kinds(m:report())["not finite"], "and one that is no number")
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
