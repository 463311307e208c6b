-- Rates of their own for each parameter, from the size or sign of its past
-- gradients, with PyTorch's options.

local fail = require "saddle.fail"
local sd = require "saddle.init"
local terms = require "saddle.optim.terms"
local decayed, at_most_one = terms.decayed, terms.at_most_one

local function root(v, h)
  return (h.eps_root ~= 0 and v + h.eps_root or v):sqrt()
end

return function(optim)
  --- AdaGrad (Duchi, Hazan and Singer 2011): s <- s + g^2, w <- w - lr_t g /
  --- (sqrt(s + eps_root) + eps) with lr_t = lr / (1 + (t - 1) lr_decay). The
  --- paper and PyTorch have eps, outside the root, optax and Keras inside.
  ---@param o? table lr (0.01), lr_decay (0), weight_decay (0),
  ---  initial_accumulator_value (0), eps (1e-10), eps_root (0)
  optim.adagrad = optim.rule {
    name = "adagrad", tidy = true,
    defaults = { lr = 0.01, lr_decay = 0, weight_decay = 0,
                 initial_accumulator_value = 0, eps = 1e-10, eps_root = 0 },
    init = function(p, h)
      return { sum = sd.full_like(p, h.initial_accumulator_value) }
    end,
    update = function(p, g, s, h)
      g = decayed(p, g, h)
      s.sum = s.sum + g * g
      local rate = h.lr / (1 + (h.t - 1) * h.lr_decay)
      return p - rate * g / (root(s.sum, h) + h.eps)
    end,
  }

  --- AdaDelta (Zeiler 2012): v <- rho v + (1 - rho) g^2, d = g sqrt((u + eps) /
  --- (v + eps)), u <- rho u + (1 - rho) d^2, w <- w - lr d.
  ---@param o? table lr (1), rho (0.9), eps (1e-6), weight_decay (0)
  optim.adadelta = optim.rule {
    name = "adadelta", tidy = true,
    defaults = { lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0 },
    check = at_most_one("adadelta", "rho"),
    init = function(p)
      return { square = sd.zeros_like(p), delta = sd.zeros_like(p) }
    end,
    update = function(p, g, s, h)
      g = decayed(p, g, h)
      s.square = h.rho * s.square + (1 - h.rho) * (g * g)
      local d = (s.delta + h.eps):sqrt() / (s.square + h.eps):sqrt() * g
      s.delta = h.rho * s.delta + (1 - h.rho) * (d * d)
      return p - h.lr * d
    end,
  }

  --- RMSprop (Tieleman and Hinton 2012): v <- alpha v + (1 - alpha) g^2, w <- w
  --- - lr g / (sqrt(v + eps_root) + eps). centered takes the square of the mean
  --- gradient from v (Graves 2013); momentum gathers the steps before lr, b <-
  --- momentum b + step, w <- w - lr b. PyTorch has eps, outside the root; optax
  --- and Keras have it inside, and lr in b (sd.optim.preset gives theirs).
  ---@param o? table lr (0.01), alpha (0.99), eps (1e-8), eps_root (0),
  ---  weight_decay (0), momentum (0), centered (false)
  optim.rmsprop = optim.rule {
    name = "rmsprop", tidy = true,
    defaults = { lr = 0.01, alpha = 0.99, eps = 1e-8, eps_root = 0,
                 weight_decay = 0, momentum = 0, centered = false },
    check = at_most_one("rmsprop", "alpha", "momentum"),
    init = function(p, h)
      local s = { square = sd.zeros_like(p) }
      if h.centered then s.mean = sd.zeros_like(p) end
      if h.momentum ~= 0 then s.buffer = sd.zeros_like(p) end
      return s
    end,
    update = function(p, g, s, h)
      g = decayed(p, g, h)
      s.square = h.alpha * s.square + (1 - h.alpha) * (g * g)
      local v = s.square
      if h.centered then
        s.mean = h.alpha * (s.mean or 0) + (1 - h.alpha) * g
        v = v - s.mean * s.mean
      end
      local d = g / (root(v, h) + h.eps)
      if h.momentum ~= 0 then
        s.buffer = h.momentum * (s.buffer or 0) + d
        d = s.buffer
      end
      return p - h.lr * d
    end,
  }

  --- Rprop without weight backtracking, iRprop- (Riedmiller and Braun 1993;
  --- Igel and Hüsken 2000): where the gradient keeps its sign its step grows by
  --- eta_plus, where it turns it shrinks by eta_minus and no step is made.
  --- etas = { minus, plus } and step_sizes = { min, max }, as PyTorch has them,
  --- will do too.
  ---@param o? table lr (0.01: the first step), eta_minus (0.5), eta_plus (1.2),
  ---  step_min (1e-6), step_max (50)
  optim.rprop = optim.rule {
    name = "rprop", tidy = true,
    aliases = { etas = { "eta_minus", "eta_plus" },
                step_sizes = { "step_min", "step_max" } },
    defaults = { lr = 0.01, eta_minus = 0.5, eta_plus = 1.2,
                 step_min = 1e-6, step_max = 50 },
    check = function(h)
      if type(h.eta_minus) == "number" and
         not (h.eta_minus > 0 and h.eta_minus < 1) then
        fail("rprop: eta_minus must be between 0 and 1, not %g", h.eta_minus)
      elseif type(h.eta_plus) == "number" and h.eta_plus <= 1 then
        fail("rprop: eta_plus must be above 1, not %g", h.eta_plus)
      end
    end,
    init = function(p, h)
      return { last = sd.zeros_like(p), size = sd.full_like(p, h.lr) }
    end,
    update = function(p, g, s, h)
      local turn = g * s.last
      local back = turn:lt(0)
      local size = sd.where(turn:gt(0), s.size * h.eta_plus,
                            sd.where(back, s.size * h.eta_minus, s.size))
      s.size = sd.clamp(size, h.step_min, h.step_max)
      s.last = sd.where(back, sd.zeros_like(g), g)
      return p - s.last:sign() * s.size
    end,
  }

  --- Averaged SGD (Polyak and Juditsky 1992), with PyTorch's rate: w <- (1 -
  --- lambd eta) w - eta g, eta = lr / (1 + lambd lr t)^alpha; from step t0 on
  --- opt:average gives the mean of w.
  ---@param o? table lr (0.01), lambd (1e-4), alpha (0.75), t0 (1e6),
  ---  weight_decay (0)
  optim.asgd = optim.rule {
    name = "asgd", tidy = true,
    defaults = { lr = 0.01, lambd = 1e-4, alpha = 0.75, t0 = 1e6,
                 weight_decay = 0 },
    init = function(p) return { mean = sd.zeros_like(p) } end,
    update = function(p, g, s, h)
      g = decayed(p, g, h)
      -- PyTorch sets the rate after the step for the next one.
      local eta = h.lr / (1 + h.lambd * h.lr * (h.t - 1)) ^ h.alpha
      local w = p * (1 - h.lambd * eta) - eta * g
      local n = sd.maximum(terms.tensor(h.t) - 1 - h.t0, 1)
      s.mean = s.mean + (w - s.mean) / n
      return w
    end,
    average = function(_, s) return s.mean end,
  }
end
