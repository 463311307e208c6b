-- Sensitivity of outputs to inputs, against what linear models make plain.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local sensitivity = sd.sensitivity
local f64 = { dtype = "f64" }
local g = sd.generator(2)
local rand = { dtype = "f64", generator = g }

local near = common.near

-- ---- spectra ---------------------------------------------------------------------------

local s = sensitivity.spectrum(function(x) return x * sd.tensor({ 3, -2, 1e-9 }, f64) end,
                               sd.ones(3, f64))
near(s.values, sd.tensor({ 3, 2, 1e-9 }, f64), 1e-15, "singular values, small ones too")
local W = sd.randn(7, 4, rand)
local function linear(x) return x:matmul(W) end
local x = sd.randn(6, 7, rand)
local one = x:narrow(1, 1, 1)
local want = sd.linalg.eigh(W:T():matmul(W)):flip(1):sqrt()
near(sensitivity.spectrum(linear, one).values, want, 1e-12, "of a linear model")
local k = sensitivity.spectrum(linear, one, { k = 2 })
near(k.values, want:narrow(1, 1, 2), 1e-9, "the largest by products")
tap.ok(k.residuals:max():item() < 1e-8 and not k.exact, "with residuals")
local orthogonal = {}
for i = 1, 20 do
  local R = sd.randn(8, 8, rand)
  local _, Q = sd.linalg.eigh(R + R:T())
  orthogonal[i] = { weight = Q }
