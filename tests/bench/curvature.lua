-- Hessian-vector products and whole Hessians.
local bench = require "bench"
local nn = sd.nn

local function study(name, net, x, y, f)
  local params = net:init { seed = 1 }
  local function loss(p) return f(net(p, x), y) end
  local grad, v = sd.grad(loss), sd.tree.randn_like(params)
  bench.time(name .. ", gradient", function() sd.eval(grad(params)) end)
  bench.time(name .. ", first HVP at a point", function()
    sd.eval(sd.hvp(loss, params, v))
  end)
  local H = sd.curvature.hessian(loss, params)
  local flat = sd.randn(H.n)
  bench.time(name .. ", HVP repeated", function()
    sd.eval(H:matvec(flat))
  end)
  local eight = sd.randn(H.n, 8)
  bench.time(name .. ", 8 HVPs at once", function()
    sd.eval(H:matmat(eight))
  end)
end

study("mlp 784 b1024", nn.mlp { 784, 512, 512, 10 }, sd.randn(1024, 784),
      sd.randint(1, 10, { 1024 }), sd.cross_entropy)
study("mlp 2-32-32-1 b64", nn.mlp { 2, 32, 32, 1, activation = "tanh" },
      sd.randn(64, 2), sd.randn(64, 1), sd.mse)

local net = nn.mlp { 4, 16, 8, 3, activation = "tanh" }
local x, y = sd.randn(150, 4), sd.randint(1, 3, { 150 })
local params = net:init { seed = 1 }
local function loss(p) return sd.cross_entropy(net(p, x), y) end
bench.time("Hessian of mlp 4-16-8-3, 150 samples", function()
  sd.eval(sd.curvature.hessian(loss, params):dense())
end)

net = nn.mlp { 784, 16, 10, activation = "tanh" }
x, y = sd.randn(1024, 784), sd.randint(1, 10, { 1024 })
params = net:init { seed = 1 }
local H = sd.curvature.hessian(loss, params)
bench.time("Hessian of mlp 784-16-10, 1024 samples, a row", function()
  local _ <close> = sd.eval(H:dense()) -- 648 MB, freed as Python does
end, { scale = H.n })
