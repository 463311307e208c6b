-- What many rules share.

local core = require "saddle.core"
local fail = require "saddle.fail"
local sd = require "saddle.init"

local terms = {}

--- The gradient with that of weight_decay |p|^2 / 2.
function terms.decayed(p, g, h)
  return h.weight_decay ~= 0 and g + h.weight_decay * p or g
end

--- p shrunk by lr weight_decay, apart from the gradient (Loshchilov and Hutter
--- 2019).
function terms.shrunk(p, h)
  return h.weight_decay ~= 0 and p * (1 - h.lr * h.weight_decay) or p
end

--- The state of a rule with averages m of g and v of g^2.
function terms.moments(p)
  return { m = sd.zeros_like(p), v = sd.zeros_like(p) }
end

--- A check that the hyper-parameters of these names are at most 1.
function terms.at_most_one(rule, ...)
  local names = { ... }
  return function(h)
    for _, name in ipairs(names) do
      local v = h[name]
      if type(v) == "number" and v > 1 then
        fail("%s: %s must be at most 1, not %g", rule, name, v)
      end
    end
  end
end

--- Whether this is the first step (h.t is a number only there, or when all of
--- them are).
function terms.is_first(h) return h.t == 1 end

--- The check of a rule that does something every `every` steps, and its phase:
--- whether step t is one of them.
function terms.every(rule)
  return function(h)
    if math.tointeger(h.every) == nil or h.every < 1 then
      fail("%s: every must be a whole number above 0, not %s", rule,
           tostring(h.every))
    end
  end
end
function terms.due(h, t) return (t - 1) % h.every == 0 end

--- A number or a tensor as a tensor.
function terms.tensor(v) return sd.is_tensor(v) and v or core.scalar(v) end

return terms
