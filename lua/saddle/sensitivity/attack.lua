-- Inputs moved within a ball so that the loss rises.

local core = require "saddle.core"
local fail = require "saddle.fail"
local interrupt = require "saddle.interrupt"
local sd = require "saddle.init"

local attack = {}

-- ---- the model and its gradient ---------------------------------------------

-- Traced functions of (params, x, y), kept for models that take parameters: an
-- attack inside a training loop is traced once.
local kept = setmetatable({}, { __mode = "k" })

local function traced(model, loss, with_params)
  local function total(params, x, y)
    local z
    if with_params then z = model(params, x) else z = model(x) end
    return loss(z, y, { reduction = "none" })
  end
  return {
    gradient = core.jit(function(params, x, y)
      return (sd.grad(function(v) return total(params, v, y):sum() end)(x))
    end),
    losses = core.jit(total),
    scores = core.jit(function(params, x)
      if with_params then return (model(params, x)) end
      return (model(x))
    end) }
end

local function functions(o)
  local loss = o.loss or sd.cross_entropy
  if o.params == nil then return traced(o.model, loss, false) end
  local own = kept[o.model] or {}
  kept[o.model] = own
  own[loss] = own[loss] or traced(o.model, loss, true)
  return own[loss]
end

local known = { "model:C", "params", "x:X", "y:X", "loss:C", "eps:F",
                "norm", "steps:N", "step:F", "starts:I", "seed:I",
                "clip:L", "targeted:B", "chunk:N" }

