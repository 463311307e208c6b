-- A function of a tree as one of a flat vector, with what finders ask of it.

local chunks = require "saddle.curvature.chunks"
local core = require "saddle.core"
local fail = require "saddle.fail"
local models = require "saddle.curvature.models"
local operator = require "saddle.curvature.operator"
require "saddle.curvature.spectrum"
local sd = require "saddle.init"

-- Up to this many parameters finders work on the whole Hessian.
local dense_limit = 500

--- { x (the start), n, dense (whether hessian gives matrices), unravel,
--- slope (v -> loss, gradient), hessian (v -> matrix in f64, or operator),
--- reach (x, loss, g, step: what a search has, kept as reached) }.
return function(f, start, args, what)
  models.callable(f, what, "f")
  models.check_leaves(start, what)
  local flat, unravel = sd.tree.ravel(start)
  args = args or {}
  if chunks.is(args[1]) then
    fail("%s: takes the whole data set, not chunks of it", what)
  end
  local function at(v) return (f(unravel(v), table.unpack(args))) end
  local p = { x = sd.eval(flat), n = flat:numel(), unravel = unravel,
              dense = flat:numel() <= dense_limit }
  local slope = core.jit(function(v) return sd.value_and_grad(at)(v) end)
  local product = core.jit(function(v, d) return sd.hvp(at, v, d) end)
  local whole = core.jit(function(v) return sd.hessian(at)(v) end)

  function p.slope(v)
    local loss, g = slope(v)
    sd.eval(loss, g)
    return loss:item(), g
  end

  function p.reach(x, loss, g, step)
    p.reached = { x = x, loss = loss, g = g, step = step }
  end

  function p.product(v, d) return product(v, d) end

  function p.hessian(v)
    if p.dense then
      local H = whole(v):to "f64"
      return (H + H:transpose(1, 2)) / 2
    end
    return operator.new {
      n = p.n, dtype = flat.dtype, name = "hessian", fresh = true,
      product = function(d) return product(v, d) end }
  end
  return p
end
