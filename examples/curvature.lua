-- How curved is the loss where training stops, and in how many directions?
-- Trains a classifier of three spirals and looks at its Hessian without ever
-- writing the matrix down. Takes a few seconds.
local data = sd.data.spirals { n = 600, arms = 3, noise = 0.02, seed = 1 }
local net = sd.nn.mlp { 2, 32, 32, 3, activation = "tanh" }
local function loss(p, x, y) return sd.cross_entropy(net(p, x), y) end

local params = net:init { seed = 1 }
local opt = sd.optim.adam { lr = 1e-2 }
local step = opt:compile(loss)
print("step   loss     sharpness")
for i = 0, 800 do
  if i % 200 == 0 then
    print(("%4d   %.5f  %.3f"):format(i, loss(params, data.x, data.y):item(),
      sd.curvature.sharpness(loss, params, data.x, data.y)))
  end
  params = step(params, data.x, data.y)
end

local H = sd.curvature.hessian(loss, params, data.x, data.y)
local top = H:eigs { k = 6 }
print("largest eigenvalues", top.values)
print("their residuals", top.residuals)
local trace, error = H:trace { samples = 64 }
print(("trace %.2f +- %.2f"):format(trace, error))
local share = top.values:sum():item() / trace
print(("6 of %d directions hold %.0f %% of the curvature"):format(
  H.n, 100 * share))
print(sd.critical.classify(loss, params, { args = { data.x, data.y } }))
