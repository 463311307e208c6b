-- How near the inputs of piecewise linear activations are to their kinks,
-- where the second derivative is not what differences see.

local fail = require "saddle.fail"
local sd = require "saddle.init"

-- Where the slope jumps.
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

-- The distances of z from its nearest kink.
local function distances(z, at)
  local d
  for _, k in ipairs(at) do
    local e = (z - k):abs()
    d = d and sd.minimum(d, e) or e
  end
  return d
end

-- Adds what the layers of a chain show, and gives their result.
local function walk(net, params, x, path, list, h)
  local layers = rawget(net, "layers")
  if not layers then
    local at = kinks[net.name]
    if at then
      local d = distances(x, at)
      local within = d:le(h):to("f64"):sum():item()
      list[#list + 1] = {
        path = path, name = net.name, count = d:numel(),
        within = math.tointeger(within), nearest = d:min():item() }
    end
    return (net(params, x))
  end
  for i, l in ipairs(layers) do
    x = walk(l, params[i], x, path == "" and tostring(i) or path .. "." .. i,
             list, h)
  end
  return x
end

--- A census of the pre-activations of a net (layers in chains) within h of a
--- kink of relu, leaky_relu, hardtanh or hardswish: a list of { path, name,
--- count, within, nearest }, with warning, a sentence, when there are any:
--- differences with a step that moves pre-activations by h then see the jump of
--- the slope instead of curvature, |jump| / h large. Hessian products do not:
--- they are those of the pieces.
---@param net any a chain
---@param params any its parameters
---@param x any the batch
---@param o? table h (1e-4)
return function(net, params, x, o)
  o = sd.check_options(o, { "h:F" }, "kinks")
  local h = o.h or 1e-4
  if not (h >= 0) then fail("kinks: h must not be below 0, got %g", h) end
  if type(net) ~= "table" or not rawget(net, "apply") then
    fail("kinks: needs a net, not a %s", type(net))
  end
  local list = setmetatable({}, census)
  walk(net, params, x, "", list, h)
  local within, count = 0, 0
  for _, l in ipairs(list) do
    within, count = within + l.within, count + l.count
  end
  list.within, list.count = within, count
  if within > 0 then
    list.warning = ("%d of %d pre-activations are within %g of a kink: " ..
      "curvature by differences of that reach means little"):format(
      within, count, h)
  end
  return list
end
