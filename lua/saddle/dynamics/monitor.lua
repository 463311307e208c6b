-- A monitor looks at every so many steps of a training and keeps what it saw.
-- A step it looks at computes gradients, norms and activations in one plan,
-- instead of the optimizer's own, and applies the gradients: only the norms
-- come on top. What is not finite is left to the optimizer, which refuses it as
-- its on_nonfinite says.

local core = require "saddle.core"
local fail = require "saddle.fail"
local instruments = require "saddle.dynamics.instruments"
local module = require "saddle.module"
local preconditioned = require "saddle.dynamics.preconditioned"
local report = require "saddle.dynamics.report"
local sd = require "saddle.init"
local stepper = require "saddle.optim.stepper"
local threshold = require "saddle.dynamics.threshold"

-- Those that cost more than norms, in the order in which they are measured.
local costly = { "sharpness", "step_quality", "curvature", "gradient_tests",
                 "grad_noise" }
local parts = { "loss", "grad_norm", "update_ratio", "activation", "dead",
                "alignment", "distance", "preconditioned_sharpness" }
table.move(costly, 1, #costly, #parts + 1, parts)
local usual = { "loss", "grad_norm", "update_ratio", "activation", "dead",
                "alignment" }

local methods = {}
local Monitor = {
  __index = module.fields("the monitor", methods, {
    net = true, last = true, start = true, paths = true, counts = true,
    matrix = true, direction = true }) }

-- ---- statistics, inside a trace ---------------------------------------------

local function dot(a, b) return (a * b):sum():to "f64" end

-- Pairs of leaves a, b: the products a b, a list of tensors of one element.
local function products(a, b)
  local list = {}
  for i, x in ipairs(a) do list[i] = dot(x, b[i]) end
  return list
end

-- Leaf by leaf, list less the leaves of a tree.
local function less(list, tree)
  local d = {}
  for i, x in ipairs(core.leaves(tree, false)) do d[i] = list[i] - x end
  return d
end

-- Of a layer's results: mean, root mean square, the share of units that are 0
-- (or below) for the whole batch, and the share of values in the outer
-- twentieth of a bounded activation's range.
local function activation(entry)
  local y, name = core.stop_gradient(entry.value), entry.name
  local n = y:numel()
  local dead, saturated = sd.tensor(0.0), sd.tensor(0.0)
  if name == "relu" then
    local dims = { 1 }
    for d = y.ndim == 4 and 3 or y.ndim, y.ndim do
      if y.ndim == 4 then dims[#dims + 1] = d end
    end
    dead = y:gt(0):any(dims):logical_not():to("f32"):mean()
  elseif name == "tanh" then
    saturated = y:abs():gt(0.9):to("f32"):mean()
  elseif name == "sigmoid" then
    saturated = (y - 0.5):abs():gt(0.45):to("f32"):mean()
  end
  return { (y:sum() / n):to "f64", ((y * y):sum() / n):sqrt():to "f64",
           dead:to "f64", saturated:to "f64" }
end

-- The list of one-element tensors as one vector, read later in one go.
local function vector(list)
  for i, x in ipairs(list) do list[i] = x:reshape(1) end
  return sd.cat(list, 1)
end

-- A function (params, before, start, ...) -> loss, gradients, statistics as a
-- vector, the loss's further results. names collects what the activations are.
local function observer(m, loss, names)
  local function seen(params, ...)
    local list, stats = {}, {}
    local out
    if m.net then
      out = table.pack(m.net:record(loss, params, ...))
      list = table.remove(out, 1)
      out.n = out.n - 1
    else
      out = table.pack(loss(params, ...))
    end
    for i, entry in ipairs(list) do
      names[i] = { path = entry.path, name = entry.name }
      for _, x in ipairs(activation(entry)) do stats[#stats + 1] = x end
    end
    return out[1], stats, table.unpack(out, 2, out.n)
  end
  local grad = sd.value_and_grad(seen)
  return sd.jit(function(params, before, start, ...)
    local out = table.pack(grad(params, ...))
    local p, g = core.leaves(params, false), core.leaves(out[2], false)
    local list = { out[1]:to "f64" }
    local function add(some) table.move(some, 1, #some, #list + 1, list) end
    add(products(g, g))
    add(products(p, p))
    if m.has.alignment then
      local moved = less(p, before)
      add(products(moved, moved))
      add(products(moved, g))
    end
    if m.has.distance then
      local far = less(p, start)
      add(products(far, far))
    end
    add(out[3])
    return out[1], out[2], vector(list), table.unpack(out, 4, out.n)
  end)
end

local moved_by = sd.jit(function(old, new)
  local d = less(core.leaves(new, false), old)
  return vector(products(d, d))
end)

-- ---- entries of the record -------------------------------------------------

local function norms(values, from, n)
  local list, total = {}, 0
  for i = 1, n do
    list[i] = math.sqrt(values[from + i])
    total = total + values[from + i]
  end
  return list, math.sqrt(total)
end

-- The cosine of the last movement and descent, per parameter and together.
local function cosines(v, at, n, g, g_all)
  local list, all, size = {}, 0, 0
  for i = 1, n do
    local d2, dg = v[at + i], v[at + n + i]
    list[i] = -dg / (math.sqrt(d2) * g[i])
    all, size = all + dg, size + d2
  end
  return list, -all / (math.sqrt(size) * g_all)
end

local function entry_of(m, v, names)
  local n, e = #m.paths, { loss = v[1] }
  e.grad_norms, e.grad_norm = norms(v, 1, n)
  e.weight_norms, e.weight_norm = norms(v, 1 + n, n)
  local at = 1 + 2 * n
  if m.has.alignment then
    e.alignments, e.alignment = cosines(v, at, n, e.grad_norms, e.grad_norm)
    at = at + 2 * n
  end
  if m.has.distance then
    e.distances, e.distance = norms(v, at, n)
    at = at + n
  end
  for i, a in ipairs(names) do
    e.activations = e.activations or {}
    e.activations[i] = { path = a.path, name = a.name, mean = v[at + 1],
                         rms = v[at + 2], dead = v[at + 3],
                         saturated = v[at + 4] }
    at = at + 4
  end
  return e
end

local function add_update(e, values)
  e.update_lengths, e.update_length = norms(values, 0, #values)
  e.update_ratios = {}
  for i, v in ipairs(e.update_lengths) do
    e.update_ratios[i] = v / e.weight_norms[i]
  end
  e.update_ratio = e.update_length / e.weight_norm
end

local function is_finite(e)
  return math.abs(e.loss) < math.huge and e.grad_norm < math.huge
end

-- ---- the monitor -----------------------------------------------------------

-- The rate beside the edge of stability: lr times sharpness over its threshold.
local function add_edge(m, opt, e, loss, params, ...)
  local has_rate, lr = pcall(function() return opt.lr end)
  if not has_rate or type(lr) ~= "number" then return end
  e.lr = lr
  local sharpness = e.sharpness
  if m.has.preconditioned_sharpness then
    sharpness, m.direction = preconditioned.sharpness(opt, m.direction, loss,
                                                      params, ...)
    e.preconditioned_sharpness = sharpness
    e.threshold = preconditioned.threshold(opt)
  elseif sharpness then
    e.threshold = threshold(opt)
  end
  if e.threshold then e.edge = lr * sharpness / e.threshold end
end

-- What is measured of a step from params to new beside the norms.
local function measure(m, opt, tools, e, loss, grads, params, new, ...)
  if m.has.update_ratio then add_update(e, moved_by(params, new):totable()) end
  for _, name in ipairs(costly) do
    if m.has[name] then
      for k, v in pairs(tools[name](params, e.loss, grads, new, ...)) do
        e[k] = v
      end
    end
  end
  add_edge(m, opt, e, loss, params, ...)
  m.last = { loss = loss, params = params, args = table.pack(...) }
end

local function look(m, params)
  local list, paths = core.leaves(params)
  if m.paths and #m.paths ~= #paths then
    fail("monitor: %d parameters, after %d", #paths, #m.paths)
  end
  m.paths, m.counts, m.matrix = paths, {}, {}
  for i, x in ipairs(list) do
    m.counts[i], m.matrix[i] = x:numel(), x.ndim > 1
  end
end

-- The steps between those that are looked at. A replayed rule that asks for
-- gradients elsewhere cannot tell which of them was not finite: a step that
-- fails is tried again the plain way.
local function stepping(opt, loss)
  local quick = stepper.new(opt, loss)
  if opt.applies then return quick end
  local function finish(params, args, ok, ...)
    if ok then return ... end
    stepper.pass_interrupt((...))
    return opt:step(loss, params, table.unpack(args, 1, args.n))
  end
  return function(params, ...)
    return finish(params, table.pack(...), pcall(quick, params, ...))
  end
end

-- One step more has been taken.
local function counted(m, ...)
  m.t = m.t + 1
  return ...
end

--- A function (params, ...) -> params, loss that takes opt's steps down loss
--- and looks at every so many of them. A loss or gradient that is not finite is
--- refused as by opt:step, and recorded where it is looked at: where opt has no
--- on_nonfinite it gets "error", opt:step's default.
---@param opt table an optimizer
---@param loss function of params, ...
function methods:watch(opt, loss)
  local m, names = self, {}
  stepper.check(opt, "monitor:watch")
  if type(loss) ~= "function" then
    fail("monitor:watch: the loss is a %s, not a function", type(loss))
  end
  if m.has.preconditioned_sharpness then preconditioned.check(opt) end
  -- opt:step's default, in words for replayed steps and opt:apply too.
  if opt.on_nonfinite == nil then opt.on_nonfinite = "error" end
  local between = stepping(opt, loss)
  local applies = opt.applies -- or the rule steps by itself
  local study, tools, before -- the parameters before the last step
  local start = m.start
  local function observed(t, params, ...)
    if not m.paths then look(m, params) end
    start = start or m.has.distance and params or nil
    study, tools = study or observer(m, loss, names), tools or instruments(loss)
    local out = table.pack(study(params, before or params, start or params,
                                 ...))
    local e = entry_of(m, out[3]:totable(), names)
    if not before then e.alignments, e.alignment = nil, nil end
    e.step, m.record[#m.record + 1] = t, e
    local good = is_finite(e)
    local new = applies and good and opt:apply(params, out[2]) or
                (opt:step(loss, params, ...))
    if good then
      measure(m, opt, tools, e, loss, out[2], params, new, ...)
    end
    return new, out[1], table.unpack(out, 4, out.n)
  end
  local function step(t, params, ...)
    if (t - 1) % m.every == 0 then
      local out = table.pack(observed(t, params, ...))
      before = m.every == 1 and params or nil
      return table.unpack(out, 1, out.n)
    end
    if t % m.every == 0 and m.has.alignment then before = params end
    return between(params, ...)
  end
  return function(params, ...)
    return counted(m, step(m.t + 1, params, ...))
  end
end

--- What the record says, in words, with the numbers behind them: a list of
--- findings { kind, where, text, ... } that prints as text. Kinds are
--- "not finite", "vanishing", "exploding", "dead", "saturated", "rate above
--- the edge", "oscillation", "large updates", "small updates", "saddle",
--- "plateau".
function methods:report() return report(self) end

--- A figure of the record, saved when a path is given.
---@param path? string
---@return saddle.plot.Figure
function methods:plot(path)
  local figure = require "saddle.dynamics.figure" (self)
  return path and figure:save(path) or figure
end

--- A monitor of a training. Its record is a list of what was seen at the
--- parameters w before a step, whose batch has the loss L and the gradient g:
--- { step, loss, lr, grad_norm (|g|), weight_norm (|w|), update_length (that of
--- the step), update_ratio (it over |w|), alignment (the cosine of the step
--- before and -g), activations: a list of { path, name, mean, rms, dead,
--- saturated } }, with grad_norms, weight_norms, update_lengths, update_ratios,
--- alignments: lists over the parameters' paths. And when they are asked for:
---
--- - distance (distances): |w - w_0| from where the training started, whose
---   parameters are kept (Hoffer et al. 2017)
--- - sharpness: the largest eigenvalue of the Hessian; of linear rules also
---   threshold, above which lr times sharpness makes a quadratic grow
---   (sd.optim.stability), and edge, lr times sharpness over it
--- - preconditioned_sharpness, of adam, adamw and rmsprop, which takes the
---   other's place in threshold and edge (Cohen et al. 2022; 38 for beta1 0.9)
--- - step_quality: where the step ends on the parabola through losses and
---   slopes of this batch at both its ends: -1 at the start, 0 at the minimum,
---   1 as high as the start (Cockpit's alpha); one gradient more
--- - curvature: g'H g / g'g, along the gradient; one Hessian product
--- - norm_test, inner_product_test, orthogonality_test (gradient_tests): the
---   standard error of g over |g|, of all of it, along g, and across (whose
---   squares add up to that of the first); the tests pass where it is below
---   theta (Byrd et al. 2012; Bollapragada et al. 2018). From each example's
---   own gradient: the loss must be the mean of theirs
--- - signal and noise (grad_noise): |G|^2 of the true gradient and the trace of
---   the covariance of an example's; noise over signal is the batch size beyond
---   which more examples hardly help (McCandlish et al. 2018); half a gradient
---
--- ```lua
--- local net = sd.nn.mlp{ 2, 8, 2 }
--- local function loss(p, x, y) return sd.cross_entropy(net(p, x), y) end
--- local monitor = sd.dynamics.monitor{ net = net, every = 10 }
--- local step = monitor:watch(sd.optim.sgd{ lr = 0.1 }, loss)
--- local data, params = sd.data.moons{ n = 100 }, net:init{ seed = 1 }
--- for _ = 1, 50 do params = step(params, data.x, data.y) end
--- print(monitor:report())
--- ```
---@param o? table every (10), what (a list of "loss", "grad_norm",
---  "update_ratio", "activation", "dead", "alignment", and at further cost
---  "distance", "sharpness", "preconditioned_sharpness", "step_quality",
---  "curvature", "gradient_tests" and "grad_noise"), net (whose activations
---  count), params (whose parameters are meant, and where the distance starts;
---  those of the first step unless given)
return function(o)
  o = sd.check_options(o, { "params", "every:N", "what:L", "net" },
                       "monitor")
  local has, sure = {}, { activation = true, dead = true }
  for _, name in ipairs(o.what or usual) do
    local known = false
    for _, part in ipairs(parts) do known = known or part == name end
    if not known then
      fail("monitor: nothing called '%s'%s", tostring(name),
           module.hint(name, parts, (" (there are %s)"):format(
             table.concat(parts, ", "))))
    end
    has[name] = true
    if o.what and sure[name] and not o.net then
      fail("monitor: '%s' needs net =", name)
    end
  end
  local net = (has.activation or has.dead) and o.net or nil
  if net and type(net) ~= "table" then
    fail("monitor: net must be a network, not a %s", type(net))
  end
  local m = setmetatable({ every = o.every or 10, has = has, net = net, t = 0,
                           record = {} }, Monitor)
  if o.params ~= nil then
    look(m, o.params)
    m.start = has.distance and o.params or nil
  end
  return m
end
