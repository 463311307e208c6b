-- Down from a saddle.

local chunks = require "saddle.curvature.chunks"
local classify = require("saddle.critical.classify").classify
local fail = require "saddle.fail"
local interrupt = require "saddle.interrupt"
local models = require "saddle.curvature.models"
local sd = require "saddle.init"

--- A point below params, along the direction of the most negative curvature:
--- the parameters, and { escaped, loss, before, curvature, step, point (what
--- classify said) }. The step doubles while the loss falls, on the side that
--- falls more. Where no curvature is negative the parameters come back as they
--- are, escaped = false, with reason. Ctrl-C while it steps returns the lowest
--- point so far, reason = "interrupted".
---
--- ```lua
--- local f = function(p) return p[1] ^ 2 - p[2] ^ 2 + p[2] ^ 4 end
--- print(sd.critical.escape(f, sd.zeros(2)))
--- ```
---@param f function of params, ...
---@param params any tree
---@param o? table step (the first: 1e-3 of |params|, at least 1e-3), args
return function(f, params, o)
  models.callable(f, "escape", "f")
  o = sd.check_options(o, { "step:F", "args:L" }, "escape")
  if o.step and not (o.step > 0) then
    fail("escape: the step must be above 0, not %g", o.step)
  end
  local args = o.args or {}
  local c = classify(f, params, { args = o.args })
  if not c.direction then
    return params, { escaped = false, loss = c.loss, before = c.loss,
                     curvature = c.eigenvalues[1], step = 0, point = c,
                     reason = "no curvature is negative" }
  end
  local function at(s)
    local p = sd.tree.axpy(s, c.direction, params)
    return chunks.loss(f, p, args):item(), p
  end
  local first = o.step or 1e-3 * math.max(sd.tree.norm(params):item(), 1)
  local best = { at = params, loss = c.loss, step = 0 }
  local good = interrupt.attempt(function()
    for sign = 1, -1, -2 do
      local s, low = sign * first, c.loss
      for _ = 1, 60 do
        local value, p = at(s)
        if not (value < low) then break end
        low = value
        if value < best.loss then best = { at = p, loss = value, step = s } end
        s = 2 * s
      end
    end
  end)
  local lower = best.loss < c.loss
  local result = { escaped = lower, loss = best.loss, before = c.loss,
                   curvature = c.eigenvalues[1], step = best.step, point = c,
                   reason = lower and "the loss falls" or
                            "the loss falls on neither side" }
  return best.at, good and result or interrupt.partial(result)
end
