-- Rates by the norms of whole parameters, for large batches, and averages of
-- iterates in the place of schedules.

local sd = require "saddle.init"
local terms = require "saddle.optim.terms"

-- |p| / |u|, 1 where one of them is 0.
local function ratio(p, u)
  local a, b = p:square():sum():sqrt(), u:square():sum():sqrt()
  local good = a:gt(0):logical_and(b:gt(0))
  return sd.where(good, a / sd.where(good, b, sd.ones_like(b)),
                  sd.ones_like(a))
end

return function(optim)
  --- LAMB (You et al. 2020): Adam's step r (+ weight_decay w), scaled for each
  --- parameter by |w| / |r|.
  ---@param o? table lr (1e-3), beta1 (0.9), beta2 (0.999), eps (1e-6),
  ---  weight_decay (0.01)
  optim.lamb = optim.rule {
    name = "lamb", tidy = true,
    defaults = { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-6,
                 weight_decay = 0.01 },
    init = terms.moments,
    update = function(p, g, s, h)
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.v = h.beta2 * s.v + (1 - h.beta2) * (g * g)
      local r = s.m / (1 - h.beta1 ^ h.t) /
                ((s.v / (1 - h.beta2 ^ h.t)):sqrt() + h.eps) +
                h.weight_decay * p
      return p - h.lr * ratio(p, r) * r
    end,
  }

  --- LARS (You, Gitman and Ginsburg 2017): momentum's step, with the rate of
  --- each parameter lr trust |w| / (|g| + weight_decay |w|) (lr where either
  --- norm is 0): v <- momentum v + rate (g + weight_decay w), w <- w - v.
  ---@param o? table lr (0.1), momentum (0.9), trust (1e-3), weight_decay (0),
  ---  eps (1e-8)
  optim.lars = optim.rule {
    name = "lars", tidy = true,
    defaults = { lr = 0.1, momentum = 0.9, trust = 1e-3, weight_decay = 0,
                 eps = 1e-8 },
    check = terms.at_most_one("lars", "momentum"),
    init = function(p) return { v = sd.zeros_like(p) } end,
    update = function(p, g, s, h)
      local a, b = p:square():sum():sqrt(), g:square():sum():sqrt()
      local good = a:gt(0):logical_and(b:gt(0))
      local own = h.trust * a / (b + h.weight_decay * a + h.eps)
      local rate = h.lr * sd.where(good, own, sd.ones_like(own))
      s.v = h.momentum * s.v + rate * (g + h.weight_decay * p)
      return p - s.v
    end,
  }

  --- NovoGrad (Ginsburg et al. 2019): one second moment for each parameter, v
  --- <- beta2 v + (1 - beta2) |g|^2 (|g|^2 at first), m <- beta1 m + g /
  --- (sqrt(v) + eps) + weight_decay w, w <- w - lr m.
  ---@param o? table lr (0.01), beta1 (0.95), beta2 (0.98), eps (1e-8),
  ---  weight_decay (0)
  optim.novograd = optim.rule {
    name = "novograd", tidy = true,
    defaults = { lr = 0.01, beta1 = 0.95, beta2 = 0.98, eps = 1e-8,
                 weight_decay = 0 },
    init = function(p)
      return { m = sd.zeros_like(p), v = sd.zeros({}, { dtype = p.dtype }) }
    end,
    update = function(p, g, s, h)
      local square = g:square():sum()
      s.v = terms.is_first(h) and square or
            h.beta2 * s.v + (1 - h.beta2) * square
      s.m = h.beta1 * s.m + g / (s.v:sqrt() + h.eps) + h.weight_decay * p
      return p - h.lr * s.m
    end,
  }

  --- Schedule-free (Defazio et al. 2024): the gradient is taken at y = (1 -
  --- beta) z + beta x, which the parameters are; z <- z - lr g, x <- (1 - c) x
  --- + c z with c = lr^2 / the sum of lr^2 so far (1 / t). With beta2 above 0 g
  --- is divided by Adam's root. opt:average(params) gives x, to be evaluated.
  ---@param o? table lr (0.1), beta (0.9), beta2 (0), eps (1e-8), weight_decay
  ---  (0: at y)
  optim.schedule_free = optim.rule {
    name = "schedule_free", tidy = true,
    defaults = { lr = 0.1, beta = 0.9, beta2 = 0, eps = 1e-8,
                 weight_decay = 0 },
    init = function(p)
      return { z = p, x = p, v = sd.zeros_like(p),
               sum = sd.zeros({}, { dtype = "f64" }) }
    end,
    update = function(p, g, s, h)
      if h.beta2 ~= 0 then
        s.v = h.beta2 * s.v + (1 - h.beta2) * (g * g)
        g = g / ((s.v / (1 - h.beta2 ^ h.t)):sqrt() + h.eps)
      end
      g = terms.decayed(p, g, h)
      local weight = h.lr * h.lr
      s.sum = s.sum + weight
      s.z = s.z - h.lr * g
      s.x = s.x + (weight / s.sum) * (s.z - s.x)
      return (1 - h.beta) * s.z + h.beta * s.x
    end,
    average = function(_, s) return s.x end,
  }
end
