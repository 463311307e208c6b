-- Where every microsecond of overhead shows: tiny networks and functions.
local bench = require "bench"
local nn, optim = sd.nn, sd.optim

local x = sd.randn(64, 2)
local y = sd.sin(x:sum(2, { keepdim = true }))
local net = nn.mlp { 2, 32, 32, 1, activation = "tanh" }
local function loss(p, a, b) return sd.mse(net(p, a), b) end

local params = net:init { seed = 1 }
local opt = optim.adam { lr = 1e-3 }
bench.time("mlp 2-32-32-1 b64 adam, step", function()
  params = opt:step(loss, params, x, y)
end)
params = net:init { seed = 1 }
local step = optim.adam { lr = 1e-3 }:compile(loss)
bench.time("mlp 2-32-32-1 b64 adam, compiled", function()
  params = step(params, x, y)
end)
params = net:init { seed = 1 }
opt = optim.sgd { lr = 1e-2 }
bench.time("mlp 2-32-32-1 b64 sgd, step", function()
  params = opt:step(loss, params, x, y)
end)

local function rosenbrock(p)
  return (1 - p[1]) ^ 2 + 100 * (p[2] - p[1] ^ 2) ^ 2
end
local p = sd.tensor({ -1.5, 2 }, { dtype = "f64" })
opt = optim.adam { lr = 1e-2 }
bench.time("rosenbrock adam, step", function() p = opt:step(rosenbrock, p) end)
p = sd.tensor({ -1.5, 2 }, { dtype = "f64" })
step = optim.adam { lr = 1e-2 }:compile(rosenbrock)
bench.time("rosenbrock adam, compiled", function() p = step(p) end)

local a, b = sd.randn(4), sd.randn(4)
bench.time("add of 4 elements", function()
  local c = a
  for _ = 1, 100 do c = c + b end
  sd.eval(c)
end, { scale = 100 })
