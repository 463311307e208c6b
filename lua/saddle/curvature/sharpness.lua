-- The largest eigenvalue of the Hessian, step after step.

local models = require "saddle.curvature.models"

-- The last eigenvector for each function.
local warm = setmetatable({}, { __mode = "k" })

--- The largest eigenvalue of the Hessian of f(params, ...), its residual |Hv -
--- lambda v|, and the products it took: the search starts from the last call's
--- eigenvector for the same f, so that a few do inside a training loop. An
--- eigenvalue lies within the residual, which is at most 1 % of it; the error
--- of the value is about the square of that, relative to the gap below it.
--- Ctrl-C returns what the search has, and "interrupted" after the rest.
---@param f function
---@param params any tree
return function(f, params, ...)
  models.callable(f, "sharpness", "f")
  local H = models.hessian(f, params, ...)
  local last = warm[f]
  if last and (last:numel() ~= H.n or last.dtype ~= H.dtype) then last = nil end
  local e = H:eigs { k = 1, which = "largest", start = last, tol = 1e-2,
                     verify = false }
  warm[f] = e.vectors:reshape(-1)
  local value, residual = e.values:item(), e.residuals:item()
  if e.reason == "interrupted" then
    return value, residual, e.iterations, e.reason
  end
  return value, residual, e.iterations
end
