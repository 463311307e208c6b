-- Operators, eigenvalues, traces, densities and critical points against
-- dense answers.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local f64 = { dtype = "f64" }
local function t(v) return sd.tensor(v, f64) end

-- ---- a network's Hessian ------------------------------------------------------

local net = sd.nn.mlp { 3, 6, 4, activation = "tanh" }
local params = net:init { seed = 1, dtype = "f64" }
local g = sd.generator(2)
local x = sd.randn(40, 3, { dtype = "f64", generator = g })
local y = sd.randint(1, 4, { 40 }, { generator = g })
local function loss(p, a, b) return sd.cross_entropy(net(p, a), b) end

local H = sd.curvature.hessian(loss, params, x, y)
local flat, unravel = sd.tree.ravel(params)
local want = sd.hessian(function(v) return loss(unravel(v), x, y) end)(flat)
local D = H:dense()
tap.is(H.n, 52, "an operator knows its size")
tap.ok(common.distance(D, want) < 1e-13, "dense is sd.hessian")
tap.ok(common.distance(D, D:T()) < 1e-13, "the Hessian is symmetric")
local v = sd.randn(52, { dtype = "f64", generator = g })
tap.ok(common.distance(H:matvec(v), want:matmul(v)) < 1e-12, "matvec")
local tree = H:matvec(unravel(v))
tap.ok(common.distance((sd.tree.ravel(tree)), want:matmul(v)) < 1e-12,
       "matvec takes and gives trees")
local V = sd.randn(52, 3, { dtype = "f64", generator = g })
tap.ok(common.distance(H:matmat(V), want:matmul(V)) < 1e-12, "matmat")

-- ---- eigenvalues -----------------------------------------------------------------

local w = sd.linalg.eigh(want):totable()
local function top(k)
  local list = {}
  for i = 1, k do list[i] = w[#w + 1 - i] end
  return list
end
local e = H:eigs { k = 4 }
tap.ok(common.distance(e.values, t(top(4))) < 1e-8, "the largest")
tap.ok(e.residuals:max():item() < 1e-9, "residuals are small")
tap.ok(e.converged, "and it says so")
tap.is(e.vectors.shape, { 52, 4 }, "vectors are columns")
local q = e.vectors
tap.ok(common.distance(want:matmul(q), q * e.values) < 1e-8,
       "vectors belong to values")
tap.ok(common.distance(H:eigs { k = 3, which = "smallest" }.values,
                       t { w[1], w[2], w[3] }) < 1e-8, "the smallest")
tap.ok(common.distance(H:eigs { k = 4, which = "both" }.values,
                       t { w[52], w[51], w[2], w[1] }) < 1e-8, "both ends")
local by_size = { table.unpack(w) }
table.sort(by_size, function(a, b) return math.abs(a) > math.abs(b) end)
tap.ok(common.distance(H:eigs { k = 3, which = "magnitude" }.values,
                       t { by_size[1], by_size[2], by_size[3] }) < 1e-8,
       "by magnitude")
tap.near(sd.curvature.sharpness(loss, params, x, y), w[52],
         1e-3 * w[52], "sharpness is the largest")

local trained, total, off = params, 0, 0
for i = 1, 30 do
  local value, residual, products = sd.curvature.sharpness(loss, trained, x, y)
  if i > 1 then total = total + products / 29 end
  local dense = sd.curvature.hessian(loss, trained, x, y):dense()
  local top_value = (sd.linalg.eigh(dense)):max():item()
  off = math.max(off, math.abs(value - top_value) / top_value)
  tap.ok(residual <= 1.1e-2 * value, "sharpness tells its residual")
  trained = sd.tree.axpy(-0.1, sd.grad(loss)(trained, x, y), trained)
end
tap.ok(total < 4 and off < 1e-3,
       ("in training %.1f products a step, within %.0e"):format(total, off))

local l = H:lanczos { steps = 12 }
tap.ok(common.distance(l.basis:T():matmul(l.basis), sd.eye(12, f64)) < 1e-13,
       "Lanczos vectors are orthonormal")
tap.near(l.weights:sum():item(), 1, 1e-12, "quadrature weights sum to 1")

-- ---- traces and densities ------------------------------------------------------------

local trace = sd.diag(want):sum():item()
for _, method in ipairs { "hutchinson", "hutch++", "xtrace" } do
  local value, error = H:trace { method = method, samples = 20 }
  tap.ok(math.abs(value - trace) <= 4 * error + 1e-9,
         method .. " estimates the trace within its error")
end
local every = math.sqrt(52) * sd.eye(52, f64)
tap.near((H:trace { probes = every }), trace, 1e-10,
         "probes of one's own: all unit vectors give the trace")
local d = H:density { steps = 52, probes = 8 }
local step = d.grid[2]:item() - d.grid[1]:item()
tap.near((d.density:sum() * step):item(), 1, 1e-2, "a density sums to 1")
tap.near((d.nodes * d.weights):sum():item(), trace / 52, 0.1,
         "its mean is the trace over n")

local figure = d:plot(nil, { title = "spectrum", xrange = { -1, 1 } })
tap.is(figure.title, "spectrum", "a density is drawn with plot.density's options")
tap.throws(function() d:plot(nil, { titel = "x" }) end, "unknown option",
           "and no others")

-- ---- algebra ----------------------------------------------------------------------------

local eye = sd.curvature.identity(52, f64)
tap.ok(common.distance(((H + 2 * eye):matvec(v)), want:matmul(v) + 2 * v) <
       1e-12, "sums and multiples")
tap.ok(common.distance(H:damped(3):matvec(v), want:matmul(v) + 3 * v) < 1e-12,
       "damping")

-- ---- critical points ------------------------------------------------------------------------

local function kind(f, at) return sd.critical.classify(f, t(at)) end
local function is(f, at, what, index, name)
  local c = kind(f, at)
  tap.is(c.kind, what, name)
  tap.is(c.index, index, name .. ": index")
end
local function bowl(p) return p[1] ^ 2 + p[2] ^ 2 end
is(bowl, { 0, 0 }, "minimum", 0, "the bottom of a bowl")
is(function(p) return -bowl(p) end, { 0, 0 }, "maximum", 2, "a summit")
is(function(p) return p[1] ^ 2 - p[2] ^ 2 end, { 0, 0 }, "saddle", 1,
   "a saddle")
is(function(p) return p[1] ^ 2 + p[2] ^ 4 end, { 0, 0 }, "degenerate", 0,
   "a flat direction")
is(function(p) return p[1] ^ 3 - 3 * p[1] * p[2] ^ 2 end, { 0, 0 },
   "degenerate", 0, "a monkey saddle")
is(bowl, { 1, 1 }, "not critical", 0, "a slope")
is(function(p) return 1e6 * (p[1] ^ 2 - p[2] ^ 2) end, { 0, 0 }, "saddle", 1,
   "a scaled saddle")
is(function(p) return (1 - p[1]) ^ 2 + 100 * (p[2] - p[1] ^ 2) ^ 2 end,
   { 0.9, 0.81 }, "not critical", 0, "the floor of a curved valley")
is(function(p) return 1e4 * p[1] ^ 2 + p[2] ^ 2 end, { 0, 1 },
   "not critical", 0, "a slope along the flat side of a valley")
is(function(p) return 1e4 * p[1] ^ 2 - p[2] ^ 2 end, { 0, 1 },
   "not critical", 1, "a slope down from a ridge")
is(function(p) return ((p - 1000) ^ 2):sum() end, { 1000.5, 1000 },
   "not critical", 0, "half a unit away, far from the origin")
is(function(p) return p[1] + p[2] end, { 0, 0 }, "not critical", 0, "a plane")
tap.is(sd.critical.classify(function(p) return p[1] ^ 2 + 1e-4 * p[2] ^ 2 end,
                            sd.tensor { 0, 0 }).kind, "minimum",
       "a shallow bowl in f32")
local long = sd.randn(600, f64)
local function sloped(p)
  return (p * p * sd.linspace(1, 2, 600, f64)):sum() - p[1] * 1e-1
end
tap.is(sd.critical.classify(sloped, long * 0).kind, "not critical",
       "many parameters, on a slope")
local bottom = long * 0
bottom[1] = 0.05
tap.is(sd.critical.classify(sloped, bottom).kind, "minimum",
       "many parameters, at the bottom")
local c = kind(function(p) return p[1] ^ 2 - p[2] ^ 2 end, { 0, 0 })
tap.near(math.abs(c.direction[2]:item()), 1, 1e-12,
         "the direction leads down")
tap.is(c.eigenvalues, { -2, 2 }, "eigenvalues ascend")
tap.ok(tostring(c):find "^saddle", "a verdict in words")

-- ---- mistakes ---------------------------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "curvature_test.lua:%d+: " .. pattern, name)
end
bad(function() H:matvec(sd.ones(3, f64)) end, "matvec: needs a vector of 52",
    "a vector of another length")
