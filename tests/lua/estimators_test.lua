-- Eigensolvers, estimators and solvers against dense answers, and the errors
-- they state against the errors they make.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local curvature = sd.curvature
local f64 = { dtype = "f64" }
local rand = { dtype = "f64", generator = sd.generator(7) }

local near = common.near

-- M as an operator whose products of many vectors are taken at once.
local function of(M)
  return curvature.operator {
    n = M:size(1), dtype = M.dtype, matvec = function(v) return M:mv(v) end,
    matmat = function(V) return M:matmul(V) end }
end

-- A random symmetric matrix with the spectrum w (a list or tensor).
local function with_spectrum(w)
  w = sd.is_tensor(w) and w or sd.tensor(w, f64)
  local n = w:numel()
  local _, Q = sd.linalg.eigh((function()
    local R = sd.randn(n, n, rand)
    return R + R:T()
  end)())
  local M = (Q * w):matmul(Q:T())
  return sd.eval((M + M:T()) / 2)
end

-- ---- eigensolvers ----------------------------------------------------------------

local n = 200
local spectrum = sd.cat({ sd.linspace(-1, 1, n - 8, f64),
                          sd.tensor({ -6, -4, 3, 5, 5, 5, 9, 12 }, f64) }, 1)
local M = with_spectrum(spectrum)
local A = of(M)
local sorted = spectrum:sort():totable()
local want = {
  largest = { 12, 9, 5, 5, 5 }, smallest = { -6, -4, sorted[3], sorted[4],
                                             sorted[5] },
  both = { 12, 9, 5, -4, -6 },
}
for _, method in ipairs { "lanczos", "block", "lobpcg" } do
  for which, values in pairs(want) do
    local e = A:eigs { k = 5, which = which, method = method }
    local name = method .. ", " .. which
    tap.ok(e.converged, ("%s: %s after %d products"):format(name, e.reason,
                                                          e.iterations))
    near(e.values, sd.tensor(values, f64), 1e-8, name)
    near(e.vectors:T():matmul(e.vectors), sd.eye(5, f64), 1e-11,
         name .. ": orthonormal")
    local r = M:matmul(e.vectors) - e.vectors * e.values
    near(r:square():sum(1):sqrt(), e.residuals, 1e-9,
         name .. ": residuals are |Av - lambda v|")
  end
end
local e = A:eigs { k = 2, method = "power", tol = 1e-7, max_iter = 4000 }
near(e.values, sd.tensor({ 12, 9 }, f64), 1e-8, "power iteration")
tap.ok(e.iterations > A:eigs({ k = 2 }).iterations,
       ("power iteration takes more products: %d"):format(e.iterations))
local by_size = A:eigs { k = 4, which = "magnitude", method = "block" }
near(by_size.values, sd.tensor({ 12, 9, -6, 5 }, f64), 1e-8, "by magnitude")
local few = A:eigs { k = 5, which = "smallest", max_iter = 12 }
tap.ok(not few.converged and few.reason == "max_iter reached",
       "too few products: " .. few.reason)
local warm = A:eigs { k = 5, start = A:eigs { k = 5 }, method = "lobpcg" }
tap.ok(warm.iterations <= 15, ("a warm start takes %d products"):format(
  warm.iterations))
local ill = sd.exp(sd.linspace(0, 9, n, f64))
local precondition = curvature.operator { n = n, dtype = "f64",
  matvec = function(v) return v / ill end }
local D = of(sd.diag(ill) + 0.1 * M)
local exact = (sd.linalg.eigh(sd.diag(ill) + 0.1 * M))[{ { 1, 3 } }]
local plain = D:eigs { k = 3, which = "smallest", method = "lobpcg" }
local quick = D:eigs { k = 3, which = "smallest", method = "lobpcg",
                       precondition = precondition }
near(quick.values, exact, 1e-8, "preconditioned LOBPCG")
tap.ok(quick.iterations < plain.iterations / 2,
       ("with the preconditioner %d products, without %d"):format(
         quick.iterations, plain.iterations))
local F = of(M:to "f32")
for _, method in ipairs { "lanczos", "block", "lobpcg" } do
  near(F:eigs { k = 3, method = method }.values,
       sd.tensor({ 12, 9, 5 }, f64), 1e-5, method .. " in f32")
