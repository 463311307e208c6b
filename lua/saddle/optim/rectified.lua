-- RAdam (Liu et al. 2020).

local sd = require "saddle.init"
local terms = require "saddle.optim.terms"

return function(optim)
  --- RAdam, rectified Adam (Liu et al. 2020). With R = 2 / (1 - beta2) - 1 and
  --- rho_t = R - 2 t beta2^t / (1 - beta2^t): while rho_t <= 5 the step is lr m
  --- / (1 - beta1^t); then Adam's times r_t = sqrt((rho_t - 4)(rho_t - 2) R /
  --- ((R - 4)(R - 2) rho_t)). eps stands beside sqrt(v), as in PyTorch; optax
  --- has it beside the corrected root.
  ---@param o? table lr (1e-3), beta1 (0.9), beta2 (0.999), eps (1e-8),
  ---  weight_decay (0)
  optim.radam = optim.rule {
    name = "radam", tidy = true,
    defaults = { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8,
                 weight_decay = 0 },
    init = terms.moments,
    update = function(p, g, s, h)
      g = terms.decayed(p, g, h)
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.v = h.beta2 * s.v + (1 - h.beta2) * (g * g)
      local t = terms.tensor(h.t)
      local left = 1 - h.beta2 ^ t
      local most = 2 / (1 - h.beta2) - 1
      local rho = most - 2 * t * (1 - left) / left
      local r = ((rho - 4) * (rho - 2) * most /
                 ((most - 4) * (most - 2) * rho)):sqrt()
      local rate = h.lr / (1 - h.beta1 ^ t)
      local adapted = (r * rate) * left:sqrt() / (s.v:sqrt() + h.eps)
      return p - sd.where(rho:gt(5), adapted, rate) * s.m
    end,
  }
end
