-- The plain formulas, g being the gradient of the loss L at w:
--
--   gradient descent   w <- w - lr g
--
--   momentum, as an    v <- beta v + (1 - beta) g
--   exponential        w <- w - lr v
--   average
--
-- and Adam (saddle.optim.adam), which divides a momentum by the root of the
-- average of g^2. sd.optim.sgd{ momentum = beta } is the other momentum, the
-- heavy ball v <- beta v + g: the average at the rate lr is the heavy ball at
-- lr (1 - beta). On a quadratic of curvature c plain descent is stable for lr
-- < 2 / c, the heavy ball for lr < 2 (1 + beta) / c, and the average for lr <
-- 2 (1 + beta) / ((1 - beta) c) (Polyak 1964; Goh 2017).

local sd = require "saddle.init"

return function(optim)
  --- Gradient descent: w <- w - lr g.
  ---
  --- ```lua
  --- local opt = sd.optim.gd{ lr = 0.1 }
  --- local w = opt:step(function(w) return (w * w):sum() end, sd.ones(2))
  --- ```
  ---@param o? table lr (0.01)
  optim.gd = optim.rule {
    name = "gd", tidy = true, defaults = { lr = 0.01 },
    update = function(p, g, _, h) return p - h.lr * g end,
  }

  --- Momentum in the form of an exponential average, from v = 0:
  --- v <- beta v + (1 - beta) g, w <- w - lr v.
  ---
  --- ```lua
  --- local opt = sd.optim.momentum{ lr = 0.1, beta = 0.9 }
  --- ```
  ---@param o? table lr (0.01), beta (0.9)
  optim.momentum = optim.rule {
    name = "momentum", tidy = true, defaults = { lr = 0.01, beta = 0.9 },
    aliases = { momentum = "beta" },
    init = function(p) return { v = sd.zeros_like(p) } end,
    update = function(p, g, s, h)
      s.v = h.beta * s.v + (1 - h.beta) * g
      return p - h.lr * s.v
    end,
  }
end
