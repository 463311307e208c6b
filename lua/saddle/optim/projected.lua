-- SGDP and AdamP (Heo et al. 2021): of weights whose scale does not matter
-- (those before a normalisation, whose gradient is orthogonal to them), the
-- step's radial part is left out, which only makes them grow.

local fail = require "saddle.fail"
local sd = require "saddle.init"

local keep = { keepdim = true }

local function lengths(X) return X:square():sum(2, keep):sqrt() end

-- u as {rows, ...} without its part along p, and whether the gradient's cosine
-- with each row of p is below delta / sqrt(its size).
local function flattened(p, g, u, rows, h)
  local P, G, U = p:reshape(rows, -1), g:reshape(rows, -1), u:reshape(rows, -1)
  local size = lengths(P)
  local cosine = (P * G):sum(2, keep):abs() /
                 sd.maximum(size * lengths(G), h.eps)
  local unit = P / (size + h.eps)
  return (U - unit * (unit * U):sum(2, keep)):reshape(p.shape),
         cosine:max():lt(h.delta / P:size(2) ^ 0.5)
end

-- The step u of p, and the factor of its weight decay: by rows where all of
-- them are orthogonal to the gradient, else as a whole where that is.
local function project(p, g, u, h)
  local one = sd.ones({}, { dtype = p.dtype })
  if p.ndim < 2 then return u, one end
  local by_rows, free = flattened(p, g, u, p:size(1), h)
  local whole, free_whole = flattened(p, g, u, 1, h)
  return sd.where(free, by_rows, sd.where(free_whole, whole, u)),
         sd.where(free:logical_or(free_whole), one * h.wd_ratio, one)
end

local function check(rule)
  return function(h)
    if h.wd_ratio ~= nil and type(h.wd_ratio) == "number" and
       h.wd_ratio > 1 then
      fail("%s: wd_ratio must be at most 1, not %g", rule, h.wd_ratio)
    end
  end
end

return function(optim)
  --- SGD with momentum whose radial steps are left out; weight_decay shrinks w
  --- by lr weight_decay / (1 - momentum), times wd_ratio where it was
  --- projected.
  ---@param o? table lr (1e-3), momentum (0), dampening (0), nesterov (false),
  ---  weight_decay (0), delta (0.1), wd_ratio (0.1), eps (1e-8)
  optim.sgdp = optim.rule {
    name = "sgdp", tidy = true, check = check "sgdp",
    defaults = { lr = 1e-3, momentum = 0, dampening = 0, nesterov = false,
                 weight_decay = 0, delta = 0.1, wd_ratio = 0.1, eps = 1e-8 },
    init = function(p) return { v = sd.zeros_like(p) } end,
    update = function(p, g, s, h)
      s.v = h.momentum * s.v + (1 - h.dampening) * g
      local u, factor = project(p, g, h.nesterov and g + h.momentum * s.v or
                                s.v, h)
      if h.weight_decay ~= 0 then
        p = p * (1 - h.lr * h.weight_decay / (1 - h.momentum) * factor)
      end
      return p - h.lr * u
    end,
  }

  --- Adam whose radial steps are left out; weight_decay shrinks w as AdamW's.
  ---@param o? table lr (1e-3), beta1 (0.9), beta2 (0.999), eps (1e-8),
  ---  weight_decay (0), delta (0.1), wd_ratio (0.1), nesterov (false)
  optim.adamp = optim.rule {
    name = "adamp", tidy = true, check = check "adamp",
    defaults = { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8,
                 weight_decay = 0, delta = 0.1, wd_ratio = 0.1,
                 nesterov = false },
    init = function(p)
      return { m = sd.zeros_like(p), v = sd.zeros_like(p) }
    end,
    update = function(p, g, s, h)
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.v = h.beta2 * s.v + (1 - h.beta2) * (g * g)
      local m = h.nesterov and h.beta1 * s.m + (1 - h.beta1) * g or s.m
      local root = (s.v / (1 - h.beta2 ^ h.t)):sqrt() + h.eps
      local u, factor = project(p, g, m / root, h)
      if h.weight_decay ~= 0 then
        p = p * (1 - h.lr * h.weight_decay * factor)
      end
      return p - h.lr / (1 - h.beta1 ^ h.t) * u
    end,
  }
end
