-- Relatives of Adam that measure gradients in another way.

local sd = require "saddle.init"
local terms = require "saddle.optim.terms"
local decayed, moments = terms.decayed, terms.moments

return function(optim)
  --- AdaMax (Kingma and Ba 2015, section 7.1): u <- max(beta2 u, |g| + eps),
  --- w <- w - lr / (1 - beta1^t) m / u. The paper has no eps; PyTorch and optax
  --- have it there.
  ---@param o? table lr (2e-3), beta1 (0.9), beta2 (0.999), eps (1e-8),
  ---  weight_decay (0)
  optim.adamax = optim.rule {
    name = "adamax", tidy = true,
    defaults = { lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8,
                 weight_decay = 0 },
    init = function(p)
      return { m = sd.zeros_like(p), u = sd.zeros_like(p) }
    end,
    update = function(p, g, s, h)
      g = decayed(p, g, h)
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.u = sd.maximum(h.beta2 * s.u, g:abs() + h.eps)
      return p - h.lr / (1 - h.beta1 ^ h.t) * s.m / s.u
    end,
  }

  --- NAdam, Adam with Nesterov's momentum (Dozat 2016), with the momentum's
  --- schedule mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2); M_t being the
  --- product of mu_1 .. mu_t, w <- w - lr (mu_t+1 m / (1 - M_t+1) + (1 - mu_t)
  --- g / (1 - M_t)) / (sqrt(v / (1 - beta2^t)) + eps). momentum_decay is 4e-3
  --- in PyTorch and 1 in Keras; optax has no schedule: math.huge.
  ---@param o? table lr (2e-3), beta1 (0.9), beta2 (0.999), eps (1e-8),
  ---  weight_decay (0), momentum_decay (4e-3)
  optim.nadam = optim.rule {
    name = "nadam", tidy = true,
    defaults = { lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8,
                 weight_decay = 0, momentum_decay = 4e-3 },
    init = function(p)
      local s = moments(p)
      s.product = sd.ones({}, { dtype = "f64" })
      return s
    end,
    update = function(p, g, s, h)
      g = decayed(p, g, h)
      local function mu(t)
        return h.beta1 * (1 - 0.5 * 0.96 ^ (t * h.momentum_decay))
      end
      local now, next = mu(h.t), mu(h.t + 1)
      s.product = s.product * now
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.v = h.beta2 * s.v + (1 - h.beta2) * (g * g)
      local root = (s.v / (1 - h.beta2 ^ h.t)):sqrt() + h.eps
      return p - (h.lr * (1 - now) / (1 - s.product)) * g / root -
             (h.lr * next / (1 - s.product * next)) * s.m / root
    end,
  }

  --- AdaBelief (Zhuang et al. 2020): Adam with the average of (g - m)^2 + eps
  --- in the place of that of g^2. weight_decay shrinks w, as AdamW's does.
  ---@param o? table lr (1e-3), beta1 (0.9), beta2 (0.999), eps (1e-16),
  ---  weight_decay (0)
  optim.adabelief = optim.rule {
    name = "adabelief", tidy = true,
    defaults = { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-16,
                 weight_decay = 0 },
    init = moments,
    update = function(p, g, s, h)
      if h.weight_decay ~= 0 then p = p * (1 - h.lr * h.weight_decay) end
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      local d = g - s.m
      s.v = h.beta2 * s.v + (1 - h.beta2) * (d * d) + h.eps
      local root = (s.v / (1 - h.beta2 ^ h.t)):sqrt() + h.eps
      return p - (h.lr / (1 - h.beta1 ^ h.t)) * s.m / root
    end,
  }

  --- Yogi (Zaheer et al. 2018): v <- v - (1 - beta2) sign(v - g^2) g^2, Adam's
  --- step without the correction of bias.
  ---@param o? table lr (0.01), beta1 (0.9), beta2 (0.999), eps (1e-3),
  ---  initial_accumulator_value (1e-6)
  optim.yogi = optim.rule {
    name = "yogi", tidy = true,
    defaults = { lr = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1e-3,
                 initial_accumulator_value = 1e-6 },
    init = function(p, h)
      local a = h.initial_accumulator_value
      return { m = sd.full_like(p, a), v = sd.full_like(p, a) }
    end,
    update = function(p, g, s, h)
      local g2 = g * g
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.v = s.v - (1 - h.beta2) * ((s.v - g2):sign() * g2)
      return p - h.lr * s.m / (s.v:sqrt() + h.eps)
    end,
  }
end