end

-- ---- graded and flat spectra, and magnitudes at both ends ---------------------------

local graded = with_spectrum(sd.exp(sd.linspace(-30, 5, 100, f64)))
local least = of(graded):eigs { k = 3, which = "smallest" }
near(least.values, (sd.linalg.eigh(graded))[{ { 1, 3 } }], 2e-8,
     "the smallest of a graded spectrum")
tap.ok(least.converged, ("in %d products"):format(least.iterations))
local wigner = sd.randn(300, 300, { dtype = "f64",
                                    generator = sd.generator(3) })
wigner = (wigner + wigner:T()) / 2
local sizes = (sd.linalg.eigh(wigner)):abs():sort(1, { descending = true })
for k = 1, 8 do
  local found = of(wigner):eigs { k = k, which = "magnitude",
                                  method = "lobpcg" }
  near(found.values:abs(), sizes[{ { 1, k } }], 1e-8,
       ("LOBPCG, %d largest by magnitude of either sign"):format(k))
end

-- ---- errors are what they are said to be -------------------------------------------

-- How often in 200 runs an estimate is within 2 standard errors.
local function coverage(estimate, truth)
  local inside = 0
  for seed = 1, 200 do
    local value, error = estimate(seed)
    if math.abs(value - truth) <= 2 * error + 1e-10 then inside = inside + 1 end
  end
  return inside / 200
end
local trace = M:diag():sum():item()
for _, method in ipairs { "hutchinson", "hutch++", "xtrace" } do
  local share = coverage(function(seed)
    return A:trace { method = method, samples = 40, seed = seed }
  end, trace)
  tap.ok(share >= 0.935 and share <= 0.99,
         ("%s: within 2 standard errors in %.1f %%"):format(
           method, 100 * share))
end
local norm = M:norm():item()
local share = coverage(function(seed)
  return A:frobenius { samples = 40, seed = seed }
end, norm)
tap.ok(share >= 0.92, ("Frobenius norm: %.1f %%"):format(100 * share))
local diagonal = M:diag()
local value, error = A:diag { samples = 100 }
local hits = ((value - diagonal):abs():le(2 * error)):to("f64"):mean():item()
tap.ok(hits > 0.9, ("diagonal: %.1f %% of entries"):format(100 * hits))
local unseen = (A:diag { probes = sd.eye(n, f64)[{ {}, { 1, 3 } }] })
tap.is({ unseen[2]:item() == diagonal[2]:item(), unseen[4]:isnan():item() },
       { true, true }, "an entry that no probe has seen is NaN")
near((A:diag { method = "exact" }), diagonal, 1e-12, "the exact diagonal")
near((A:diag { probes = math.sqrt(n) * sd.eye(n, f64) }), diagonal, 1e-12,
     "with unit vectors the estimate is exact")

-- Many probes of many elements are taken some at a time.
local probes = require "saddle.curvature.probes"
local budget, wide = probes.budget, 1 << 10
probes.budget = 4 * wide
local half = curvature.operator {
  n = wide, matvec = function(v) return v * 0.5 end, check = false }
