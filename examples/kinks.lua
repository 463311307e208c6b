-- Can curvature be had from differences of gradients? Not near a kink: with a
-- pre-activation 3e-7 from zero, a step of 1e-6 sees the jump of the slope as
-- an enormous curvature. Derivatives see the curvature. A second.
local o = { dtype = "f64", generator = sd.generator(1) }
local centres = sd.randn(4, 20, o)
local y = sd.arange(0, 239) % 4 + 1
local x = (centres:index_select(1, y) + 0.5 * sd.randn(240, 20, o)) /
          math.sqrt(20)
local net = sd.nn.mlp { 20, 16, 4, activation = "relu" }
local function loss(p) return sd.cross_entropy(net(p, x), y) end
local params = net:init { seed = 1, dtype = "f64" }
local step = sd.optim.sgd { lr = 0.5 }:compile(loss)
for _ = 1, 100 do params = step(params) end

-- The bias of the most used unit moves until the largest example is 3e-7 from
-- its kink.
local unit = params[3].weight:square():sum(1):argmax():item()
local example = x:square():sum(2):argmax():item()
local z = x:matmul(params[1].weight:T()) + params[1].bias
local shift = sd.zeros_like(params[1].bias)
shift[unit] = 3e-7 - z[{ example, unit }]:item()
params[1].bias = params[1].bias + shift

local H = sd.curvature.hessian(loss, params)
local exact = H:eigs { k = 1 }.values:item()

-- The Hessian's columns by central differences, made symmetric.
local flat, unravel = sd.tree.ravel(params)
local gradient = sd.jit(sd.vmap(function(v)
  return sd.tree.ravel(sd.grad(loss)(unravel(v)))
end))
local function differences(h)
  local I = h * sd.eye(H.n, { dtype = "f64" })
  local D = (gradient(flat + I) - gradient(flat - I)) / (2 * h)
  return (sd.linalg.eigh((D + D:T()) / 2)):max():item()
end

print(("largest eigenvalue, by derivatives: %.4f"):format(exact))
print "by differences with step h"
for _, h in ipairs { 1e-3, 1e-4, 1e-5, 1e-6, 1e-7 } do
  local value = differences(h)
  print(("  %.0e  %10.4f  %s"):format(h, value, value > 10 * exact and
    "wrong by more than 10 times, as expected" or ""))
end
print(sd.curvature.kinks(net, params, x, { h = 1e-5 }))
