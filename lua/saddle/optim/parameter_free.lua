-- Rules that find their rate from how far they came.

local sd = require "saddle.init"
local dot = require "saddle.optim.line_search".dot

return function(optim)
  --- DoG, distance over gradients (Ivgi, Hinder and Carmon 2023): w <- w - lr r
  --- / sqrt(G) g, r being the largest distance from the start so far (at first
  --- relative (1 + |w|)) and G the sum of |g|^2.
  ---@param o? table lr (1), relative (1e-6), eps (1e-8)
  optim.dog = optim.rule {
    name = "dog", defaults = { lr = 1, relative = 1e-6, eps = 1e-8 },
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local s, x, g = c.state, c.x, c.gradient
      if not s.start then
        s.start, s.sum = x, 0
        s.distance = c.h.relative * (1 + dot(x, x) ^ 0.5)
      end
      local way = x - s.start
      s.distance = math.max(s.distance, dot(way, way) ^ 0.5)
      s.sum = s.sum + dot(g, g)
      return c:done(x - c.h.lr * s.distance / (s.sum + c.h.eps) ^ 0.5 * g)
    end,
  }

  --- Prodigy (Mishchenko and Defazio 2023, algorithm 4): Adam at the rate lr d,
  --- d being a growing estimate of the distance to a solution from <g, w_0 - w>
  --- and the gradients' sum.
  ---@param o? table lr (1), beta1 (0.9), beta2 (0.999), eps (1e-8), start
  ---  (1e-6: the first d)
  optim.prodigy = optim.rule {
    name = "prodigy",
    defaults = { lr = 1, beta1 = 0.9, beta2 = 0.999, eps = 1e-8,
                 start = 1e-6 },
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local s, h, x, g = c.state, c.h, c.x, c.gradient
      if not s.m then
        s.m, s.v, s.s = sd.zeros_like(x), sd.zeros_like(x), sd.zeros_like(x)
        s.d, s.r, s.start = h.start, 0, x
      end
      local d, keep = s.d, h.beta2 ^ 0.5
      local weight = (1 - keep) * h.lr * d * d
      s.m = h.beta1 * s.m + (1 - h.beta1) * d * g
      s.v = h.beta2 * s.v + (1 - h.beta2) * d * d * (g * g)
      s.r = keep * s.r + weight * dot(g, s.start - x)
      s.s = keep * s.s + weight * g
      sd.eval(s.m, s.v, s.s)
      local size = s.s:abs():sum():item()
      if size > 0 then s.d = math.max(d, s.r / size) end
      return c:done(x - h.lr * d * s.m / (s.v:sqrt() + d * h.eps))
    end,
  }
end
