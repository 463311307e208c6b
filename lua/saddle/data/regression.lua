-- A linear model with known weights.

local options = require "saddle.data.options"
local sd = require "saddle.init"

--- Normal x {n, dim} and y = x w + b + noise, {n, 1}; the field truth holds
--- the weight w {dim, 1} and the bias b {1} that made it.
---@param o? table n (1000), dim (1), noise (0.1), seed (1)
return function(o)
  o = sd.check_options(o, { "n", "dim", "noise", "seed" }, "regression")
  local n = options.whole(o.n, 1000, 1, "regression: n")
  local dim = options.whole(o.dim, 1, 1, "regression: dim")
  local noise = options.number(o.noise, .1, 0, "regression: noise")
  local source = options.source(o.seed)
  local x = sd.randn({ n, dim }, source)
  local w, b = sd.randn({ dim, 1 }, source), sd.randn({ 1 }, source)
  local y = x:matmul(w) + b + noise * sd.randn({ n, 1 }, source)
  return sd.eval { x = x, y = y, truth = { weight = w, bias = b } }
end
