-- Directions and scans.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local landscape, f64 = sd.landscape, { dtype = "f64" }

-- ---- directions ---------------------------------------------------------------

local net = sd.nn.mlp { 3, 5, 2 }
local params = net:init { seed = 1, dtype = "f64" }
local function filters(tree)
  return sd.norm(tree[1].weight, 2, 2)
end
local d = landscape.random(params, { norm = "filter", seed = 1 })
tap.ok(common.distance(filters(d), filters(params)) < 1e-14,
       "each filter has its weight's norm")
tap.near(d[1].bias:norm():item(), params[1].bias:norm():item(), 1e-14,
         "a bias has its own as a whole")
local layered = landscape.random(params, { norm = "layer", seed = 1 })
tap.near(layered[1].weight:norm():item(), params[1].weight:norm():item(),
         1e-14, "layers, too")
local weighted = landscape.random(params, { norm = "weight", seed = 1 })
tap.ok(common.distance(weighted[3].weight:abs(), params[3].weight:abs()) <
       1e-14, "and single weights")
local still = landscape.random(params, { ignore = "bias", seed = 1 })
tap.is(still[1].bias:abs():max():item(), 0.0, "ignored paths stay put")
tap.ok(still[1].weight:abs():max():item() > 0, "others do not")
local dead = { w = sd.zeros(2, 2, f64) }
tap.is(landscape.random(dead, { seed = 1 }).w:abs():max():item(), 0.0,
       "a filter of zeros has a direction of zeros")
tap.ok(common.distance(landscape.random(params, { seed = 1 })[1].weight,
                       d[1].weight) == 0, "a seed repeats a direction")
local between = landscape.between({ sd.ones(2) }, { sd.full({ 2 }, 3) })
tap.is(between[1]:totable(), { 2, 2 }, "between leads from a to b")

-- ---- scans ----------------------------------------------------------------------

local X = sd.randn(10, 3, { dtype = "f64", generator = sd.generator(3) })
local Y = sd.tensor({ 1, 2, 1, 2, 1, 2, 1, 2, 1, 2 }, { dtype = "i64" })
local function loss(p)
  local z = net(p, X)
  return sd.cross_entropy(z, Y), z:argmax(2):eq(Y):to("f64"):mean()
end
local e = landscape.random(params, { seed = 2 })
local s = landscape.plane(loss, params, d, e,
                          { x = { -1, 1, 5 }, y = { -0.5, 0.5, 3 } })
tap.is({ #s.x, #s.y, #s.loss, #s.loss[1] }, { 5, 3, 3, 5 },
       "grids need not be square")
tap.near(s.loss[2][3], (loss(params)):item(), 1e-14, "the centre is the loss")
local corner = sd.tree.map(function(w, a, b) return w - a + 0.5 * b end,
                           params, d, e)
tap.near(s.loss[3][1], (loss(corner)):item(), 1e-13,
         "a corner is the loss there")
tap.near(s.accuracy[3][1], select(2, loss(corner)):item(), 1e-14,
         "the second result is kept")
local line = landscape.line(loss, params, d, { -1, 1, 3 })
tap.near(line.loss[1], s.loss[2][1], 1e-13, "a line lies in its plane")

local function looks(p)
  local v = p:sum()
  if v:item() > 0.5 then return v * 0 / 0 end
  return v
end
local broken = landscape.line(looks, sd.zeros(1, f64), sd.ones(1, f64),
                              { 0, 1, 3 })
tap.is(broken.loss[2], 0.5, "a loss that looks at values is scanned, too")
tap.ok(broken.loss[3] ~= broken.loss[3], "a loss that is not a number stays")

-- ---- files --------------------------------------------------------------------------

local path = os.tmpname()
s:save(path .. ".npz")
local back = sd.load(path .. ".npz")
tap.is(back.loss:totable(), s.loss, "a saved scan comes back")
s:html(path .. ".html", { title = "t" })
local file = io.open(path .. ".html")
tap.ok(file:read("a"):find "saddleSurface%(", "a page is written")
file:close()
for _, ending in ipairs { "", ".npz", ".html" } do os.remove(path .. ending) end

-- ---- mistakes ---------------------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "landscape_test.lua:%d+: " .. pattern, name)
end
bad(function() landscape.random(params, { norm = "filters" }) end,
    "random: norm must be", "an unknown norm")
bad(function() landscape.random(params, { sed = 1 }) end,
    "random: unknown option 'sed' %(did you mean 'seed'%?%)",
    "an unknown option")
bad(function() landscape.line(loss, params, d, { 0 }) end,
    "line: a range {from, to, n}", "a range without an end")
bad(function() landscape.between({ sd.ones(1) }, {}) end,
    "tree.map: trees of 1 and 0 tensors", "trees of other forms")
bad(function() line:html(path) end, "html: a line has no surface",
    "a page of a line")

-- ---- results, kinds and fields that are wrong ------------------------------------

local one = sd.ones(2)
bad(function() landscape.line(function() end, one, one, { 0, 1, 2 }) end,
    "line: f returned nothing", "a loss that is nothing")
bad(function()
  landscape.plane(function(p) return p end, one, one, one, {})
end, "plane: f returned a tensor of shape {2}", "a loss of two numbers")
bad(function()
  landscape.line(function() return "low" end, one, one, { 0, 1, 2 })
end, "line: f returned a string", "a loss that is text")
local sums = landscape.plane(function(p) return p:sum() end, one, one, one,
                             { x = { 0, 1, 2 }, y = { 0, 1, 2 } })
bad(function() sums:plot("x.png", { kind = "countour" }) end,
    "plot: kind must be surface, contour or heatmap, .*'contour'", "a wrong kind")
bad(function() return sums.los end, "a scan has no 'los' %(did you mean 'loss'",
    "a field that a scan has not")
tap.is(sums.accuracy, nil, "a scan without accuracies")
bad(function() return landscape.plan end,
    "sd.landscape has no 'plan' %(did you mean 'plane'", "nor has landscape")
tap.done()
