-- Rules that divide by estimates of the Hessian's diagonal, z (H z) with
-- random signs z (Hutchinson), every so many steps.

local core = require "saddle.core"
local sd = require "saddle.init"
local terms = require "saddle.optim.terms"

local function evaluate(run, f, h, params, ...)
  local out = run(params, ...)
  if not h.phase then return out end
  local flat, unravel = sd.tree.ravel(params)
  local signs = sd.randint(0, 1, flat.shape, { generator = h.generator })
  local z = unravel((signs * 2 - 1):to(flat.dtype))
  local Hz = core.leaves(sd.hvp(f, params, z, ...), false)
  local extra = core.leaves(z, false)
  for i, x in ipairs(extra) do extra[i] = x * Hz[i] end
  return out, extra
end

return function(optim)
  --- Sophia-H (Liu et al. 2023): m <- beta1 m + (1 - beta1) g; every every
  --- steps v <- beta2 v + (1 - beta2) z (H z); w <- w - lr clip(m / max(gamma
  --- v, eps), 1), after w was shrunk by lr weight_decay.
  ---@param o? table lr (1e-3), beta1 (0.96), beta2 (0.99), gamma (0.01), eps
  ---  (1e-12), weight_decay (0.1), every (10), seed (1)
  optim.sophia = optim.rule {
    name = "sophia", tidy = true,
    defaults = { lr = 1e-3, beta1 = 0.96, beta2 = 0.99, gamma = 0.01,
                 eps = 1e-12, weight_decay = 0.1, every = 10, seed = 1 },
    check = terms.every "sophia", phase = terms.due, evaluate = evaluate,
    init = terms.moments,
    update = function(p, g, s, h, diagonal)
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      if diagonal then s.v = h.beta2 * s.v + (1 - h.beta2) * diagonal end
      local u = s.m / sd.maximum(h.gamma * s.v, h.eps)
      return terms.shrunk(p, h) - h.lr * sd.clamp(u, -1, 1)
    end,
  }

  --- AdaHessian (Yao et al. 2021): Adam with z (H z) in the place of g in the
  --- average of squares, averaged over the last two dims of kernels (4 dims).
  ---@param o? table lr (0.15), beta1 (0.9), beta2 (0.999), eps (1e-4),
  ---  hessian_power (1), weight_decay (0: shrinks w), every (1), seed (1)
  optim.adahessian = optim.rule {
    name = "adahessian", tidy = true,
    defaults = { lr = 0.15, beta1 = 0.9, beta2 = 0.999, eps = 1e-4,
                 hessian_power = 1, weight_decay = 0, every = 1, seed = 1 },
    check = terms.every "adahessian", phase = terms.due, evaluate = evaluate,
    init = function(p)
      local s = terms.moments(p)
      s.count = sd.zeros({}, { dtype = "f64" })
      return s
    end,
    update = function(p, g, s, h, d)
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      if d then
        if d.ndim == 4 then
          d = d:abs():mean({ 3, 4 }, { keepdim = true })
        end
        s.v = h.beta2 * s.v + (1 - h.beta2) * (d * d)
        s.count = s.count + 1
      end
      local root = (s.v / (1 - h.beta2 ^ s.count)):sqrt() ^ h.hessian_power
      return terms.shrunk(p, h) -
             h.lr / (1 - h.beta1 ^ h.t) * s.m / (root + h.eps)
    end,
  }
end
