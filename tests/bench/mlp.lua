-- The MLP 784-512-512-10 with ReLU and cross-entropy.
local bench = require "bench"
local nn, optim = sd.nn, sd.optim

local net = nn.mlp { 784, 512, 512, 10 }
local function loss(p, a, b) return sd.cross_entropy(net(p, a), b) end
local layers = 784 * 512 + 512 * 512 + 512 * 10
local forward = 2 * layers
local training = forward * 2 + 2 * (512 * 512 + 512 * 10)

local function data(n)
  return sd.randn(n, 784), sd.randint(1, 10, { n })
end

local x, y = data(128)
for _, rule in ipairs { { "sgd momentum", optim.sgd, { lr = 0.01,
                          momentum = 0.9 } },
                        { "adam", optim.adam, { lr = 1e-4 } } } do
  local params = net:init { seed = 1 }
  local opt = rule[2](rule[3])
  bench.time("mlp 784 b128 " .. rule[1] .. ", step", function()
    params = opt:step(loss, params, x, y)
  end, { flops = training * 128 })
  params = net:init { seed = 1 }
  local step = rule[2](rule[3]):compile(loss)
  bench.time("mlp 784 b128 " .. rule[1] .. ", compiled", function()
    params = step(params, x, y)
  end, { flops = training * 128 })
end

local params = net:init { seed = 1 }
local both = sd.value_and_grad(loss)
bench.time("mlp 784 b128 gradient", function()
  sd.eval(both(params, x, y))
end, { flops = training * 128 })

local X, Y = data(10000)
bench.time("mlp 784 b10000 forward", function()
  sd.eval(loss(params, X, Y))
end, { flops = forward * 10000 })
