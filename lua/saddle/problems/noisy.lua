-- Problems that show a step only a part of them, drawn anew each time; part t
-- is the same whenever it is asked for.

local fail = require "saddle.fail"
local point = require "saddle.problems.point"
local sd = require "saddle.init"

local f64 = { dtype = "f64" }

return function(define)
  -- Curvatures from 1 to `condition` along the axes, gradients with noise of
  -- variance noise^2 times the curvature, as those of a model near its
  -- optimum (Zhang et al. 2019, the noisy quadratic model).
  define("noisy_quadratic", { "dim:N", "condition:F", "noise:F", "seed:I" },
    function(o, what)
      local n, condition = o.dim or 10, o.condition or 10
      local noise, seed = o.noise or 1, o.seed or 1
      if condition < 1 or noise < 0 then
        fail("%s: needs condition >= 1 and noise >= 0, not %s and %s", what,
             condition, noise)
      end
      local values = n == 1 and point.tensor { condition } or
                     sd.eval(condition ^ sd.linspace(0, 1, n, f64))
      local size = sd.eval(noise * values:sqrt())
      return {
        start = sd.ones(n, f64), optimum = 0, eigenvalues = values,
        condition = condition, domain = point.box(n, -2, 2),
        minima = point.list { point.copies(n, 0) },
        batch = function(t)
          local g = sd.generator(seed * 1000003 + t)
          return sd.eval(size * sd.randn(n, { dtype = "f64",
                                              generator = g }))
        end,
        f = function(p, push)
          local loss = (values * p * p):sum() / 2
          return push and loss + p:dot(push) or loss
        end }
    end)

  -- Adam goes to the wrong end (Reddi, Kale and Kumar 2018): slopes big in
  -- one of `period` steps, -small in the others, on [-1, 1], which `project`
  -- keeps to. The paper's are 4, 1, 3 and, drawn at random, 1010, 10, 101.
  define("adam_counterexample", { "big:F", "small:F", "period:N" },
    function(o, what)
      local big, small = o.big or 4, o.small or 1
      local period = o.period or 3
      local mean = (big - (period - 1) * small) / period
      if not (small > 0 and mean > 0) then
        fail("%s: big must outweigh period - 1 small ones, not %s, %s of %s",
             what, big, period - 1, small)
      end
      local up, down = point.tensor(big), point.tensor(-small)
      return {
        start = sd.zeros(1, f64), optimum = -mean, domain = { { -1, 1 } },
        minima = { { at = point.tensor { -1 }, loss = -mean, index = 0,
                     boundary = true } },
        batch = function(t) return t % period == 1 % period and up or down end,
        project = function(p) return p:clamp(-1, 1) end,
        f = function(p, slope) return ((slope or mean) * p):sum() end }
    end)
end
