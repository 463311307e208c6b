-- Layers, parameter trees, initialisers.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local nn = sd.nn

-- ---- dense -----------------------------------------------------------------

local layer = nn.dense(3, 2)
local p = { weight = sd.tensor { { 1, 2, 3 }, { 4, 5, 6 } },
            bias = sd.tensor { 10, 20 } }
tap.is(layer(p, sd.tensor { 1, 1, 2 }):totable(), { 19, 41 },
       "dense is x W^T + b")
tap.is(layer(p, sd.ones(5, 4, 3)).shape, { 5, 4, 2 },
       "dense works on the last dim")
tap.is(nn.dense(3, 2, { bias = false }):init { seed = 1 }.bias, nil,
       "dense without a bias")

-- ---- trees -------------------------------------------------------------------

local net = nn.chain { nn.flatten(), nn.dense(4, 3), nn.relu(),
                       nn.dense(3, 2) }
local params, state = net:init { seed = 1 }
local _, paths = sd.tree.leaves(params)
tap.is(paths, { "2.bias", "2.weight", "4.bias", "4.weight" },
       "parameters are keyed by the layers' places")
tap.is(state, nil, "a net without buffers has no state")
tap.is(net(params, sd.ones(6, 2, 2)).shape, { 6, 2 }, "flatten, then dense")
tap.is(net:init { seed = 1 }[2].weight:totable(), params[2].weight:totable(),
       "the same seed, the same parameters")
tap.ok(net:init { seed = 2 }[2].weight[{ 1, 1 }]:item() ~=
       params[2].weight[{ 1, 1 }]:item(), "another seed, others")
tap.is(net:init { seed = 1, dtype = "f64" }[2].weight.dtype, "f64",
       "init takes a dtype")
tap.ok(net:summary { 1, 2, 2 }:find "23 parameters", "summary counts")

-- ---- derivatives -----------------------------------------------------------------

local small = nn.mlp { 2, 5, 3, activation = "tanh" }
local wide = small:init { seed = 3, dtype = "f64" }
local x = sd.randn(7, 2, { dtype = "f64", generator = sd.generator(1) })
local y = sd.tensor({ 1, 2, 3, 1, 2, 3, 1 }, { dtype = "i64" })
tap.ok(sd.check_grad(function(q) return sd.cross_entropy(small(q, x), y) end,
                     wide), "an mlp's derivatives to second order")

-- ---- initialisers ---------------------------------------------------------------------

local shape = { 400, 300 }
local function drawn(init)
  return init(shape, sd.generator(5), "f64")
end
local function spread(init) return drawn(init):std():item() end
tap.near(spread(nn.init.kaiming_normal {}), math.sqrt(2 / 300), 1e-3,
         "kaiming_normal: variance 2 / fan in")
tap.near(spread(nn.init.kaiming_uniform {}), math.sqrt(2 / 300), 1e-3,
         "kaiming_uniform: the same variance")
tap.near(spread(nn.init.xavier_uniform {}), math.sqrt(2 / 700), 1e-3,
         "xavier_uniform: variance 2 / (fan in + fan out)")
tap.near(spread(nn.init.xavier_normal { gain = 2 }), 2 * math.sqrt(2 / 700),
         1e-3, "xavier_normal with a gain")
tap.near(spread(nn.init.lecun_normal()), math.sqrt(1 / 300), 1e-3,
         "lecun_normal: variance 1 / fan in")
local most = nn.dense(300, 400):init { seed = 1 }.weight:abs():max():item()
tap.ok(most <= 1 / math.sqrt(300) and most > 0.99 / math.sqrt(300),
       "dense starts uniform within 1 / sqrt(fan in), as PyTorch")

-- ---- mistakes -------------------------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "nn_test.lua:%d+: " .. pattern, name)
end
bad(function() layer(p, sd.ones(2, 4)) end,
    "dense%(3, 2%): the input has shape {2, 4}; its last dim must be 3",
    "an input of another width")
bad(function() layer({}, sd.ones(2, 3)) end,
    "dense%(3, 2%): no weight in the parameters", "missing parameters")
bad(function() layer(p, 3) end, "dense%(3, 2%): the input is a number",
    "an input that is no tensor")
bad(function() nn.dense(3, 0) end, "dense: sizes must be whole numbers",
    "a layer of no width")
bad(function() nn.chain { nn.relu(), 3 } end, "chain: entry 2 is a number",
    "a chain of something else")
bad(function() nn.mlp { 2, 2, activation = "relo" } end,
    "mlp: no activation 'relo'", "an unknown activation")
bad(function() nn.mlp { 2, 2, activaton = "relu" } end,
    "mlp: unknown option 'activaton' %(did you mean 'activation'%?%)",
    "an unknown option")
bad(function() nn.init.kaiming_normal {}({ 3 }, nil, "f32") end,
    "init: a weight of shape {3}", "a weight without fan-in")

-- ---- misspelt names ----------------------------------------------------------------

tap.throws(function() nn.dens(1, 2) end,
           "sd.nn has no 'dens' %(did you mean 'dense'", "a misspelt layer")
tap.throws(function() nn.init.kaming_uniform() end,
           "sd.nn.init has no .*'kaiming_uniform'", "a misspelt initialiser")
tap.throws(function() nn.mlp { 2, 2, activation = "tahn" } end,
           "no activation 'tahn' %(did you mean 'tanh'", "an activation")
tap.throws(function() nn.mlp { 2, 2, activation = "dense" } end,
           "no activation 'dense' %(there are relu,", "a layer is none")
tap.done()
