-- Quasi-hyperbolic momentum: steps between the gradient and its average.

local sd = require "saddle.init"
local terms = require "saddle.optim.terms"

return function(optim)
  --- QHM (Ma and Yarats 2019): v <- beta v + (1 - beta) g, w <- w - lr ((1 -
  --- nu) g + nu v). nu = 1 is the average form of momentum.
  ---@param o? table lr (0.1), beta (0.999), nu (0.7), weight_decay (0)
  optim.qhm = optim.rule {
    name = "qhm", tidy = true,
    defaults = { lr = 0.1, beta = 0.999, nu = 0.7, weight_decay = 0 },
    init = function(p) return { v = sd.zeros_like(p) } end,
    update = function(p, g, s, h)
      g = terms.decayed(p, g, h)
      s.v = h.beta * s.v + (1 - h.beta) * g
      return p - h.lr * ((1 - h.nu) * g + h.nu * s.v)
    end,
  }

  --- QHAdam (Ma and Yarats 2019): Adam with (1 - nu1) g + nu1 m' above and (1 -
  --- nu2) g^2 + nu2 v' under the root, primes standing for the correction of
  --- bias.
  ---@param o? table lr (1e-3), beta1 (0.995), beta2 (0.999), nu1 (0.7), nu2
  ---  (1), eps (1e-8), weight_decay (0)
  optim.qhadam = optim.rule {
    name = "qhadam", tidy = true,
    defaults = { lr = 1e-3, beta1 = 0.995, beta2 = 0.999, nu1 = 0.7, nu2 = 1,
                 eps = 1e-8, weight_decay = 0 },
    init = terms.moments,
    update = function(p, g, s, h)
      g = terms.decayed(p, g, h)
      local g2 = g * g
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.v = h.beta2 * s.v + (1 - h.beta2) * g2
      local m = s.m * (h.nu1 / (1 - h.beta1 ^ h.t)) + (1 - h.nu1) * g
      local v = s.v * (h.nu2 / (1 - h.beta2 ^ h.t)) + (1 - h.nu2) * g2
      return p - h.lr * m / (v:sqrt() + h.eps)
    end,
  }
end