local function check(o, what, more)
  local list = { table.unpack(known) }
  for _, name in ipairs(more or {}) do list[#list + 1] = name end
  o = sd.check_options(o, list, what)
  for _, name in ipairs { "model", "x", "y" } do
    if o[name] == nil then fail("%s: needs %s", what, name) end
  end
  if o.x:size(1) ~= o.y:size(1) then
    fail("%s: %d inputs, %d labels", what, o.x:size(1), o.y:size(1))
  end
  if o.x:numel() == 0 then
    fail("%s: there are no examples: x is {%s}", what,
         table.concat(o.x.shape, ", "))
  end
  if not core.is_tracing() and core.first_nonfinite { o.x } then
    fail("%s: x holds NaN or infinite elements", what)
  end
  if o.step and not (o.step > 0) then
    fail("%s: step must be above 0, not %g", what, o.step)
  end
  local norm = o.norm or "inf"
  if norm == math.huge then norm = "inf" end
  if norm ~= "inf" and norm ~= "2" and norm ~= 2 then
    fail("%s: norm must be 'inf' or '2', not '%s'", what, tostring(norm))
  end
  if o.clip and not (type(o.clip[1]) == "number" and
                     type(o.clip[2]) == "number" and
                     o.clip[1] <= o.clip[2]) then
    fail("%s: clip must be { low, high }", what)
  end
  return o, norm == "inf" and "inf" or "2"
end

local function check_eps(eps, what)
  if type(eps) ~= "number" or not (eps >= 0 and eps < math.huge) then
    fail("%s: eps must be a finite number, 0 or above, not %s", what,
         tostring(eps))
  end
  return eps
end

-- ---- balls ------------------------------------------------------------------

local function per_example(d, x)
  local shape = { x:size(1) }
  for i = 2, x.ndim do shape[i] = 1 end
  return d:reshape(shape)
end

local function lengths(d)
  return per_example(d:reshape(d:size(1), -1):square():sum(2):sqrt(), d)
end

-- The largest magnitude in each example, 1 where all are 0: divided by it, the
-- squares of very small or large elements neither vanish nor overflow.
local function scales(d)
  local most = d:reshape(d:size(1), -1):abs():amax(2)
  return per_example(sd.where(most:gt(0), most, 1), d)
end

local balls = {
  inf = {
    steepest = function(g) return g:sign() end,
    project = function(d, eps) return sd.clamp(d, -eps, eps) end,
    random = function(x, eps, g)
      local u = sd.rand(x.shape, { dtype = x.dtype, generator = g })
      return eps * (2 * u - 1)
    end },
  ["2"] = {
    steepest = function(g)
      local q = g / scales(g)
      return q / sd.maximum(lengths(q), 1)
    end,
    project = function(d, eps)
      local scale = scales(d)
      local q = sd.maximum(lengths(d / scale), 1)
      return d * sd.clamp(eps / scale / q, 0, 1)
    end,
    random = function(x, eps, g)
      local u = sd.randn(x.shape, { dtype = x.dtype, generator = g })
      local r = sd.rand(x:size(1), { dtype = x.dtype, generator = g })
      local n = x:numel() // x:size(1)
      return eps * u / lengths(u) * per_example(r ^ (1 / n), x)
    end },
}

local function clipped(x, o)
  return o.clip and sd.clamp(x, o.clip[1], o.clip[2]) or x
end

-- f of pieces of x and y of at most o.chunk rows, a list of tensors, each
-- joined to those of the other pieces, and whether there is all: f's second
-- result says that its piece is cut short.
local function in_chunks(o, f)
  local n = o.x:size(1)
  local chunk = math.min(o.chunk or n, n)
  local function piece(parts, i)
    local from = (i - 1) * chunk + 1
    local count = math.min(chunk, n - from + 1)
    local part, cut = f(o.x:narrow(1, from, count), o.y:narrow(1, from, count))
    sd.eval(part)
    parts[i], parts.cut = part, cut
    return parts, cut
  end
  local parts, good = interrupt.steps((n + chunk - 1) // chunk, {}, piece)
  if #parts == 0 then interrupt.raise() end
  local joined = {}
  for k = 1, #parts[1] do
    local column = {}
    for i, part in ipairs(parts) do column[i] = part[k] end
    joined[k] = #column == 1 and column[1] or sd.cat(column, 1)
  end
  return joined, good and not parts.cut
end

-- ---- attacks ----------------------------------------------------------------

--- The fast gradient sign method: x + eps sign(dloss/dx) (Goodfellow, Shlens
--- and Szegedy 2015), or eps g / |g| in the 2-norm.
---
--- ```lua
--- local W, x = sd.randn(4, 3), sd.rand(5, 4)
--- local y = sd.randint(1, 3, { 5 })
--- local moved = sd.sensitivity.fgsm{ x = x, y = y, eps = 0.1,
---   model = function(v) return v:matmul(W) end }
--- ```
---@param o table model (of x, or of params, x with params), x {N, ...}, y {N},
---  eps, params, norm "inf" | "2", loss (cross_entropy; takes reduction =
---  "none"), clip { low, high }, targeted (y are the labels to reach), chunk
function attack.fgsm(o)
  local norm
  o, norm = check(o, "fgsm")
  local eps, f = check_eps(o.eps, "fgsm"), functions(o)
  if o.targeted then eps = -eps end
  local moved, whole = in_chunks(o, function(x, y)
    local g = f.gradient(o.params, x, y)
    return { clipped(x + eps * balls[norm].steepest(g), o) }
  end)
  if not whole then interrupt.raise() end
  return moved[1]
end

-- One run from a start: the points reached, their losses, and whether all
-- steps were taken.
local function climb(f, o, ball, x, y, d, eps, sign)
  local steps = o.steps or 10
  local step = o.step or (steps > 1 and 2.5 * eps / steps or eps)
  local good
  d, good = interrupt.steps(steps, d, function(before)
    local g = f.gradient(o.params, clipped(x + before, o), y)
    return sd.eval(ball.project(before + sign * step * ball.steepest(g), eps))
  end)
  local at = clipped(x + d, o)
  return at, f.losses(o.params, at, y), good
end

--- Projected gradient ascent of the loss in the ball of radius eps around x
--- (Madry et al. 2018): of several random starts, for each example, the point
--- of the highest loss. Returns the inputs moved, and their losses {N}; after
--- Ctrl-C the rows reached so far, as far as they were moved, their losses and
--- "interrupted".
---@param o table as fgsm's, and steps (10), step (2.5 eps / steps), starts (1;
---  0 starts at x itself), seed
function attack.pgd(o)
  local norm
  o, norm = check(o, "pgd")
  local eps, f = check_eps(o.eps, "pgd"), functions(o)
  local ball, sign = balls[norm], o.targeted and -1 or 1
  local starts = o.starts or 1
  if starts < 0 then fail("pgd: starts must be 0 or above, not %d", starts) end
  local g = sd.generator(o.seed or 1)
  local moved, whole = in_chunks(o, function(x, y)
    local best, good = interrupt.steps(math.max(1, starts), nil, function(b)
      local d = starts > 0 and ball.random(x, eps, g) or sd.zeros_like(x)
      local at, l, all = climb(f, o, ball, x, y, d, eps, sign)
      if b then
        local better = (sign * l):gt(sign * b[2])
        at = sd.where(per_example(better, x), at, b[1])
        l = sd.where(better, l, b[2])
      end
      return { cut = not all, sd.eval(at, l) }, not all
    end)
    if not best then interrupt.raise() end
    return { best[1], best[2] }, best.cut or not good
  end)
  return interrupt.marked(not whole, moved[1], moved[2])
end

--- The share of examples still classified rightly after an attack, for each
--- eps: { eps, accuracy, error (standard errors, from the number of examples) }
--- as lists, after Ctrl-C of the eps so far, with reason = "interrupted".
---@param o table as pgd's, but eps a list; attack "fgsm" | "pgd" ("fgsm")
function attack.robustness(o)
  local eps = type(o) == "table" and o.eps
  if type(eps) ~= "table" or #eps == 0 then
    fail "robustness: eps must be a list of numbers"
  end
  local how = o.attack or "fgsm"
  if how ~= "fgsm" and how ~= "pgd" then
    fail("robustness: attack must be 'fgsm' or 'pgd', not '%s'",
         tostring(how))
  end
  local c = {}
  for k, v in pairs(o) do c[k] = v end
  c.eps, c.attack = 0, nil
  check(c, "robustness")
  local f, n = functions(o), o.x:size(1)
  local r = { eps = {}, accuracy = {}, error = {} }
  local function accuracy(e)
    c.eps = check_eps(e, "robustness")
    local function moved(x, _, cut)
      if cut then interrupt.raise() end
      return x
    end
    local x = e == 0 and o.x or moved(attack[how](c))
    local hits, whole = in_chunks({ x = x, y = o.y, chunk = o.chunk },
                                  function(a, b)
      return { sd.argmax(f.scores(o.params, a), 2):eq(b):to "f64" }
    end)
    if not whole then interrupt.raise() end
    return hits[1]:mean():item()
  end
  local found, good = interrupt.steps(#eps, {}, function(list, i)
    list[i] = accuracy(eps[i])
    return list
  end)
  for i, p in ipairs(found) do
    r.eps[i], r.accuracy[i], r.error[i] = eps[i], p, math.sqrt(p * (1 - p) / n)
  end
  return good and r or interrupt.partial(r)
end

return attack
