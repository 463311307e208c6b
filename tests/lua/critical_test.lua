-- Critical points: verdicts with their certificates, finders, escapes, sweeps.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local critical = sd.critical
local f64 = { dtype = "f64" }
local function t(v) return sd.tensor(v, f64) end

local function himmelblau(p)
  return (p[1] ^ 2 + p[2] - 11) ^ 2 + (p[1] + p[2] ^ 2 - 7) ^ 2
end
local function rosenbrock(p)
  return (1 - p[1]) ^ 2 + 100 * (p[2] - p[1] ^ 2) ^ 2
end
local function double_well(p) return (p[1] ^ 2 - 1) ^ 2 + p[2] ^ 2 end
local function monkey(p) return p[1] ^ 3 - 3 * p[1] * p[2] ^ 2 end

-- First of all, before anything else could load what it needs.
local _, early = critical.find(function(p) return ((p - 1) ^ 2):sum() end,
                               sd.zeros(600, f64), { kind = "minimum" })
tap.is({ early.kind, early.converged }, { "minimum", true },
       "600 parameters, in a session's first call")

-- ---- certificates --------------------------------------------------------------------

local c = critical.classify(double_well, t { 0, 0 })
tap.is({ c.kind, c.index, c.certified, c.zeros }, { "saddle", 1, true, 0 },
       "a saddle, certified")
tap.ok(c.residuals[1] < 1e-12, "its eigenvalues have residuals")
tap.is(c.directions.shape, { 2, 1 }, "and a direction of descent")
local flat = critical.classify(function(p) return p[1] ^ 2 + p[2] ^ 4 end, t { 0, 0 })
tap.is({ flat.kind, flat.zeros }, { "degenerate", 1 }, "a zero is counted")
local many = sd.linspace(-1, 2, 600, f64) + 1e-3
local function large(p) return (many * p * p):sum() end
local big = critical.classify(large, sd.zeros(600, f64), { exact = true })
local negative = many:lt(0):to("f64"):sum():item()
tap.is({ big.kind, big.index, big.certified }, { "saddle", math.tointeger(negative), true },
       "600 parameters, the index by factorisation")
local some = critical.classify(large, sd.zeros(600, f64), { k = 3 })
tap.is({ some.index, some.certified }, { 3, false },
       "without it the index is a lower bound, and said to be one")

-- ---- finders -------------------------------------------------------------------------

local function finds(f, start, o, kind, index, at, name)
  local p, info = critical.find(f, start, o)
  tap.ok(info.converged and info.kind == kind and info.index == index,
         ("%s: %s of index %d after %d steps (%s)"):format(
           name, info.kind, info.index, info.iterations, info.reason))
  if at then
    tap.ok(common.distance(p, t(at)) < 1e-6, name .. ": where it is")
  end
  return p, info
end
finds(rosenbrock, t { -1.2, 1 }, { kind = "minimum" }, "minimum", 0, { 1, 1 },
      "Newton on Rosenbrock")
finds(himmelblau, t { 0, 0 }, { kind = "minimum" }, "minimum", 0, { 3, 2 },
      "Newton on Himmelblau")
finds(double_well, t { 0, 0.5 }, { kind = "minimum" }, "minimum", 0, nil,
      "Newton from a ridge, where the gradient has no part downhill")
finds(himmelblau, t { -0.2, -0.9 }, { kind = "any" }, "maximum", 2,
      { -0.270845, -0.923039 }, "the gradient's norm near a maximum")
finds(double_well, t { 0.7, 0.4 }, { kind = "saddle" }, "saddle", 1, { 0, 0 },
      "eigenvector following")
finds(double_well, t { 0.7, 0.4 }, { kind = "saddle", method = "dimer" },
      "saddle", 1, { 0, 0 }, "the dimer")
finds(himmelblau, t { 2, 2 }, { kind = "saddle" }, "saddle", 1, nil,
      "eigenvector following from a minimum's valley")
