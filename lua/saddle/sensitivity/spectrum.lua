-- Jacobians of outputs in inputs: singular values, at each depth, and the
-- Lipschitz constants they bound.

local core = require "saddle.core"
local fail = require "saddle.fail"
local interrupt = require "saddle.interrupt"
local jacobian = require "saddle.curvature.jacobian"
local models = require "saddle.curvature.models"
local sd = require "saddle.init"

local spectrum = {}

local function input(model, x, what)
  models.callable(model, what, "model")
  if not sd.is_tensor(x) or (x.dtype ~= "f32" and x.dtype ~= "f64") then
    fail("%s: the input must be a tensor of f32 or f64, not %s", what,
         sd.is_tensor(x) and x.dtype or "a " .. type(x))
  end
  return x
end

-- model as a function of the flat input.
local function flat_model(model, x)
  local shape = x.shape
  return function(v) return model(v:reshape(shape)) end
end

-- All singular values of a matrix, descending: the positive eigenvalues of
-- [0 J; J' 0], which unlike those of J'J are right to rounding of the largest.
local function singular_values(J)
  local m, n = J:size(1), J:size(2)
  J = J:to "f64"
  local o = { dtype = "f64" }
  local A = sd.cat({ sd.cat({ sd.zeros(m, m, o), J }, 2),
                     sd.cat({ J:transpose(1, 2), sd.zeros(n, n, o) }, 2) }, 1)
  local w = (sd.linalg.eigh(A)):flip(1)
  return w:narrow(1, 1, math.min(m, n)):abs()
end

-- Up to this many rows and columns together the whole matrix is taken.
local dense_limit = 1200

--- The singular values of dy/dx at x, descending: { values, exact }, all of
--- them while outputs and inputs are at most 1,200 together, with k the k
--- largest by products alone, with left and right vectors, residuals and
--- converged, and reason ("interrupted" after Ctrl-C, with what there is).
---
--- ```lua
--- local s = sd.sensitivity.spectrum(function(x) return sd.sin(x) end,
---                                   sd.tensor{ 0, 1 })
--- print(s.values)
--- ```
---@param model function of x
---@param x any a tensor
---@param o? table k, tol, max_iter, seed
function spectrum.spectrum(model, x, o)
  o = sd.check_options(o, { "k:N", "tol:F", "max_iter:N", "seed:I" },
                       "spectrum")
  input(model, x, "spectrum")
  local J = jacobian.of(flat_model(model, x), sd.eval(x:reshape(-1)),
                        "spectrum")
  if not o.k and J.m + J.n <= dense_limit then
    return { values = singular_values(J:dense()), exact = true }
  end
  local k = math.min(o.k or 10, J.m, J.n)
  local s = J:svd { k = k, tol = o.tol, max_iter = o.max_iter, seed = o.seed }
  s.exact = false
  return s
end

--- The spectrum after each layer of a chain: a list of { layer, values, exact }
--- of the Jacobians of the first 1, 2, ... layers in x. Ctrl-C returns those so
--- far, reason = "interrupted".
---@param net any a chain of layers
---@param params any
---@param x any one example, with its batch dim
---@param o? table k, tol, max_iter, seed
function spectrum.depths(net, params, x, o)
  local layers = type(net) == "table" and rawget(net, "layers")
  if not layers then fail "depths: needs a chain of layers" end
  local list, good = interrupt.steps(#layers, {}, function(list, depth)
    local function model(v)
      for i = 1, depth do v = (layers[i](params[i], v)) end
      return v
    end
    local s = spectrum.spectrum(model, x, o)
    s.layer = layers[depth].name
    list[depth] = s
    return list, s.reason == "interrupted"
  end)
  local last = list[#list]
  if not good or last and last.reason == "interrupted" then
    interrupt.partial(list)
  end
  return list
end

-- ---- saliency --------------------------------------------------------------

local function labels(z, class)
  if class == nil then return sd.argmax(z, 2) end
  if sd.is_tensor(class) then return class end
  if math.type(class) ~= "integer" or class < 1 or class > z:size(2) then
    fail("saliency: class must be 1 to %d or a tensor of labels, not %s",
         z:size(2), tostring(class))
  end
  return sd.full({ z:size(1) }, class, { dtype = "i64" })
end

-- The gradient of the chosen scores, each in its own example.
local function score_gradient(model, hot)
  return core.jit(function(x)
    return (sd.grad(function(v) return (model(v) * hot):sum() end)(x))
  end)
end

--- How the score of a class reacts to each input, in the form of x {N, ...}:
--- the gradient; its product with the input; its mean under noise (SmoothGrad,
--- Smilkov et al. 2017); or its integral from a baseline (Sundararajan, Taly
--- and Yan 2017), whose sum is the score's change. Of the mean, Ctrl-C returns
--- that of the samples so far, and "interrupted".
---@param model function of x; gives scores {N, C}
---@param x any a batch
---@param class? any a class, labels {N}, or nil: the predicted ones
---@param o? table method "gradient" | "input" | "smooth" | "integrated",
---  samples (32), sigma (0.1 of the range), baseline (zeros), seed
function spectrum.saliency(model, x, class, o)
  o = sd.check_options(o, { "method:S", "samples:N", "sigma:F", "baseline",
                            "seed:I" }, "saliency")
  input(model, x, "saliency")
  local z = model(x)
  if z.ndim ~= 2 then
    fail("saliency: the model must give scores {N, C}, not {%s}",
         table.concat(z.shape, ", "))
  end
  local y = labels(z, class)
  local hot = sd.eval(sd.one_hot(y, z:size(2)):to(z.dtype))
  local gradient = score_gradient(model, hot)
  local method, samples = o.method or "gradient", o.samples or 32
  if method == "gradient" then return gradient(x) end
  if method == "input" then return gradient(x) * x end
  local sum = sd.zeros_like(x)
  if method == "smooth" then
    local sigma = o.sigma or 0.1 * (x:max() - x:min()):item()
    local g = sd.generator(o.seed or 1)
    local s, good = interrupt.steps(samples, { sum, taken = 0 },
                                    function(before, i)
      local noise = sd.randn(x.shape, { dtype = x.dtype, generator = g })
      return { sd.eval(before[1] + gradient(x + sigma * noise)), taken = i }
    end)
    if s.taken == 0 then interrupt.raise() end
    if not good then return s[1] / s.taken, "interrupted" end
    return s[1] / samples
  elseif method == "integrated" then
    local from = o.baseline or sd.zeros_like(x)
    -- Gauss-Legendre would do better for smooth models, the midpoint rule does
    -- not mind kinks.
    for i = 1, samples do
      local t = (i - 0.5) / samples
      sum = sd.eval(sum + gradient(from + t * (x - from)))
    end
    return (x - from) * sum / samples
  end
  fail("saliency: method must be gradient, input, smooth, integrated, not '%s'",
       method)
end

-- ---- Lipschitz constants ----------------------------------------------------

-- Layers that never stretch distances.
local steady = { relu = true, leaky_relu = true, tanh = true, sigmoid = true,
                 softplus = true, elu = true, hardtanh = true, flatten = true,
                 identity = true, softmax = true, sin = true, celu = true }

-- The product of the layers' norms, nil with the name of one that has none.
local function product_bound(net, params)
  local layers = rawget(net, "layers")
  if layers then
    local bound = 1
    for i, l in ipairs(layers) do
      local b, name = product_bound(l, params[i])
      if not b then return nil, name end
      bound = bound * b
    end
    return bound
  end
  if steady[net.name] then return 1 end
  local p = type(params) == "table" and params.weight
  if net.name:find "^dense" and p and p.ndim == 2 then
    return singular_values(p)[1]:item()
  end
  return nil, net.name
end

--- Bounds of the Lipschitz constant of model near x in the 2-norm: { lower,
--- local_norm (|dy/dx| at x), upper, upper_missing }. lower is the largest
--- |dy/dx| at x and at samples points drawn in the ball of radius around it:
--- the constant is at least that. With net and params, upper is the product of
--- the layers' norms, over all inputs; it is nil when a layer has no known
--- norm, upper_missing. Ctrl-C returns the bounds so far, reason =
--- "interrupted".
---@param model function of x
---@param x any one example with its batch dim
---@param o? table radius (0), samples (0), seed, net, params
function spectrum.lipschitz(model, x, o)
  o = sd.check_options(o, { "radius:F", "samples:I", "seed:I", "net",
                            "params" }, "lipschitz")
  input(model, x, "lipschitz")
  local g = sd.generator(o.seed or 1)
  local radius, samples = o.radius or 0, o.samples or 0
  if not (radius >= 0) or samples < 0 then
    fail("lipschitz: radius and samples must be 0 or above, not %g and %d",
         radius, samples)
  end
  if radius > 0 and samples == 0 then samples = 16 end
  local function at(v)
    local s = spectrum.spectrum(model, v, { k = 1, tol = 1e-6 })
    return interrupt.whole(s).values[1]:item()
  end
  local here = at(x)
  local r = { local_norm = here }
  local lower, good = interrupt.steps(samples, here, function(most)
    local u = sd.randn(x.shape, { dtype = x.dtype, generator = g })
    local share = sd.rand({}, { dtype = "f64", generator = g }):item()
    local length = radius * share ^ (1 / x:numel())
    return math.max(most, at(x + u * (length / u:norm():item())))
  end)
  r.lower = lower
  if not good then interrupt.partial(r) end
  if o.net and o.params then
    r.upper, r.upper_missing = product_bound(o.net, o.params)
  end
  return r
end

return spectrum
