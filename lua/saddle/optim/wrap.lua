-- Rules around another rule, base = an optimizer: sam looks where the loss is
-- worst near by; lookahead, ema, swa and cautious act on what base made.

local chain = require "saddle.optim.chain"
local fail = require "saddle.fail"
local core = require "saddle.core"
local optimizer = require "saddle.optim.optimizer"
local sd = require "saddle.init"

-- make(options) -> an optimizer of one part, as one that takes base too.
local function around(make, name, before)
  return function(options)
    if optimizer.own(options) then options = { base = options } end
    if type(options) ~= "table" or not optimizer.own(options.base) then
      fail("%s: needs base = an optimizer", name)
    end
    local own, general, base = {}, {}, options.base
    for k, v in pairs(options) do
      if optimizer.general[k] then general[k] = v
      elseif k ~= "base" then own[k] = v end
    end
    local inner = optimizer.own(base)
    for k in pairs(optimizer.general) do
      if general[k] == nil then general[k] = inner[k] end
    end
    local part = make(own)
    return chain.of(before and { part, base } or { base, part },
                    ("%s(%s)"):format(name, inner.name), general)
  end
end

local function whole(rule, key)
  return function(h)
    if math.tointeger(h[key]) == nil or h[key] < 1 then
      fail("%s: %s must be a whole number above 0, not %s", rule, key,
           tostring(h[key]))
    end
  end
end

return function(optim)
  --- Sharpness-aware minimization (Foret et al. 2021): base's step with the
  --- gradient at w + rho g / |g|; adaptive (ASAM, Kwon et al. 2021) scales by T
  --- = |w| + eta: w + rho T^2 g / |T g|. Two gradients a step.
  ---
  --- ```lua
  --- local opt = sd.optim.sam{ base = sd.optim.sgd{ lr = 0.1 }, rho = 0.05 }
  --- ```
  ---@param o table base, rho (0.05), adaptive (false), eta (0.01)
  optim.sam = around(optim.rule {
    name = "sam", tidy = true,
    defaults = { rho = 0.05, adaptive = false, eta = 0.01 },
    evaluate = function(run, f, h, params, ...)
      local out = table.pack(sd.value_and_grad(f)(params, ...))
      local list, gs = core.leaves(params), core.leaves(out[2])
      local scales = {}
      for i, p in ipairs(list) do
        scales[i] = h.adaptive and p:abs() + h.eta or sd.ones_like(p)
        gs[i] = gs[i] * scales[i]
      end
      local size = sd.maximum(chain.norm(gs), 1e-300)
      for i, p in ipairs(list) do
        list[i] = p + (h.rho / size):to(p.dtype) * scales[i] * gs[i]
      end
      local there = run(core.rebuild(params, list), ...)
      out[2], out.extra = there[2], there.extra
      return out
    end,
  }, "sam", true)

  --- Lookahead (Zhang et al. 2019): every k steps the slow weights move by
  --- alpha of the way to base's, which start again from there.
  ---@param o table base, k (5), alpha (0.5)
  optim.lookahead = around(optim.rule {
    name = "lookahead", tidy = true, defaults = { k = 5, alpha = 0.5 },
    check = whole("lookahead", "k"),
    phase = function(h, t) return t % h.k == 0 end,
    init = function(p) return { slow = p } end,
    after = function(q, _, _, s, h)
      if not h.phase then return q end
      s.slow = s.slow + h.alpha * (q - s.slow)
      return s.slow
    end,
  }, "lookahead")

  --- An exponential average of the weights beside them: opt:average(params).
  ---@param o table base, decay (0.999)
  optim.ema = around(optim.rule {
    name = "ema", tidy = true, defaults = { decay = 0.999 },
    check = function(h)
      if type(h.decay) == "number" and h.decay > 1 then
        fail("ema: decay must be at most 1, not %g", h.decay)
      end
    end,
    init = function(p) return { average = p } end,
    after = function(q, _, _, s, h)
      s.average = h.decay * s.average + (1 - h.decay) * q
      return q
    end,
    average = function(_, s) return s.average end,
  }, "ema")

  --- The mean of the weights at every every-th step from start on (stochastic
  --- weight averaging, Izmailov et al. 2018): opt:average(params).
  ---@param o table base, start (1), every (1)
  optim.swa = around(optim.rule {
    name = "swa", tidy = true, defaults = { start = 1, every = 1 },
    check = whole("swa", "every"),
    phase = function(h, t)
      return t >= h.start and (t - h.start) % h.every == 0
    end,
    init = function(p)
      return { average = p, count = sd.zeros({}, { dtype = "f64" }) }
    end,
    after = function(q, _, _, s, h)
      if h.phase then
        s.count = s.count + 1
        s.average = s.average + (q - s.average) / s.count
      end
      return q
    end,
    average = function(p, s)
      return sd.where(s.count:gt(0), s.average, p)
    end,
  }, "swa")

  --- Cautious steps (Liang et al. 2024): of base's step what does not go down
  --- the gradient is left out, and the rest scaled to the same mean.
  ---@param o table base
  optim.cautious = around(optim.rule {
    name = "cautious", tidy = true,
    after = function(q, p, g)
      local u = q - p
      local keep = (u * g):lt(0):to(p.dtype)
      return p + u * keep / sd.maximum(keep:mean(), 1e-3)
    end,
  }, "cautious")
end