end
local layers = {}
for i = 1, 20 do layers[i] = sd.nn.dense(8, 8, { bias = false }) end
local deep = sensitivity.depths(sd.nn.chain(layers), orthogonal, sd.randn(1, 8, rand))
tap.is(#deep, 20, "a spectrum for each depth")
near(deep[20].values, sd.ones(8, f64), 1e-13,
     "twenty orthogonal layers are an isometry")

-- ---- saliency --------------------------------------------------------------------------

local y = sd.randint(1, 4, { 6 }, { generator = g })
near(sensitivity.saliency(linear, x, 2), W:narrow(2, 2, 1):T():expand(6, 7), 1e-14,
     "the saliency of a linear score is its weights")
near(sensitivity.saliency(linear, x, y), W:T():index_select(1, y), 1e-14,
     "each example by its own label")
near(sensitivity.saliency(linear, x), W:T():index_select(1, sd.argmax(linear(x), 2)),
     1e-14, "or by the predicted class")
near(sensitivity.saliency(linear, x, 1, { method = "smooth" }),
     W:narrow(2, 1, 1):T():expand(6, 7), 1e-13, "SmoothGrad of a linear score")
local function cubic(v) return (v ^ 3):matmul(W) end
near(sensitivity.saliency(cubic, x, 3, { method = "integrated", samples = 200 }):sum(2),
     cubic(x):narrow(2, 3, 1):reshape(-1), 1e-3,
     "integrated gradients sum to the score")
near(sensitivity.saliency(linear, x, 1, { method = "input" }),
     x * W:narrow(2, 1, 1):T(), 1e-14, "gradient times input")

-- ---- Lipschitz -------------------------------------------------------------------------

local net = sd.nn.mlp { 3, 8, 2 }
local params = net:init { seed = 1, dtype = "f64" }
local function model(v) return (net(params, v)) end
local l = sensitivity.lipschitz(model, one[{ {}, { 1, 3 } }],
                                { radius = 1, samples = 20, net = net, params = params })
tap.ok(l.local_norm <= l.lower and l.lower <= l.upper,
       ("Lipschitz: %.3f <= %.3f <= %.3f"):format(l.local_norm, l.lower, l.upper))
tap.near(sensitivity.lipschitz(linear, one).lower, want[1]:item(), 1e-9,
         "of a linear model: its norm")

-- ---- attacks ---------------------------------------------------------------------------

local function losses(v) return sd.cross_entropy(linear(v), y, { reduction = "none" }) end
local clean = losses(x)
local grad = sd.grad(function(v) return losses(v):sum() end)(x)
local moved = sensitivity.fgsm { model = linear, x = x, y = y, eps = 0.1 }
near(moved, x + 0.1 * grad:sign(), 1e-14, "FGSM is eps sign g")
near(sensitivity.fgsm { model = linear, x = x, y = y, eps = 0.1, chunk = 4 }, moved, 0,
     "also in chunks")
near(sensitivity.fgsm { model = linear, x = x, y = y, eps = 0.1, norm = "2" },
     x + 0.1 * grad / grad:square():sum(2, { keepdim = true }):sqrt(), 1e-14,
     "in the 2-norm along g")
tap.ok(losses(moved):gt(clean):all():item(), "the loss rises")
near(sensitivity.fgsm { model = function(p, v) return v:matmul(p) end, params = W,
                        x = x, y = y, eps = 0.1 }, moved, 1e-14, "with parameters")
for _, norm in ipairs { "inf", "2" } do
  local at, top = sensitivity.pgd { model = linear, x = x, y = y, eps = 0.2,
                                    norm = norm, steps = 20, starts = 3 }
  local d = at - x
  local size = norm == "inf" and d:abs():max() or d:square():sum(2):sqrt():max()
  tap.ok(size:item() <= 0.2 + 1e-12, "PGD stays in the ball of " .. norm)
  near(top, losses(at), 1e-12, "and tells its losses")
  local fast = losses(sensitivity.fgsm { model = linear, x = x, y = y, eps = 0.2,
                                         norm = norm })
  local _, top0 = sensitivity.pgd { model = linear, x = x, y = y, eps = 0.2,
                                    norm = norm, steps = 20, starts = 0 }
  tap.ok(top0:mean():item() >= fast:mean():item(),
         "from x itself they are no lower than FGSM's")
end
local target = sensitivity.pgd { model = linear, x = x, y = y, eps = 0.5, targeted = true }
tap.ok(losses(target):lt(clean):all():item(), "a targeted attack lowers the loss")
local box = sensitivity.pgd { model = linear, x = sd.rand(6, 7, rand), y = y, eps = 0.5,
                              clip = { 0, 1 } }
tap.ok(box:min():item() >= 0 and box:max():item() <= 1, "clipped to its range")
local right = sd.argmax(linear(x), 2)
local curve = sensitivity.robustness { model = linear, x = x, y = right,
                                       eps = { 0, 0.1, 1, 5 } }
tap.is(curve.accuracy[1], 1, "without an attack all are right")
tap.ok(curve.accuracy[4] < 0.2 and curve.accuracy[2] >= curve.accuracy[3],
       "accuracy falls with eps")
tap.is(#curve.error, 4, "with errors")

-- ---- gradients of any size -------------------------------------------------------------

-- The squares of such a gradient vanish in f32, or overflow.
for _, scale in ipairs { 1, 30, 60, 1e20 } do
  local M = sd.tensor { { 1, -1 }, { 0.5, 2 } } * scale
  local at, label = sd.tensor { { 1, 0 } }, sd.tensor({ 1 }, { dtype = "i64" })
  local o = { x = at, y = label, eps = 0.1, norm = "2", starts = 0,
              model = function(q) return q:matmul(M) end,
              loss = function(z, _, how)
                tap.ok(how.reduction == "none", "losses by example")
                return (z * 1e-30):sum(2)
              end }
  near((sensitivity.fgsm(o) - at):norm(), sd.tensor(0.1), 1e-6,
       ("a step of a gradient of %g"):format(scale * 1e-30))
  near((sensitivity.pgd(o) - at):norm(), sd.tensor(0.1), 1e-6, "and several")
end
do
  local at, label = sd.tensor { { 1, 0 } }, sd.tensor({ 1 }, { dtype = "i64" })
  local M = sd.tensor { { 30, -30 }, { 15, 60 } }
  local moved = sensitivity.fgsm { x = at, y = label, eps = 0.1, norm = "2",
    model = function(q) return q:matmul(M) end }
  near((moved - at):norm(), sd.tensor(0.1), 1e-6, "of a model that is sure")
end

-- ---- bad input -------------------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "sensitivity_test.lua:%d+: " .. pattern, name)
end
bad(function() sensitivity.fgsm { x = x, y = y, eps = 1 } end, "fgsm: needs model",
    "no model")
bad(function() sensitivity.fgsm { model = linear, x = x, y = y } end,
    "fgsm: eps must be a finite number", "no eps")
bad(function() sensitivity.fgsm { model = linear, x = x, y = y, eps = -1 } end,
    "fgsm: eps must be a finite number, 0 or above", "a negative eps")
bad(function() sensitivity.pgd { model = linear, x = x, y = y, eps = 1, norm = "1" } end,
    "pgd: norm must be", "an unknown norm")
bad(function() sensitivity.pgd { model = linear, x = x, y = y:narrow(1, 1, 3), eps = 1 } end,
    "pgd: 6 inputs, 3 labels", "too few labels")
bad(function() sensitivity.pgd { model = linear, x = x, y = y, eps = 1, starts = -1 } end,
    "pgd: starts must be 0 or above, not %-1", "a negative number of starts")
bad(function() sensitivity.lipschitz(linear, one, { samples = -1 }) end,
    "lipschitz: radius and samples must be 0 or above", "a negative number of samples")
bad(function() sensitivity.robustness { model = linear, x = x, y = y, eps = 1 } end,
    "robustness: eps must be a list", "one eps")
bad(function() sensitivity.saliency(linear, x, 9) end,
    "saliency: class must be 1 to 4", "a class that is none")
bad(function() sensitivity.spectrum(linear, 3) end,
    "spectrum: the input must be a tensor", "no input")
bad(function() sensitivity.depths(linear, {}, x) end, "depths: needs a chain", "no chain")
for name, call in pairs {
  fgsm = sensitivity.fgsm, pgd = sensitivity.pgd } do
  bad(function()
    call { model = linear, x = x:narrow(1, 1, 0), y = y:narrow(1, 1, 0), eps = 1 }
  end, name .. ": there are no examples: x is {0, %d+}", name .. " of nothing")
end
bad(function()
  sensitivity.pgd { model = linear, x = x, y = y, eps = 1, step = -1 }
end, "pgd: step must be above 0, not %-1", "a step backwards")
for name, call in pairs {
  fgsm = sensitivity.fgsm, pgd = sensitivity.pgd } do
  bad(function() call { model = linear, x = x, y = y, eps = 1 / 0 } end,
      name .. ": eps must be a finite number", name .. " without bounds")
  bad(function() call { model = linear, x = x / 0, y = y, eps = 1 } end,
      name .. ": x holds NaN or infinite", name .. " of infinite inputs")
end
bad(function()
  sensitivity.robustness { model = linear, x = x / 0, y = y, eps = { 0 } }
end, "robustness: x holds NaN or infinite", "robustness of infinite inputs")
bad(function() sensitivity.spectrum(nil, x) end,
    "spectrum: model must be a function, not a nil", "no model")
tap.done()
