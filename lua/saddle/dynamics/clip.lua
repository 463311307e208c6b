-- Gradients kept within bounds: by their norm together, element by element, or
-- unit by unit beside the weights. Each gives a tree of the same form.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

local clip = {}

local function bound(c, what)
  if type(c) ~= "number" or not (c >= 0) then
    fail("clip.%s: the bound must be a number from 0, not %s", what,
         type(c) == "number" and tostring(c) or type(c))
  end
  return c
end

local function leaves(grads, what)
  local list = core.leaves(grads, false)
  if #list == 0 then fail("clip.%s: the gradients hold no tensors", what) end
  return list
end

--- Gradients times c / |g| where |g|, the norm of all together, is above c,
--- and that norm (Pascanu, Mikolov and Bengio 2013; as PyTorch's
--- clip_grad_norm_ the factor is at most 1 and has 1e-6 beneath).
---
--- ```lua
--- local clip = sd.dynamics.clip
--- local g, norm = clip.norm({ sd.tensor{ 3, 4 } }, 1)
--- print(norm, g[1])
--- ```
---@param grads any tree
---@param c number
---@param o? { p: number } the norm's order: 2, or math.huge for the largest
---@return any clipped, userdata norm of one element
function clip.norm(grads, c, o)
  bound(c, "norm")
  o = sd.check_options(o, { "p:F" }, "clip.norm")
  local p, list, total = o.p or 2, leaves(grads, "norm"), nil
  if p <= 0 then fail("clip.norm: p must be above 0, not %s", p) end
  for _, g in ipairs(list) do
    local part = p == 2 and g:square():sum() or
                 p == math.huge and g:abs():max() or (g:abs() ^ p):sum()
    total = total and (p == math.huge and sd.maximum(total, part) or
                       total + part) or part
  end
  local norm = p == 2 and total:sqrt() or p == math.huge and total or
               total ^ (1 / p)
  local factor = (c / (norm + 1e-6)):clamp(0, 1)
  return sd.tree.map(function(g) return g * factor end, grads), norm
end

--- Every element brought into [-c, c].
---@param grads any tree
---@param c number
function clip.value(grads, c)
  bound(c, "value")
  leaves(grads, "value")
  return sd.tree.map(function(g) return g:clamp(-c, c) end, grads)
end

-- The norm of each unit of w: what leads to one output of a matrix or a
-- convolution {out, ...}, the whole of a vector.
local function unit_norm(w)
  if w.ndim <= 1 then return w:square():sum():sqrt() end
  local dims = {}
  for d = 2, w.ndim do dims[#dims + 1] = d end
  return w:square():sum(dims, { keepdim = true }):sqrt()
end

--- Adaptive clipping (Brock et al. 2021): each unit's gradient is kept below c
--- times the norm of its weights, which counts as at least eps.
---@param grads any tree
---@param params any tree of the same form
---@param c? number 0.01 unless told
---@param o? { eps: number } 1e-3
function clip.adaptive(grads, params, c, o)
  c = bound(c or 0.01, "adaptive")
  o = sd.check_options(o, { "eps:F" }, "clip.adaptive")
  local list, weights = leaves(grads, "adaptive"), core.leaves(params, false)
  if #list ~= #weights then
    fail("clip.adaptive: %d gradients for %d parameters", #list, #weights)
  end
  return sd.tree.map(function(g, w)
    if not core.same_shape(g, w) then
      fail("clip.adaptive: a gradient of shape {%s} for a parameter of {%s}",
           table.concat(g.shape, ", "), table.concat(w.shape, ", "))
    end
    local most = c * sd.maximum(unit_norm(w), o.eps or 1e-3)
    local norm = unit_norm(g)
    return sd.where(norm:gt(most), g * (most / sd.maximum(norm, 1e-30)), g)
  end, grads, params)
end

return module.strict("sd.dynamics.clip", clip)
