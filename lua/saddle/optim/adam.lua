-- Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), with
-- AMSGrad (Reddi et al. 2018).
--
--   m <- b1 m + (1 - b1) g             v <- b2 v + (1 - b2) g^2
--   w <- w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
--
-- t counts steps from 1. eps stands beside the corrected root, as in Algorithm
-- 1 of the paper, PyTorch and optax; TensorFlow and Keras have it beside the
-- plain one.
-- Adam adds weight_decay w to g; AdamW shrinks w by lr weight_decay instead, as
-- PyTorch, optax and Keras do; in its paper lr is no factor of the decay.
-- sd.optim.preset gives each source's settings.

local sd = require "saddle.init"
local terms = require "saddle.optim.terms"

local function update(p, g, s, h)
  s.m = h.beta1 * s.m + (1 - h.beta1) * g
  s.v = h.beta2 * s.v + (1 - h.beta2) * (g * g)
  local v = s.v
  if h.amsgrad then
    s.most = s.most and sd.maximum(s.most, v) or v
    v = s.most
  end
  local root = (1 - h.beta2 ^ h.t) ^ 0.5
  return p - h.lr / (1 - h.beta1 ^ h.t) *
             (s.m / (v:sqrt() * (1 / root) + h.eps))
end

return function(optim)
  --- Adam, with PyTorch's options: weight_decay is added to the gradient,
  --- amsgrad divides by the largest v so far.
  ---
  --- ```lua
  --- local opt = sd.optim.adam{ lr = 1e-3, beta2 = 0.99, amsgrad = true }
  --- ```
  ---@param o? table lr (1e-3), beta1 (0.9), beta2 (0.999), eps (1e-8),
  ---  weight_decay (0), amsgrad (false)
  optim.adam = optim.rule {
    name = "adam", tidy = true,
    defaults = { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8,
                 weight_decay = 0, amsgrad = false },
    init = terms.moments,
    update = function(p, g, s, h)
      return update(p, terms.decayed(p, g, h), s, h)
    end,
  }

  --- Adam whose weight_decay shrinks the weights by lr weight_decay a step.
  ---@param o? table lr (1e-3), beta1 (0.9), beta2 (0.999), eps (1e-8),
  ---  weight_decay (0.01), amsgrad (false)
  optim.adamw = optim.rule {
    name = "adamw", tidy = true,
    defaults = { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8,
                 weight_decay = 0.01, amsgrad = false },
    init = terms.moments,
    update = function(p, g, s, h)
      return update(p * (1 - h.lr * h.weight_decay), g, s, h)
    end,
  }
end