bad(function() H:eigs { k = 53 } end, "eigs: 53 eigenvalues",
    "too many eigenvalues")
bad(function() H:eigs { which = "lowest" } end, "eigs: which must be .*not 'lowest'",
    "an unknown end of the spectrum")
bad(function() H:eigs { kk = 1 } end, "eigs: unknown option 'kk'",
    "an unknown option")
bad(function()
  sd.curvature.operator { n = 3, dtype = "f64",
    matvec = function() return sd.ones(2, f64) end }:eigs { k = 1 }
end, "matvec: returned f64 {2}, expected f64 {3}",
    "a product of another length")
bad(function()
  sd.curvature.operator { n = 3, dtype = "f64",
    matvec = function(u) return u / 0 - u / 0 end }:eigs { k = 1 }
end, ".*", "a product that is not finite")
local thrown = setmetatable({}, { __tostring = function() return "mine" end })
local _, got = pcall(function()
  sd.curvature.operator { n = 3, matvec = function() error(thrown) end }
    :eigs { k = 1 }
end)
tap.ok(rawequal(got, thrown), "an error in a product comes out as it was")

-- ---- eigenvalues of a large matrix ---------------------------------------------

-- LAPACK's workspace has more entries than an f32 can count.
local values = sd.linalg.eigh(sd.eye(2900))
tap.is(values:sum():item(), 2900, "eigh of a large f32 matrix")

-- ---- fields and defaults ---------------------------------------------------------

local I = sd.curvature.identity(3)
tap.is(I:eigs().values:totable(), { 1, 1, 1 }, "eigs of few elements: all")
bad(function() I:eigs { k = 4 } end, "eigs: 4 eigenvalues .* on 3",
    "but no more than there are")
bad(function() return I.matvek end,
    "an operator has no 'matvek' %(did you mean 'matvec'", "a misspelt field")
tap.is(I.unravel, nil, "an operator without unravel")
for _, name in ipairs { "curvature.hesian", "linalg.slove", "tree.mapp",
                        "data.digit", "plot.line" } do
  local part, key = name:match "(%w+)%.(%w+)"
  bad(function() return sd[part][key] end,
      ("sd.%s has no '%s' %%(did you mean"):format(part, key), name)
end
tap.done()
