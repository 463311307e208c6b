-- What curvature is made of: subspaces, classes, noise, lines, kinks.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local curvature = sd.curvature
local f64 = { dtype = "f64" }
local g = sd.generator(2)
local rand = { dtype = "f64", generator = g }

local near = common.near

local net = sd.nn.mlp { 3, 5, 4, activation = "tanh" }
local params = net:init { seed = 1, dtype = "f64" }
local x, y = sd.randn(40, 3, rand), sd.randint(1, 4, { 40 }, { generator = g })
local function model(p, a) return (net(p, a)) end
local function loss(p, a, b) return sd.cross_entropy(model(p, a), b) end
local flat, unravel = sd.tree.ravel(params)
local n = flat:numel()
local H = curvature.hessian(loss, params, x, y)
local D = H:dense()

-- ---- subspaces ---------------------------------------------------------------------

local I = sd.eye(6, f64)
tap.near(curvature.overlap(I:narrow(2, 1, 2), I:narrow(2, 2, 2)), 0.5, 1e-14,
         "two planes that share a line")
tap.near(curvature.overlap(3 * I:narrow(2, 1, 2), sd.ones(6, f64)), 1 / 3,
         1e-14, "the share of a vector in a plane")
tap.near(curvature.overlap(sd.ones(6, f64), -2 * sd.ones(6, f64)), 1, 1e-14,
         "a vector and its multiple")
tap.is(curvature.overlap(sd.zeros(6, f64), I), 0, "nothing shares nothing")
local e = H:eigs { k = 3 }
tap.near(curvature.overlap(e, e), 1, 1e-10, "eigenvectors with themselves")
local own = H:ownership(e)
local total = 0
for _, part in ipairs(own[1]) do total = total + part.mass end
tap.near(total, 1, 1e-12, "the masses of an eigenvector sum to 1")
local spike = sd.zeros_like(flat)
spike[7] = 1 -- 1.bias has 5, then 1.weight {5, 3}: element 2, in row 1
local where = H:ownership(spike)[1][1]
tap.is({ where.path, where.neurons[1].index }, { "1.weight", 1 },
       "a spike is owned by its neuron")
