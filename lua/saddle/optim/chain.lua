-- Chains: transforms of the gradient, then a rule, then what is done to its
-- result; and the transforms.

local fail = require "saddle.fail"
local hyper = require "saddle.optim.hyper"
local optimizer = require "saddle.optim.optimizer"
local sd = require "saddle.init"

local chain = {}

local function norm(list)
  local sum
  for _, x in ipairs(list) do
    local s = x:to("f64"):square():sum()
    sum = sum and sum + s or s
  end
  return sum:sqrt()
end
chain.norm = norm

local function scaled(list, scale)
  local out = {}
  for i, x in ipairs(list) do out[i] = x * scale:to(x.dtype) end
  return out
end

-- The parts of a list of optimizers, each after accumulate(n) on its clock.
local function gather(list)
  local parts, per = {}, 1
  for i, opt in ipairs(list) do
    local own = optimizer.own(opt)
    if not own then
      fail("chain: entry %d is a %s, not an optimizer", i, type(opt))
    elseif own.closure then
      fail("chain: %s takes steps of its own and cannot be a part", own.name)
    elseif own.t > 0 then
      fail("chain: %s has a state already (%d steps); give a new one",
           own.name, own.t)
    end
    for _, part in ipairs(own.parts) do
      parts[#parts + 1] = hyper.copy(part, per)
    end
    if own.parts[1].rule.name == "accumulate" then
      per = per * own.parts[1].hyper.n
    end
  end
  return parts
end

local function check(parts)
  local moves
  for _, part in ipairs(parts) do
    local rule = part.rule
    if rule.update then
      if moves then
        fail("chain: both %s and %s move the parameters", moves, rule.name)
      end
      moves = rule.name
    elseif rule.after and not moves then
      fail("chain: %s comes before the rule that moves the parameters",
           rule.name)
    elseif (rule.transform or rule.all) and moves then
      fail("chain: %s comes after %s, which moves the parameters", rule.name,
           moves)
    end
  end
  if not moves then fail "chain: needs a rule that moves the parameters" end
end

--- An optimizer of the parts of optimizers, wrapped in a name.
function chain.of(list, name, options)
  local parts = gather(list)
  check(parts)
  if not name then
    local names = {}
    for k, part in ipairs(parts) do names[k] = part.rule.name end
    name = ("chain(%s)"):format(table.concat(names, ", "))
  end
  return optimizer.new(name, parts, options)
end

local function weight_axes(g)
  local dims = {}
  for d = 2, g.ndim do dims[#dims + 1] = d end
  return dims
end

function chain.add(optim)
  --- Transforms of gradients and a rule, in order, as one optimizer; lr and
  --- others are the rule's. maximize, on_nonfinite and allow_unused may be
  --- given beside the list.
  ---
  --- ```lua
  --- local opt = sd.optim.chain{ sd.optim.clip_norm(1), sd.optim.accumulate(4),
  ---                             sd.optim.adamw{ lr = 1e-3 } }
  --- ```
  function optim.chain(list)
    if type(list) ~= "table" or optimizer.own(list) then
      fail("chain: needs a list of optimizers, not a %s", type(list))
    end
    local options = {}
    for k, v in pairs(list) do
      if optimizer.general[k] then options[k] = v
      elseif math.type(k) ~= "integer" then
        fail("chain: unknown option '%s'", tostring(k))
      end
    end
    return chain.of(list, nil, options)
  end

  --- Scales all gradients together to a norm of max_norm at most (Pascanu,
  --- Mikolov and Bengio 2013), as PyTorch does.
  optim.clip_norm = optim.rule {
    name = "clip_norm", tidy = true, argument = "max_norm",
    defaults = { max_norm = 1 },
    all = function(gs, _, _, hs)
      local scale = hs[1].max_norm / (norm(gs) + 1e-6)
      return scaled(gs, sd.minimum(scale, 1))
    end,
  }

  --- Elements between -clip and clip.
  optim.clip_value = optim.rule {
    name = "clip_value", tidy = true, argument = "clip",
    defaults = { clip = 1 },
    transform = function(g, _, _, h)
      return sd.minimum(sd.maximum(g, -h.clip), h.clip)
    end,
  }

  --- Adaptive clipping (Brock et al. 2021): the gradient of each unit (a slice
  --- of the first dim) to at most clip times the norm of its weights.
  ---@param o? table clip (0.01), eps (1e-3: the least norm of weights)
  optim.clip_adaptive = optim.rule {
    name = "clip_adaptive", tidy = true, argument = "clip",
    defaults = { clip = 0.01, eps = 1e-3 },
    transform = function(g, p, _, h)
      local function size(x)
        if x.ndim < 2 then return x:square():sum():sqrt() end
        return x:square():sum(weight_axes(x), { keepdim = true }):sqrt()
      end
      local most = sd.maximum(size(p), h.eps) * h.clip
      return g * sd.minimum(most / sd.maximum(size(g), 1e-12), 1)
    end,
  }

  --- Gradient centralization (Yong et al. 2020): a matrix's gradient less its
  --- mean over all dims but the first.
  optim.centralize = optim.rule {
    name = "centralize", tidy = true,
    transform = function(g)
      if g.ndim < 2 then return g end
      return g - g:mean(weight_axes(g), { keepdim = true })
    end,
  }

  --- All gradients together divided by their norm.
  optim.normalize = optim.rule {
    name = "normalize", tidy = true,
    all = function(gs)
      return scaled(gs, 1 / sd.maximum(norm(gs), 1e-300))
    end,
  }

  --- Gradient of weight_decay |p|^2 / 2 added (adamw and others shrink the
  --- weights by themselves).
  optim.weight_decay = optim.rule {
    name = "weight_decay", tidy = true, argument = "weight_decay",
    defaults = { weight_decay = 1e-4 },
    transform = function(g, p, _, h) return g + h.weight_decay * p end,
  }

  --- Normal noise of variance eta / t^gamma on the gradient (Neelakantan et
  --- al. 2015).
  ---@param o? table eta (0.01), gamma (0.55), seed (1)
  optim.noise = optim.rule {
    name = "noise", tidy = true, argument = "eta",
    defaults = { eta = 0.01, gamma = 0.55, seed = 1 },
    all = function(gs, _, _, hs)
      local h = hs[1]
      local std = (h.eta / h.t ^ h.gamma) ^ 0.5
      local flat, unravel = sd.tree.ravel(gs)
      return unravel(flat + std * sd.randn(flat.shape, {
        dtype = flat.dtype, generator = h.generator }))
    end,
  }

  --- The mean gradient of n steps: only every n-th moves the parameters, and
  --- what follows counts those alone.
  optim.accumulate = optim.rule {
    name = "accumulate", tidy = true, argument = "n", defaults = { n = 2 },
    check = function(h)
      if math.tointeger(h.n) == nil or h.n < 1 then
        fail("accumulate: n must be a whole number above 0, not %s",
             tostring(h.n))
      end
    end,
    phase = function(h, t) return t % h.n == 0 end,
    init = function(p) return { sum = sd.zeros_like(p) } end,
    transform = function(g, p, s, h)
      s.sum = s.sum + g
      if not h.phase then return nil end
      local mean = s.sum / h.n
      s.sum = sd.zeros_like(p)
      return mean
    end,
  }
end

return chain
