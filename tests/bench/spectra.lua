-- Spectra of a large MLP, attacks, tangent kernels.
local bench = require "bench"
local nn = sd.nn

local net = nn.mlp { 784, 512, 512, 10 }
local params = net:init { seed = 1 }
local x, y = sd.randn(1024, 784), sd.randint(1, 10, { 1024 })
local function loss(p) return sd.cross_entropy(net(p, x), y) end
local H = sd.curvature.hessian(loss, params)
bench.time("Lanczos, 100 steps, mlp 784 b1024", function()
  H:lanczos { steps = 100 }
end)
bench.time("density, 4 probes x 80, mlp 784 b1024", function()
  H:density { steps = 80, probes = 4 }
end)

local pictures, labels = sd.rand(2000, 784), sd.randint(1, 10, { 2000 })
local function model(p, a) return (net(p, a)) end
bench.time("FGSM of 2000 pictures", function()
  sd.eval(sd.sensitivity.fgsm { model = model, params = params, eps = 0.1,
                                x = pictures, y = labels })
end)

local small = nn.mlp { 784, 128, 1 }
local p = small:init { seed = 1 }
local z = sd.randn(512, 784)
bench.time("NTK of 512 samples, 0.1 M parameters", function()
  sd.eval(sd.curvature.ntk(small, p, z):dense())
end)
bench.time("the same, of any function", function()
  sd.eval(sd.curvature.ntk(function(q, a) return (small(q, a)) end, p, z)
            :dense())
end)