local layers = H:layers { k = 2 }
tap.is(#layers, 4, "a spectrum for each parameter")
local from = 1
for _, l in ipairs(layers) do
  local block = D:narrow(1, from, l.n):narrow(2, from, l.n)
  near(l.values, (sd.linalg.eigh(block)):flip(1):narrow(1, 1, 2), 1e-8,
       l.path .. " has its own spectrum")
  from = from + l.n
end

-- ---- classes -----------------------------------------------------------------------

local G = curvature.ggn(model, sd.cross_entropy, params, x, y):dense()
local c = curvature.classes(model, params, x, y)
tap.near(c.trace, G:diag():sum():item(), 1e-12, "the trace of the GGN")
tap.ok(c.same > 0 and c.class > 0 and c.cross > 0 and c.within > 0,
       "all four parts are there")

-- The parts one by one, from every example's vectors.
local p = sd.softmax(model(params, x), 2)
local sums, weights, same = {}, {}, 0
local vectors = {}
for i = 1, 40 do
  local J = sd.jacobian(function(v)
    return model(unravel(v), x:narrow(1, i, 1)):reshape(-1)
  end)(flat)
  local label = y[i]:item()
  for k = 1, 4 do
    local v = (sd.eye(4, f64)[k] - p[i]):matmul(J)
    local w = p[{ i, k }]:item() / 40
    if k == label then
      same = same + w * v:square():sum():item()
    else
      local key = label * 10 + k
      sums[key] = sums[key] and sums[key] + w * v or w * v
      weights[key] = (weights[key] or 0) + w
      vectors[#vectors + 1] = { key = key, w = w, v = v }
    end
  end
end
local within, class = 0, 0
for _, t in ipairs(vectors) do
  within = within + t.w * (t.v - sums[t.key] / weights[t.key]):square():sum()
                             :item()
end
for label = 1, 4 do
  local s, w = 0, 0
  for k = 1, 4 do
    if k ~= label then
      s, w = s + sums[label * 10 + k], w + weights[label * 10 + k]
    end
  end
  class = class + (s:square():sum():item() / w)
end
tap.near(c.same, same, 1e-12, "the part of the own class")
tap.near(c.class, class, 1e-12, "the part of the class means")
tap.near(c.within, within, 1e-12, "the part within")
tap.near(c.class_values:sum():item(), c.class, 1e-12,
         "its eigenvalues sum to its trace")

local shares = curvature.class_ownership(model, params, x, y, e)
tap.is(shares.shape, { 3, 4 }, "each vector's share by class")
local want = {}
for label = 1, 4 do
  local idx = {}
  for i, l in ipairs(y:totable()) do if l == label then idx[#idx + 1] = i end end
  local some = sd.tensor(idx, { dtype = "i64" })
  local part = curvature.ggn(model, sd.cross_entropy, params, x:index_select(1, some),
                             y:index_select(1, some)):dense() * #idx / 40
  local v = e.vectors:narrow(2, 1, 1):reshape(-1)
  want[label] = (sd.dot(v, part:mv(v)) / sd.dot(v, G:mv(v))):item()
end
near(shares[1], sd.tensor(want, f64), 1e-10, "is that of the class's own GGN")

-- ---- lines -------------------------------------------------------------------------

local function polynomial(v)
  return 2 + 3 * v[1] + v[1] ^ 2 * v[2] + v[2] ^ 5
end
local t = curvature.taylor(polynomial, sd.tensor({ 1, 2 }, f64),
                           sd.tensor({ 1, -1 }, f64), { order = 6 })
-- (1+t)^2 (2-t) + (2-t)^5 + 3 (1+t) + 2
near(t, sd.tensor({ 39, -74, 80, -41, 10, -1, 0 }, f64), 1e-13,
     "the coefficients of a polynomial")
local d = sd.randn(n, rand)
local jet = curvature.taylor(loss, params, d, { order = 4, args = { x, y } })
tap.near(jet[2]:item(), sd.dot(sd.tree.ravel(sd.grad(loss)(params, x, y)), d)
           :item(), 1e-12, "the slope is the gradient's")
tap.near(jet[3]:item(), sd.dot(D:mv(d), d):item() / 2, 1e-12,
         "the curvature is the Hessian's")
local function at(s) return loss(unravel(flat + s * d), x, y):item() end
local h = 2e-3
local model_value = 0
for k = 0, 4 do model_value = model_value + jet[k + 1]:item() * h ^ k end
tap.near(model_value, at(h), 1e-12, "and the series is the loss")
tap.near(curvature.taylor(function(v) return sd.exp(v):sum() end,
                          sd.zeros(1, f64), sd.ones(1, f64))[7]:item(),
         1 / 720, 1e-15, "order 6 of exp")

-- ---- noise -------------------------------------------------------------------------

local per = sd.vmap(function(a, b)
  return sd.tree.ravel(sd.grad(loss)(params, a:unsqueeze(1), b:unsqueeze(1)))
end)(x, y)
local mean = per:mean(1)
local centred = per - mean
local C = centred:T():matmul(centred) / 40
local noise = curvature.noise(loss, params, { x, y }, { chunk = 7 })
near(noise.covariance:dense(), C, 1e-12, "the covariance of gradients")
tap.near(noise.trace, C:diag():sum():item() * 40 / 39, 1e-12, "its trace")
tap.near(noise.scale, noise.trace / (mean:square():sum():item() -
                                     noise.trace / 40), 1e-12, "noise scale")
near(noise.norms, per:square():sum(2):sqrt(), 1e-12, "each gradient's norm")
local HC = D:matmul(C):diag():sum():item()
tap.ok(math.abs(noise.trace_HC - HC) < 4 * noise.trace_HC_error,
       ("tr(HC) = %.4f is %.4f +- %.4f"):format(HC, noise.trace_HC,
                                              noise.trace_HC_error))
local cosine = HC / (D:norm() * C:norm()):item()
tap.ok(math.abs(noise.alignment - cosine) < 0.2,
       ("alignment %.3f is %.3f"):format(cosine, noise.alignment))

-- ---- kinks -------------------------------------------------------------------------

local relu = sd.nn.mlp { 2, 3, 1 }
local q = relu:init { seed = 1, dtype = "f64" }
local a = sd.randn(5, 2, rand)
local z = a:matmul(q[1].weight:T()) + q[1].bias
q[1].bias = q[1].bias - z[{ 2, 1 }] * sd.tensor({ 1, 0, 0 }, f64) +
            sd.tensor({ 3e-7, 0, 0 }, f64)
local census = curvature.kinks(relu, q, a, { h = 1e-6 })
tap.is({ census.within, census.count, #census }, { 1, 15, 1 },
       "one pre-activation is near a kink")
tap.near(census[1].nearest, 3e-7, 1e-12, "and how near")
tap.ok(census.warning:find "^1 of 15 values", census.warning)
tap.is(rawget(curvature.kinks(relu, q, a, { h = 1e-8 }), "warning"), nil,
       "no warning where there are none")
tap.is(#curvature.kinks(net, params, x), 0, "tanh has no kinks")

-- A max-pool of windows of four, in every way to say it.
local windows = sd.tensor({ { 1, 5, 5 - 3e-7, 2 }, { -1, -4, 2, 7 } }, f64)
local pools = {
  amax = function(_, v) return v:amax(2) end,
  max = function(_, v) return (v:max(2)) end,
  ["amax of views"] = function(_, v)
    return v:reshape(2, 2, 2):transpose(1, 2):amax { 1, 3 }
  end,
  amin = function(_, v) return -(-v):amin(2) end,
  min = function(_, v) return -((-v):min(2)) end }
for name, pool in pairs(pools) do
  local c = curvature.kinks(pool, nil, windows, { h = 1e-6 })
  tap.is({ c.within, c.count, c[1].name }, { 1, 2, name:match "%a+" },
         name .. ": one window has two nearly largest values")
  tap.near(c[1].nearest, 3e-7, 1e-12, "by their gap")
end
local both = curvature.kinks(function(_, v)
  return sd.maximum(v[{ {}, { 1, 2 } }], v[{ {}, { 3, 4 } }])
end, nil, windows, { h = 3.5 })
tap.is({ both.within, both.count, both[1].name, both[1].nearest },
       { 2, 4, "maximum", 3 }, "the larger of two views")
tap.is(#curvature.kinks(function(_, v) return sd.logsumexp(v, 2) end, nil,
                        windows), 0, "the shift of logsumexp is no kink")
local pooled = sd.nn.chain { sd.nn.dense(3, 4), sd.nn.relu(),
  sd.nn.lambda(function(v) return v:reshape(-1, 2, 2):amax(3) end, "pool") }
local r = pooled:init { seed = 1, dtype = "f64" }
r[1].weight = sd.zeros_like(r[1].weight)
r[1].bias = sd.tensor({ -1, -2, 1, 1 }, f64)
local c = curvature.kinks(pooled, r, sd.ones(5, 3, f64))
tap.is({ #c, c[1].path, c[1].within, c[2].path, c[2].name, c[2].within },
       { 2, "2", 0, "3", "amax", 5 },
       "a tie of dead units is no kink, one of live units is")
c = curvature.kinks(function(q, v) return (relu(q, v)):abs() end, q, a,
                    { h = 1e-6 })
tap.is({ #c, c[1].name, c[1].within, c[2].name }, { 2, "relu", 1, "abs" },
       "in a function the operations count")

-- ---- bad input ---------------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "structure_test.lua:%d+: " .. pattern, name)
end
bad(function() curvature.overlap(sd.ones(3), sd.ones(4)) end,
    "overlap: vectors of 3 and 4 elements", "vectors of two lengths")
bad(function() curvature.identity(3):ownership(sd.ones(3)) end,
    "ownership: this identity has no parameters", "no parameters to own anything")
bad(function() curvature.taylor(loss, params, sd.ones(3, f64)) end,
    "taylor: a direction of 3 elements for 44 parameters",
    "a direction of another length")
bad(function() curvature.taylor(loss, params, d, { order = 11 }) end,
    "taylor: order must be 0 to 10", "too high an order")
bad(function() curvature.classes(model, params, x, x) end,
    "classes: needs logits {N, C} and labels {N}", "labels that are none")
bad(function() curvature.kinks(3, params, x) end,
    "kinks: needs a net or a function, not a number", "no net")
bad(function() curvature.noise(loss, params, { x[{ { 1, 1 } }], y[{ { 1, 1 } }] }) end,
    "noise: needs at least two examples", "noise of one example")
tap.done()
