-- The preconditioned sharpness (Cohen et al. 2022): the largest eigenvalue of
-- P^(-1/2) H P^(-1/2), P being the diagonal by which the rule divides the
-- average (or sum) of gradients. Adam's steps grow where lr times it is above
-- (2 + 2 beta1) / (1 - beta1), which is 38 for beta1 = 0.9.

local core = require "saddle.core"
local fail = require "saddle.fail"
local hyper = require "saddle.optim.hyper"
local operator = require "saddle.curvature.operator"
local optimizer = require "saddle.optim.optimizer"
local sd = require "saddle.init"
local whole = require("saddle.interrupt").whole

-- rule -> P of a parameter from its state after the step, and the threshold of
-- the momentum that the rule has beside P. Adam's step is lr m / P with m <-
-- beta1 m + (1 - beta1) g, RMSprop's lr b with b <- momentum b + g / P.
local rules = {
  adam = {
    diagonal = function(s, h)
      local root = ((s.most or s.v) / (1 - h.beta2 ^ h.t)):sqrt()
      return (1 - h.beta1 ^ h.t) * (root + h.eps)
    end,
    threshold = function(h) return (2 + 2 * h.beta1) / (1 - h.beta1) end,
  },
  rmsprop = {
    diagonal = function(s, h)
      local v = h.centered and s.square - s.mean * s.mean or s.square
      return (v + h.eps_root):sqrt() + h.eps
    end,
    threshold = function(h) return 2 + 2 * h.momentum end,
  },
}
rules.adamw = rules.adam

local preconditioned = {}

--- Fails unless the optimizer's rule is one of those that are known.
function preconditioned.check(opt)
  if not rules[opt.name] then
    fail("monitor: 'preconditioned_sharpness' is for adam, adamw and " ..
         "rmsprop, not %s", opt.name)
  end
end

--- The threshold of lr times the preconditioned sharpness.
function preconditioned.threshold(opt) return rules[opt.name].threshold(opt) end

--- The preconditioned sharpness at params with the P of opt's last step, and
--- its eigenvector. The residual is at most 1 % of it.
---@param opt table an optimizer that has taken the step from params
---@param last? any the eigenvector found before, to start from
function preconditioned.sharpness(opt, last, loss, params, ...)
  local own, states = optimizer.own(opt), opt:state().states
  local list, paths = core.leaves(params)
  for i, path in ipairs(paths) do
    local h = hyper.at(own.parts[1], path, own.t)
    list[i] = rules[own.name].diagonal(states[i], h):rsqrt()
  end
  local root = sd.eval((sd.tree.ravel(list)))
  local H = sd.curvature.hessian(loss, params, ...)
  local S = operator.new { n = H.n, dtype = H.dtype, name = "preconditioned",
    product = function(v) return root * H:matvec(root * v) end }
  local e = whole(S:eigs { k = 1, which = "largest", start = last, tol = 1e-2,
                           verify = false })
  return e.values:item(), e.vectors:reshape(-1)
end

return preconditioned