do -- also where curvatures cross on the way, or only infinity is uphill
  local missed = {}
  for i = -5, 5, 2 do
    for j = -5, 5, 2 do
      local _, c = sd.critical.find(himmelblau, t { i + 0.1, j + 0.2 },
                                    { kind = "saddle" })
      if c.kind ~= "saddle" or not c.converged then
        missed[#missed + 1] = ("(%d, %d)"):format(i, j)
      end
    end
  end
  tap.is(table.concat(missed, " "), "", "a saddle from every start")
end
finds(himmelblau, t { 2, 2 }, { kind = "saddle", method = "dimer" },
      "saddle", 1, nil, "the dimer from a minimum's valley")
finds(himmelblau, t { 1, 1 }, { index = 2 }, "maximum", 2,
      { -0.270845, -0.923039 }, "index 2 in two dimensions is a maximum")
local function wells(p) return ((p ^ 2 - 1) ^ 2):sum() end
for index = 1, 3 do
  finds(wells, t { 0.3, -0.5, 0.7, 0.9 }, { index = index }, "saddle", index,
        nil, "a saddle of index " .. index)
end
finds(function(p) return 1e8 * wells(p) end, t { 0.3, -0.5, 0.7 },
      { kind = "saddle" }, "saddle", 1, nil, "whatever the scale")
finds(function(p) return wells(p.a) + wells(p.b.c) end,
      { a = t { 0.8 }, b = { c = t { 1.2, 0.9 } } }, { kind = "minimum" },
      "minimum", 0, nil, "of a tree")
local long = sd.linspace(0.5, 1.3, 600, f64)
finds(wells, long, { kind = "minimum" }, "minimum", 0, nil,
      "600 parameters: a minimum, matrix-free")
local high = sd.ones(600, f64) * 0.95
high[1] = 0.2
finds(wells, high, { kind = "saddle" }, "saddle", 1, nil,
      "600 parameters: a saddle, matrix-free")
finds(wells, high, { kind = "any" }, "saddle", 1, nil,
      "600 parameters: any, matrix-free")
local function chain(p) -- Rosenbrock's valley in 600 dimensions
  local a, b = p:narrow(1, 1, 599), p:narrow(1, 2, 599)
  return ((1 - a) ^ 2 + 100 * (b - a ^ 2) ^ 2):sum()
end
finds(chain, sd.full({ 600 }, 0.5, f64), { kind = "minimum" }, "minimum", 0,
      sd.ones(600, f64):totable(), "600 parameters: along a curved valley")
finds(chain, sd.full({ 600 }, 1.1, f64), { kind = "any" }, "minimum", 0,
      sd.ones(600, f64):totable(), "600 parameters: by residuals")
finds(wells, sd.zeros(600, f64), { kind = "minimum" }, "minimum", 0, nil,
      "600 parameters: off a maximum where the gradient is zero")
finds(double_well, t { 0, 0 }, { kind = "minimum" }, "minimum", 0, nil,
      "two: off a saddle where the gradient is zero")
local _, stuck = critical.find(function(p) return p[1] + p[1] ^ 3 / 3 + p[2] ^ 2 end,
                               t { 0.5, 0.5 }, { kind = "any" })
tap.ok(not stuck.converged and stuck.kind == "not critical" and
       stuck.reason:find "gradient", "no critical point: " .. stuck.reason)

-- Labels that a network fits ever better: its minimum is at infinity.
local net = sd.nn.mlp { 3, 5, 2, activation = "tanh" }
local g = sd.generator(1)
local a, b = sd.randn(20, 3, { generator = g }), sd.randint(1, 2, { 20 }, { generator = g })
local _, away = critical.find(function(p) return sd.cross_entropy(net(p, a), b) end,
                              net:init { seed = 1 }, { kind = "minimum", max_iter = 300 })
tap.is({ away.kind, away.converged }, { "not critical", false },
       "what is not critical has not converged: " .. away.reason)

local function fit(p, u, v) return sd.cross_entropy(net(p, u), v) end
local at = net:init { seed = 2, dtype = "f64" }
local whole = { args = { a:to "f64", b } }
local pieces = { args = { sd.curvature.chunks({ a:to "f64", b }, { size = 7 }) } }
local one, many_pieces = critical.classify(fit, at, whole), critical.classify(fit, at, pieces)
tap.near({ many_pieces.loss, many_pieces.gradient_norm, many_pieces.gain },
         { one.loss, one.gradient_norm, one.gain }, 1e-12,
         "a verdict over a data set in chunks")
tap.near(select(2, critical.escape(fit, at, pieces)).loss,
         select(2, critical.escape(fit, at, whole)).loss, 1e-9, "and the way down")
tap.throws(function() critical.find(fit, at, pieces) end,
           "find: takes the whole data set", "which finders want whole")

-- ---- escapes -------------------------------------------------------------------------

local down, info = critical.escape(double_well, t { 0, 0 })
tap.ok(info.escaped and info.loss < 0.9 and info.curvature < 0,
       ("escape: %.3g -> %.3g"):format(info.before, info.loss))
tap.near(double_well(down):item(), info.loss, 1e-12, "to where it says")
local _, stays = critical.escape(double_well, t { 1, 0 })
tap.is({ stays.escaped, stays.reason }, { false, "no curvature is negative" },
       "there is no way down from a minimum")

-- ---- sweeps --------------------------------------------------------------------------

-- The nine of Himmelblau's function: 4 minima, 4 saddles, 1 maximum.
local all = critical.sweep(himmelblau, { { -5, 5 }, { -5, 5 } })
local count = {}
for _, p in ipairs(all) do count[p.kind] = (count[p.kind] or 0) + 1 end
tap.is({ #all, count.minimum, count.saddle, count.maximum }, { 9, 4, 4, 1 },
       "the nine critical points of Himmelblau's function")
tap.near(all[9].loss, 181.6165, 1e-3, "the maximum's height")
tap.is(#critical.sweep(rosenbrock, { x = { -2, 2 }, y = { -1, 3 } }), 1,
       "Rosenbrock's function has one")
local saddle = critical.sweep(monkey, { { -1, 1 }, { -1, 1 } })
tap.is({ #saddle, saddle[1].kind }, { 1, "degenerate" }, "the monkey saddle")
tap.is(#critical.sweep(function(p) return p[1] + p[2] ^ 2 end,
                       { { -1, 1 }, { -1, 1 } }), 0, "a slope has none")
local wave = critical.sweep(function(p) return p[1]:sin() + p[2]:cos() end,
                            { { -4, 4 }, { -4, 4 } })
tap.is(#wave, 6, "sin x + cos y: two by three")

-- ---- bad input -----------------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "critical_test.lua:%d+: " .. pattern, name)
end
bad(function() critical.find(wells, t { 1, 2 }, { kind = "sadle" }) end,
    "find: kind must be", "an unknown kind")
bad(function() critical.find(wells, t { 1, 2 }, { method = "bisect" }) end,
    "find: method must be", "an unknown method")
bad(function() critical.find(wells, t { 1, 2 }, { index = 3 }) end,
    "find: a saddle of index 3 in 2 dimensions", "too high an index")
bad(function() critical.find(wells, t { 1, 2 }, { index = 2, method = "dimer" }) end,
    "find: the dimer finds saddles of index 1", "a dimer of index 2")
bad(function() critical.find(wells, t { 1, 0 / 0 }) end,
    "find: at the start the loss is", "a start of NaN")
bad(function() critical.classify(wells, t { 0 / 0 }) end,
    "classify: the gradient is not finite", "a point of NaN")
bad(function() critical.sweep(wells, { { 1, -1 }, { 0, 1 } }) end,
    "sweep: the box's x must be", "a box inside out")
bad(function() critical.classify() end, "classify: f must be a function",
    "no function")
bad(function() critical.classify(wells, sd.ones(2, { dtype = "i64" })) end,
    "classify: parameters of i64; f32 or f64 needed", "whole parameters")
bad(function() critical.find(wells, t { 1, 2 }, { tol = -1 }) end,
    "find: tol must be 0 or above, the radius above 0, not %-1",
    "a negative tolerance")
bad(function() critical.escape(wells, t { 1, 2 }, { step = -1 }) end,
    "escape: the step must be above 0", "a negative step")
bad(function() critical.sweep(wells, { { 0, 1 }, { 0, 1 } }, { tol = 0 }) end,
    "sweep: tol must be above 0", "a sweep that nothing passes")
bad(function() critical.find(nil, t { 1 }) end, "find: f must be a function",
    "nothing to find")
bad(function() critical.sweep(nil, { { 0, 1 }, { 0, 1 } }) end,
    "sweep: f must be a function", "nothing to sweep")
bad(function() critical.sweep(wells, 3) end, "sweep: needs a box", "no box")
-- ---- roots of higher order, approached ---------------------------------------------

for _, scale in ipairs { 1e-8, 1, 1e8 } do
  local function kind_at(f, at)
    local point = sd.critical.classify(function(p) return scale * f(p) end,
                                       sd.tensor(at, f64))
    return point.kind
  end
  local function monkey(p) return p[1] ^ 3 - 3 * p[1] * p[2] ^ 2 end
  tap.is({ kind_at(function(p) return p[1] ^ 4 end, { 1e-5 }),
           kind_at(function(p) return p[1] ^ 4 + p[2] ^ 2 end, { 1e-3, 0 }),
           kind_at(monkey, { 1e-7, 2e-7 }),
           kind_at(function(p) return p[1] ^ 2 - sd.cos(p[2]) end,
                   { 1e-5, 1e-6 }),
           kind_at(function(p) return (p[1] ^ 2 - 1) ^ 2 + p[2] ^ 2 end,
                   { 1e-5, -1e-5 }) },
         { "degenerate", "degenerate", "degenerate", "minimum", "saddle" },
         ("near a critical point, in units of %g"):format(scale))
end
local root = select(2, sd.critical.find(function(p)
  return p[1] ^ 3 - 3 * p[1] * p[2] ^ 2
end, sd.tensor({ .5, .3 }, f64)))
tap.ok(root.converged and root.kind == "degenerate" and not root.certified,
       "a monkey saddle that was found is degenerate")

-- ---- any point, through a curved valley --------------------------------------------

local ends, valley = sd.critical.find(function(p)
  return (1 - p[1]) ^ 2 + 100 * (p[2] - p[1] ^ 2) ^ 2
end, sd.tensor({ -1.2, 1 }, f64))
tap.near(ends, { 1, 1 }, 1e-9, ("Rosenbrock's valley to its end in %d steps")
  :format(valley.iterations))
tap.ok(valley.kind == "minimum" and valley.iterations < 40, valley.reason)

tap.done()
