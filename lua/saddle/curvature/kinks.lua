-- How near a net is to the kinks of what it is made of, piecewise linear
-- activations and maxima, where the second derivative is not what differences
-- see.

local core = require "saddle.core"
local fail = require "saddle.fail"
local models = require "saddle.curvature.models"
local sd = require "saddle.init"

-- Where the slope of a layer's activation jumps.
local kinks = { relu = { 0 }, leaky_relu = { 0 }, hardtanh = { -1, 1 },
                hardswish = { -3, 3 } }

local census = {}
census.__index = census

function census:__tostring()
  local lines = {}
  for _, l in ipairs(self) do
    lines[#lines + 1] = ("%-10s %-10s nearest %.2e, %d of %d within h"):format(
      l.path, l.name, l.nearest, l.within, l.count)
  end
  lines[#lines + 1] = self.warning or "no kink within reach"
  return table.concat(lines, "\n")
end

-- ---- distances --------------------------------------------------------------

-- Of z from the nearest of some places.
local function from_places(z, places)
  local d
  for _, k in ipairs(places) do
    local e = (z - k):abs()
    d = d and sd.minimum(d, e) or e
  end
  return d
end

-- How far the second largest (smallest: sign -1) of x over the dims from ..
-- to is from the largest. A tie of zeros, such as a ReLU makes of a whole
-- window, has no slope on either side and is no kink: inf.
local function gaps(x, from, to, sign)
  local last = x:flatten(from, to):movedim(from, -1)
  if last:size(-1) < 2 then return nil end
  local two = sd.topk(sign * last, 2, -1)
  local first, second = two:narrow(-1, 1, 1), two:narrow(-1, 2, 1)
  local tie = first:eq(0):logical_and(second:eq(0))
  return sd.where(tie, math.huge, first - second)
end

local function over_dims(sign)
  return function(node)
    local x, run, stop, from = node[1], table.unpack(node.attr)
    return gaps(x, from + 1, run == 0 and x.ndim or stop, sign)
  end
end

local function of_two(node) return (node[1] - node[2]):abs() end
local function of_one(node) return node[1]:abs() end

-- The distances of a node of the graph, nil when it has no kink. max and min
-- over a dim gather by the index of the extreme element.
local ops = {
  relu = of_one, abs = of_one, maximum = of_two, minimum = of_two,
  amax = over_dims(1), amin = over_dims(-1),
  gather = function(node)
    local sign = ({ argmax = 1, argmin = -1 })[node.via[2]]
    local dim = node.attr[1] + 1
    return sign and gaps(node[1], dim, dim, sign)
  end }

local function name_of(node)
  if node.name ~= "gather" then return node.name end
  return node.via[2] == "argmax" and "max" or "min"
end

-- ---- the census -------------------------------------------------------------

local function note(list, path, name, d, h)
  if not d or d:numel() == 0 or not (d.dtype == "f32" or d.dtype == "f64") then
    return
  end
  local within = d:le(h):to("f64"):sum():item()
  list[#list + 1] = {
    path = path, name = name, count = d:numel(),
    within = math.tointeger(within), nearest = d:min():item() }
end

-- Adds what the operations show that model(params, x) consists of, and gives
-- its result.
local function watch(model, params, x, path, list, h)
  sd.eval(x, params)
  local trace <close> = core.trace()
  if #core.leaves(params, false) > 0 then
    params = core.watch(trace, params, "kinks")
  end
  local y = model(params, core.watch(trace, x, "kinks"))
  core.leave(trace)
  models.outputs((core.leaves(y, false))[1] or y, "kinks")
  for _, node in ipairs(core.nodes(core.leaves(y, false), ops,
                                   "stop_gradient")) do
    local d = ops[node.name](node)
    note(list, path, name_of(node), d and sd.eval(d), h)
  end
  return sd.eval(y)
end

-- Adds what the layers of a chain show, and gives their result.
local function walk(net, params, x, path, list, h)
  local layers = rawget(net, "layers")
  if not layers then
    local at = kinks[net.name]
    if not at then return watch(net, params, x, path, list, h) end
    note(list, path, net.name, from_places(x, at), h)
    return (net(params, x))
  end
  for i, l in ipairs(layers) do
    x = walk(l, params[i], x, path == "" and tostring(i) or path .. "." .. i,
             list, h)
  end
  return x
end

--- A census of what a net computes within h of a kink: of relu, leaky_relu,
--- hardtanh or hardswish layers the pre-activations, by their distance from it;
--- inside other layers, and in a function, the operations relu and abs, and
--- maximum, minimum, max, min, amax and amin (a max-pool built of views, say),
--- by the gap between the largest two values (smallest two, of minima), where
--- the slope goes over from one to the other; a tie of zeros, which a ReLU
--- makes, does not count. A list of { path, name, count, within, nearest },
--- with warning, a sentence, when there are any: differences with a step that
--- moves these values by h then see the jump of the slope instead of curvature,
--- |jump| / h large. Hessian products do not: they are those of the pieces.
---
--- ```lua
--- local x = sd.tensor{ { 1, 5, 5.00001, 2 } }
--- local function pool(_, v) return v:reshape(1, 2, 2):amax(3) end
--- print(sd.curvature.kinks(pool, {}, x)) -- 5 and 2: gaps 4 and 3.00001
--- ```
---@param net any a net (layers in chains), or a function of params, x
---@param params any its parameters
---@param x any the batch
---@param o? table h (1e-4)
return function(net, params, x, o)
  o = sd.check_options(o, { "h:F" }, "kinks")
  local h = o.h or 1e-4
  if not (h >= 0) then fail("kinks: h must not be below 0, got %g", h) end
  local is_net = type(net) == "table" and rawget(net, "apply")
  if not is_net and type(net) ~= "function" then
    fail("kinks: needs a net or a function, not a %s", type(net))
  end
  if not sd.is_tensor(x) then
    fail("kinks: the batch is a %s, not a tensor", type(x))
  end
  local list = setmetatable({}, census)
  local go = is_net and walk or watch
  go(net, params, x, "", list, h)
  local within, count = 0, 0
  for _, l in ipairs(list) do
    within, count = within + l.within, count + l.count
  end
  list.within, list.count = within, count
  if within > 0 then
    list.warning = ("%d of %d values are within %g of a kink: " ..
      "curvature by differences of that reach means little"):format(
      within, count, h)
  end
  return list
end