local all, spread = half:trace { samples = 5 }
tap.near(all, wide / 2, 1e-3, "the trace of a multiple of the identity")
tap.near(spread, 0, 1e-3, "is exact")
local seen = {}
local merged, merged_error = probes.mean(
  { n = wide, dtype = "f32" }, 7, nil, 3, function(rows)
    local m, sum, square = rows:size(1), 0, 0
    for i = 1, m do
      local v = rows[{ i, { 1, 20 } }]:sum():item()
      seen[#seen + 1], sum, square = v, sum + v, square + v * v
    end
    local mean = sum / m
    return mean, math.sqrt((square - m * mean ^ 2) / (m * math.max(m - 1, 1))),
           m
  end)
local sum_of, squares = 0, 0
for _, v in ipairs(seen) do sum_of = sum_of + v end
for _, v in ipairs(seen) do squares = squares + (v - sum_of / 7) ^ 2 end
tap.is(#seen, 7, "seven probes, four at a time")
tap.near(merged, sum_of / 7, 1e-12, "their mean is merged")
-- Student's 97.5 % quantile of 6 degrees of freedom over the normal one.
tap.near(merged_error, math.sqrt(squares / 42) * 2.446911851 / 1.959963985, 1e-3,
         "and its error, widened as of seven")
probes.budget = budget
do
  local hits, truth = 0, diagonal:sum():item()
  for seed = 1, 200 do
    local v, e = A:trace { samples = 12, seed = seed }
    if math.abs(v - truth) <= 2 * e then hits = hits + 1 end
  end
  tap.ok(hits >= 182, ("%d of 200 traces of 12 probes within twice their " ..
                       "errors"):format(hits))
end

-- Hutchinson's variance is 2 (|A|_F^2 - sum a_ii^2) for signs (A7).
local _, one = A:trace { samples = 4000, seed = 5 }
local theory = 2 * (norm ^ 2 - diagonal:square():sum():item())
tap.near(one ^ 2 * 4000 / theory, 1, 0.1, "Hutchinson's variance is the law's")

-- ---- stopped on the way -------------------------------------------------------------

-- A diagonal operator whose products raise what Ctrl-C raises after some.
local steps_of = sd.linspace(1, 2, 40, f64)
local function stopping(after)
  local count = 0
  return curvature.operator {
    n = 40, dtype = "f64", check = false, matvec = function(v)
      count = count + 1
      if count > after then _G.error("interrupted", 0) end
      return steps_of * v
    end }
end
local runs = {
  eigs = function(S) return S:eigs { k = 3 }.reason end,
  density = function(S) return S:density { steps = 30 }.reason end,
  spectral_sum = function(S)
    return (select(4, S:spectral_sum(sd.sqrt, { steps = 30 })))
  end,
  logdet = function(S)
    return (select(4, S:logdet { method = "lanczos", steps = 30 }))
  end,
  diag = function(S) return (select(3, S:diag())) end,
  frobenius = function(S) return (select(3, S:frobenius())) end,
  solve = function(S) return S:solve(sd.ones(40, f64)).reason end }
for _, method in ipairs { "hutchinson", "hutch++", "xtrace" } do
  runs[method] = function(S)
    local t, _, why = S:trace { method = method }
    tap.near(t, 60, 0.02, method .. " has what the probes so far say")
    return why
  end
end
for name, run in pairs(runs) do
  tap.is(run(stopping(5)), "interrupted", name .. " says that it was stopped")
  tap.throws(function() run(stopping(0)) end, "interrupted$",
             name .. ", before anything is known, raises the error")
end
tap.is(select("#", stopping(100):trace()), 2, "a whole trace says nothing more")
tap.throws(function() stopping(5):dense() end, "^interrupted$",
           "part of a matrix is none")
tap.throws(function() stopping(5):inertia { method = "lanczos" } end,
           "^interrupted$", "part of a search is no inertia")
budget, probes.budget = probes.budget, 4 * 40
local some, some_error, reason = stopping(10):trace { samples = 20 }
probes.budget = budget
tap.near({ some, some_error }, { 60, 0 }, 1e-12, "some probes at a time")
tap.is(reason, "interrupted", "and stopped among them")

-- ---- functions of the spectrum -----------------------------------------------------

local positive = with_spectrum(sd.linspace(0.5, 4, 150, f64))
local P = of(positive)
local logdet = sd.linspace(0.5, 4, 150, f64):log():sum():item()
tap.near((P:logdet()), logdet, 1e-9, "log-determinant, dense")
share = coverage(function(seed)
  return P:logdet { method = "lanczos", probes = 10, steps = 30, seed = seed }
end, logdet)
tap.ok(share >= 0.935, ("log-determinant by quadrature: %.1f %%"):format(
  100 * share))
tap.near((P:logdet { damping = 1 }),
         (sd.linspace(0.5, 4, 150, f64) + 1):log():sum():item(), 1e-9,
         "with damping")
local sum, err, quadrature = P:spectral_sum(sd.sqrt, { steps = 40, probes = 30 })
local root = sd.linspace(0.5, 4, 150, f64):sqrt():sum():item()
tap.ok(math.abs(sum - root) < 3 * err and quadrature < 1e-6,
       ("tr sqrt(A) = %.3f +- %.3f, quadrature %.0e"):format(sum, err,
                                                          quadrature))

-- The distance of two distributions: the area between their cumulatives.
local function wasserstein(d, eigenvalues)
  local at = {}
  local nodes, weights = d.nodes:totable(), d.weights:totable()
  for i, x in ipairs(nodes) do at[#at + 1] = { x, weights[i] } end
  for _, x in ipairs(eigenvalues) do at[#at + 1] = { x, -1 / #eigenvalues } end
  table.sort(at, function(a, b) return a[1] < b[1] end)
  local area, gap = 0, 0
  for i = 1, #at - 1 do
    gap = gap + at[i][2]
    area = area + math.abs(gap) * (at[i + 1][1] - at[i][1])
  end
  return area
end
local d = A:density { steps = 80, probes = 16 }
local distance = wasserstein(d, sorted)
tap.ok(distance < 0.1, ("density: Wasserstein distance %.3f of a range of 18")
  :format(distance))
local mean, mean_error = d:mean(function(w) return w end)
tap.ok(math.abs(mean - trace / n) < 3 * mean_error, "the density's mean")

-- ---- inertia -----------------------------------------------------------------------

local signs = with_spectrum { -3, -2, -1e-14, 0, 1e-14, 1, 2, 3, 4, 5 }
local inertia = of(signs):inertia()
tap.is({ inertia.negative, inertia.zero, inertia.positive }, { 2, 3, 5 },
       "inertia by two factorisations")
tap.ok(inertia.exact, "which is exact")
local mixed = sd.cat({ sd.linspace(1, 2, 190, f64),
                       sd.tensor({ -1, -2, -3 }, f64) }, 1)
local bounds = of(with_spectrum(mixed)):inertia { method = "lanczos" }
tap.is(bounds.negative, 3, "inertia by Lanczos: certain negative ones")
tap.ok(bounds.complete and not bounds.exact, "and that they are all")
tap.ok(math.abs(bounds.negative_estimate - 3) < 4 * bounds.negative_error + 0.1,
       ("their estimate %.1f +- %.1f"):format(bounds.negative_estimate,
                                             bounds.negative_error))
tap.is(of(sd.tensor({ { -2 } }, f64)):inertia().negative, 1, "of one element")

-- ---- linear systems ----------------------------------------------------------------

local halved = sd.cat({ sd.zeros(20, f64), sd.linspace(.5, 4, 80, f64) }, 1)
local flat = with_spectrum(halved)
local lost = of(flat):solve(sd.randn(100, rand))
tap.is({ lost.reason, lost.curvature, lost.converged },
       { "zero curvature", 0, false }, "CG sees that a system is singular")
tap.near(flat:mv(lost.direction):norm(), 0, 1e-6, "and in which direction")
local hard = with_spectrum(sd.exp(sd.linspace(0, math.log(1e4), 150, f64)))
for _, method in ipairs { "cg", "minres" } do
  local r = of(hard):solve(sd.ones(150, f64), { method = method })
  tap.ok(r.converged, ("%s takes more than n products when it must: %d"):format(
    method, r.iterations))
end
tap.ok(of(1e-200 * positive):checked(), "squares may underflow")
local b = sd.randn(150, rand)
local x = P:solve(b)
tap.ok(x.converged and x.residual < 1e-9, "CG: " .. x.reason)
near(positive:mv(x.x), b, 1e-8, "CG solves")
near((positive + 2 * sd.eye(150, f64)):mv(P:solve(b, { damping = 2 }).x), b,
     1e-8, "CG with damping")
local c = sd.randn(n, rand)
local m = A:solve(c, { method = "minres", tol = 1e-9, max_iter = 2000 })
near(M:mv(m.x), c, 1e-7, "MINRES solves an indefinite system: " .. m.reason)
local scale = D:solve(c)
local scaled = D:solve(c, { precondition = precondition })
near(D:matvec(scaled.x), c, 1e-6, "preconditioned CG solves")
tap.ok(scaled.iterations < scale.iterations / 2,
       ("preconditioned CG: %d products, CG: %d"):format(scaled.iterations,
                                                        scale.iterations))
local slow = D:solve(c, { method = "minres" })
local fast = D:solve(c, { method = "minres", precondition = precondition })
near(D:matvec(fast.x), c, 1e-6, "preconditioned MINRES solves")
tap.ok(fast.iterations < slow.iterations / 2,
       ("preconditioned MINRES: %d products, MINRES: %d"):format(
         fast.iterations, slow.iterations))
local down = A:solve(c)
tap.is(down.reason, "negative curvature", "CG sees negative curvature")
tap.ok((down.direction * M:mv(down.direction)):sum():item() < 0,
       "and gives a direction of it")
local singular = of(sd.diag(sd.tensor({ 1, 2, 0 }, f64)))
local none = singular:solve(sd.tensor({ 1, 2, 3 }, f64))
tap.is({ none.reason, none.curvature, none.converged },
       { "zero curvature", 0, false }, "CG of a singular system")
tap.near(none.direction:abs(), { 0, 0, 1 }, 1e-12, "with its null vector")
tap.ok(singular:solve(sd.tensor({ 1, 2, 0 }, f64)).converged,
       "which converges where the right side is in the range")
local least = singular:solve(sd.tensor({ 1, 2, 3 }, f64), { method = "minres" })
tap.is(least.reason, "least squares", "MINRES of a singular system")
tap.ok(not least.converged, "is not called converged")
near(least.x[{ { 1, 2 } }], sd.ones(2, f64), 1e-8, "but minimises the residual")

-- ---- bad input ----------------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "estimators_test.lua:%d+: " .. pattern, name)
end
bad(function() A:eigs { method = "qr" } end, "eigs: method must be", "a method")
bad(function() A:eigs { k = 3, method = "block", block = 3,
                        start = sd.randn(n, 2, rand) } end,
    "eigs: 2 start vectors, 3 needed", "too few start vectors")
bad(function() A:eigs { start = sd.zeros(n, f64) } end,
    "lanczos: the start vector is zero", "a start vector of zeros")
bad(function() A:eigs { start = sd.zeros(n, f64) / 0 } end,
    "lanczos: the start vector is not finite", "a start vector of NaN")
bad(function() A:logdet() end, "logdet: an eigenvalue of A %+ 0 I is %-6",
    "the log-determinant of an indefinite matrix")
bad(function() A:trace { method = "diag" } end, "trace: method must be",
    "an unknown estimator")
bad(function() A:trace { probes = 0 } end, "probes: needs a count", "no probes")
bad(function() A:solve(sd.ones(3, f64)) end, "solve: needs a vector of 200",
    "a right side of another length")
bad(function() A:solve(c / 0) end, "solve: b holds NaN or infinite", "a right side of infinities")
bad(function() P:solve(b, { precondition = function(v) return -v end }) end,
    "solve: the preconditioner is not positive definite",
    "a negative preconditioner")
bad(function() P:solve(b, { precondition = 3 }) end,
    "solve: precondition must be an operator or a function",
    "no preconditioner at all")
bad(function() P:solve(b, { precondition = function(v) return v / 0 end }) end,
    "solve: the preconditioner's product 1 is not finite",
    "a preconditioner of infinities")
bad(function() P:solve(b, { start = b / 0 }) end, "solve: the start, or its",
    "a start of infinities")
bad(function() A:eigs { tol = -1 } end, "eigs: tol must be 0 or above",
    "a negative tolerance")
bad(function() A:trace { probes = M / 0 } end, "probes: an entry is not finite",
    "probes of infinities")
bad(function() A:density { probes = M / 0 } end, "probes: an entry is not",
    "the same in a density")
bad(function() A:inertia { method = "guess" } end, "inertia: method must be",
    "an unknown method")
bad(function() A:eigs { k = 1, method = "power", which = "largest" } end,
    "eigs: power iteration finds eigenvalues of the largest magnitude",
    "the largest by power iteration")
for _, method in ipairs { "hutch++", "xtrace" } do
  bad(function() A:trace { method = method, samples = 1 } end, "trace: " ..
      method:gsub("%+", "%%+") .. " needs two samples or more, not 1",
      method .. " of one sample")
end
bad(function() A:density { sigma = -1 } end,
    "density: sigma must be above 0", "a negative sigma")
bad(function() A:density { points = 1 } end,
    "density: points must be 2 or more, not 1", "a density at one point")
bad(function() P:solve(b, { damping = 1 / 0 }) end,
    "solve: damping must be finite, not inf", "infinite damping")
tap.done()
