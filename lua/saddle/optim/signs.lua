-- Steps of the gradient's sign, and Adan.

local sd = require "saddle.init"
local terms = require "saddle.optim.terms"

return function(optim)
  --- Sign descent (Bernstein et al. 2018): w <- w - lr sign(m), m <- beta m +
  --- (1 - beta) g (with beta above 0: Signum).
  ---@param o? table lr (1e-3), beta (0), weight_decay (0: shrinks w)
  optim.signsgd = optim.rule {
    name = "signsgd", tidy = true,
    defaults = { lr = 1e-3, beta = 0, weight_decay = 0 },
    init = function(p) return { m = sd.zeros_like(p) } end,
    update = function(p, g, s, h)
      s.m = h.beta * s.m + (1 - h.beta) * g
      return terms.shrunk(p, h) - h.lr * s.m:sign()
    end,
  }

  --- Lion (Chen et al. 2023): w <- w - lr (sign(beta1 m + (1 - beta1) g) +
  --- weight_decay w), m <- beta2 m + (1 - beta2) g. optax decays by 1e-3 unless
  --- told otherwise, Keras takes lr = 1e-3.
  ---@param o? table lr (1e-4), beta1 (0.9), beta2 (0.99), weight_decay (0)
  optim.lion = optim.rule {
    name = "lion", tidy = true,
    defaults = { lr = 1e-4, beta1 = 0.9, beta2 = 0.99, weight_decay = 0 },
    init = function(p) return { m = sd.zeros_like(p) } end,
    update = function(p, g, s, h)
      local u = (h.beta1 * s.m + (1 - h.beta1) * g):sign()
      s.m = h.beta2 * s.m + (1 - h.beta2) * g
      return terms.shrunk(p, h) - h.lr * u
    end,
  }

  --- Adan, Nesterov's momentum on Adam (Xie et al. 2022), with d = g - the
  --- last g: m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) d, n <-
  --- beta3 n + (1 - beta3) (g + beta2 d)^2, w <- (w - lr (m' + beta2 v') /
  --- (sqrt(n') + eps)) / (1 + lr weight_decay), primes standing for the
  --- correction of bias.
  ---@param o? table lr (1e-3), beta1 (0.98), beta2 (0.92), beta3 (0.99), eps
  ---  (1e-8), weight_decay (0)
  optim.adan = optim.rule {
    name = "adan", tidy = true,
    defaults = { lr = 1e-3, beta1 = 0.98, beta2 = 0.92, beta3 = 0.99,
                 eps = 1e-8, weight_decay = 0 },
    init = function(p)
      return { m = sd.zeros_like(p), v = sd.zeros_like(p),
               n = sd.zeros_like(p), last = sd.zeros_like(p) }
    end,
    update = function(p, g, s, h)
      local d = terms.is_first(h) and sd.zeros_like(g) or g - s.last
      local u = g + h.beta2 * d
      s.last = g
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.v = h.beta2 * s.v + (1 - h.beta2) * d
      s.n = h.beta3 * s.n + (1 - h.beta3) * (u * u)
      local root = (s.n / (1 - h.beta3 ^ h.t)):sqrt() + h.eps
      local step = s.m / (1 - h.beta1 ^ h.t) +
                   s.v * (h.beta2 / (1 - h.beta2 ^ h.t))
      return (p - h.lr * step / root) / (1 + h.lr * h.weight_decay)
    end,
  }
end
