-- Gradient descent, with momentum as PyTorch's SGD has it: the heavy ball of
-- Polyak (1964), or Nesterov's (1983) form of it.
--
--   v <- mu v + (1 - dampening) g      (the first v is g itself)
--   w <- w - lr v                      nesterov: w <- w - lr (g + mu v)
--
-- optax has the same. TensorFlow and Keras keep lr in v, which differs while lr
-- changes (sd.optim.preset); sd.optim.momentum averages (sd.optim.convert).

local fail = require "saddle.fail"
local sd = require "saddle.init"
local terms = require "saddle.optim.terms"

local at_most_one = terms.at_most_one("sgd", "momentum")

return function(optim)
  --- Gradient descent with PyTorch's momentum, dampening and weight decay (see
  --- the formulas above).
  ---
  --- ```lua
  --- local opt = sd.optim.sgd{ lr = 0.1, momentum = 0.9, nesterov = true }
  --- ```
  ---@param o? table lr (1e-3), momentum (0), dampening (0), weight_decay (0),
  ---  nesterov (false)
  optim.sgd = optim.rule {
    name = "sgd", tidy = true,
    defaults = { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0,
                 nesterov = false },
    check = function(h)
      at_most_one(h)
      if h.nesterov == true and (h.momentum == 0 or h.dampening ~= 0) then
        fail("sgd: nesterov needs a momentum above 0 and no dampening, " ..
             "not %s and %s", tostring(h.momentum), tostring(h.dampening))
      end
    end,
    init = function(p) return { v = sd.zeros_like(p) } end,
    update = function(p, g, s, h)
      g = terms.decayed(p, g, h)
      if h.momentum == 0 then return p - h.lr * g end
      local keep = 1 - h.dampening
      if h.dampening ~= 0 then
        local first = type(h.t) == "number" and (h.t == 1 and 1 or 0) or
                      sd.eq(h.t, 1):to "f64"
        keep = keep + h.dampening * first
      end
      local v = h.momentum * s.v + keep * g
      local step = h.nesterov and g + h.momentum * v or v
      if sd.is_tensor(h.momentum) then -- a schedule, which may come to 0
        local off = h.momentum:eq(0)
        v, step = sd.where(off, s.v, v), sd.where(off, g, step)
      end
      s.v = v
      return p - h.lr * step
    end,
  }
end
