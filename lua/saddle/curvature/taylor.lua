-- Taylor coefficients of a loss along a line.

local core = require "saddle.core"
local fail = require "saddle.fail"
local models = require "saddle.curvature.models"
local sd = require "saddle.init"

--- The Taylor coefficients c of t -> f(params + t d, ...) at t = 0: a tensor of
--- order + 1 elements, c[k + 1] belonging to t^k. By nested forward
--- derivatives: exact but for rounding.
---
--- ```lua
--- local f = function(x) return sd.exp(x):sum() end
--- print(sd.curvature.taylor(f, sd.zeros(1), sd.ones(1), { order = 4 }))
--- ```
---@param f function of params, ...
---@param params any tree
---@param d any tree of the same form, or a vector
---@param o? table order (6), args (f's further arguments)
return function(f, params, d, o)
  o = sd.check_options(o, { "order:I", "args:L" }, "taylor")
  models.callable(f, "taylor", "f")
  local order, args = o.order or 6, o.args or {}
  if order < 0 or order > 10 then
    fail("taylor: order must be 0 to 10, not %d", order)
  end
  models.check_leaves(params, "taylor")
  local flat, unravel = sd.tree.ravel(params)
  if not sd.is_tensor(d) or d.ndim ~= 1 then d = (sd.tree.ravel(d)) end
  if d:numel() ~= flat:numel() then
    fail("taylor: a direction of %d elements for %d parameters", d:numel(),
         flat:numel())
  end
  if core.first_nonfinite { d } then
    fail "taylor: the direction holds NaN or infinite elements"
  end
  d = d:to(flat.dtype)
  -- k -> t -> the first k derivatives, as one vector.
  local function derivatives(k)
    if k == 0 then
      return function(t)
        local y = models.outputs(f(unravel(flat + t * d), table.unpack(args)),
                                 "taylor")
        if y:numel() ~= 1 then
          fail("taylor: f returned shape {%s}; it must be one element",
               table.concat(y.shape, ", "))
        end
        return y:reshape(1)
      end
    end
    local lower = derivatives(k - 1)
    return function(t)
      local y, dy = sd.jvp(lower, { t }, { sd.ones_like(t) })
      return sd.cat({ y, dy:narrow(1, k, 1) }, 1)
    end
  end
  local c = derivatives(order)(sd.zeros({}, { dtype = flat.dtype }))
  local scale = { 1 }
  for k = 1, order do scale[k + 1] = scale[k] / k end
  return sd.eval(c * sd.tensor(scale, { dtype = flat.dtype }))
end
