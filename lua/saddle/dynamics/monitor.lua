-- A monitor looks at every so many steps of a training and keeps what it saw.
-- A step it looks at computes gradients, norms and activations in one plan,
-- instead of the optimizer's own, and applies the gradients: only the norms
-- come on top.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local report = require "saddle.dynamics.report"
local sd = require "saddle.init"
local stepper = require "saddle.optim.stepper"

local parts = { "loss", "grad_norm", "update_ratio", "activation", "dead",
                "sharpness", "grad_noise", "alignment" }
local usual = { "loss", "grad_norm", "update_ratio", "activation", "dead",
                "alignment" }

local methods = {}
local Monitor = {
  __index = module.fields("the monitor", methods, {
    net = true, before = true, last = true, half = true, paths = true,
    counts = true, matrix = true }) }

-- ---- statistics, inside a trace ---------------------------------------------

local function dot(a, b) return (a * b):sum():to "f64" end

-- Pairs of leaves a, b: the products a b, a list of tensors of one element.
local function products(a, b)
  local list = {}
  for i, x in ipairs(a) do list[i] = dot(x, b[i]) end
  return list
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

-- A function (params, before, ...) -> loss, gradients, statistics as a vector,
-- the loss's further results. names collects what the activations are.
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
  return sd.jit(function(params, before, ...)
    local out = table.pack(grad(params, ...))
    local p, g = core.leaves(params, false), core.leaves(out[2], false)
    local list = { out[1]:to "f64" }
    local function add(some) table.move(some, 1, #some, #list + 1, list) end
    add(products(g, g))
    add(products(p, p))
    local moved = {}
    for i, x in ipairs(core.leaves(before, false)) do moved[i] = p[i] - x end
    add(products(moved, moved))
    add(products(moved, g))
    add(out[3])
    return out[1], out[2], vector(list), table.unpack(out, 4, out.n)
  end)
end

local moved_by = sd.jit(function(old, new)
  local list = {}
  for i, x in ipairs(core.leaves(old, false)) do
    local d = core.leaves(new, false)[i] - x
    list[i] = dot(d, d)
  end
  return vector(list)
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
  if m.has.alignment then
    e.alignments, e.alignment = cosines(v, 1 + 2 * n, n, e.grad_norms,
                                        e.grad_norm)
  end
  local at = 1 + 4 * n
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
  local total = 0
  e.update_ratios = {}
  for i, v in ipairs(values) do
    e.update_ratios[i] = math.sqrt(v) / e.weight_norms[i]
    total = total + v
  end
  e.update_ratio = math.sqrt(total) / e.weight_norm
end

-- McCandlish et al. 2018: |G|^2 and the trace S of the gradient's covariance
-- from the gradients of a batch and of its half; S / |G|^2 is the batch size
-- beyond which more examples hardly help.
local function noise(m, loss, params, grad_norm, ...)
  local args, half = table.pack(...), nil
  for i = 1, args.n do
    local x = args[i]
    if sd.is_tensor(x) and x.ndim > 0 and #x > 1 then
      half = half or #x // 2
      if #x >= half then args[i] = x:narrow(1, 1, half) end
    end
  end
  if not half then
    fail "monitor: grad_noise needs a batch of at least two examples"
  end
  m.half = m.half or sd.jit(function(p, ...)
    local g = (sd.grad(loss)(p, ...))
    return sd.tree.dot(g, g):to "f64"
  end)
  local small = m.half(params, table.unpack(args, 1, args.n)):item()
  local b, big = 2 * half, grad_norm ^ 2
  local G = (b * big - half * small) / (b - half)
  return G, (small - big) / (1 / half - 1 / b)
end

-- ---- the monitor -----------------------------------------------------------

-- The eta lambda from which plain descent with or without momentum grows on a
-- quadratic; nil for other rules.
local function threshold_of(opt)
  if opt.name ~= "sgd" then return nil end
  local b, keep = opt.momentum, 1 - opt.dampening
  if opt.nesterov then return (2 + 2 * b) / (1 + 2 * b) end
  return b > 0 and (2 + 2 * b) / keep or 2
end

local function note(m, opt, e, loss, params, args)
  e.step = m.t
  local has_rate, lr = pcall(function() return opt.lr end)
  if has_rate and type(lr) == "number" then
    e.lr, e.threshold = lr, threshold_of(opt)
  end
  if m.has.sharpness then
    e.sharpness = sd.curvature.sharpness(loss, params,
                                         table.unpack(args, 1, args.n))
  end
  if m.has.grad_noise then
    e.signal, e.noise = noise(m, loss, params, e.grad_norm,
                              table.unpack(args, 1, args.n))
  end
  m.record[#m.record + 1] = e
  m.last = { loss = loss, params = params, args = args }
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

--- A function (params, ...) -> params, loss that takes opt's steps down loss
--- and looks at every so many of them.
---@param opt table an optimizer
---@param loss function of params, ...
function methods:watch(opt, loss)
  local m, names = self, {}
  stepper.check(opt, "monitor:watch")
  if type(loss) ~= "function" then
    fail("monitor:watch: the loss is a %s, not a function", type(loss))
  end
  local plain = stepper.new(opt, loss)
  local applies = opt.applies -- or the rule steps by itself
  local study
  local function observed(params, ...)
    if not m.paths then look(m, params) end
    study = study or observer(m, loss, names)
    local before = m.before or params
    local out = table.pack(study(params, before, ...))
    local e = entry_of(m, out[3]:totable(), names)
    if not m.before then e.alignments, e.alignment = nil, nil end
    local new
    if applies then
      new = opt:apply(params, out[2])
    else
      new = opt:step(loss, params, ...)
    end
    if m.has.update_ratio then add_update(e, moved_by(params, new):totable())
    end
    note(m, opt, e, loss, params, table.pack(...))
    return new, out[1], table.unpack(out, 4, out.n)
  end
  return function(params, ...)
    m.t = m.t + 1
    local due = (m.t - 1) % m.every == 0
    if due then
      local out = table.pack(observed(params, ...))
      m.before = m.every == 1 and params or nil
      return table.unpack(out, 1, out.n)
    end
    if m.t % m.every == 0 and m.has.alignment then m.before = params end
    return plain(params, ...)
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

--- A monitor of a training. Its record is a list of { step, loss, lr,
--- threshold (of lr times sharpness, for sgd),
--- grad_norm, weight_norm, update_ratio, alignment (the cosine of the last
--- step and descent), sharpness, signal and noise (of the gradient), and
--- grad_norms, weight_norms, update_ratios, alignments: lists over paths, and
--- activations: a list of { path, name, mean, rms, dead, saturated } }.
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
---  "sharpness" and "grad_noise"), net (whose activations count), params
---  (whose parameters are meant; those of the first step unless given)
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
  if o.params ~= nil then look(m, o.params) end
  return m
end
