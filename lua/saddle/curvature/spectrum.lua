-- Eigenvalues, densities and functions of operators.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local operator = require "saddle.curvature.operator"
local probes = require "saddle.curvature.probes"
local sd = require "saddle.init"
local whole = require("saddle.interrupt").whole

local function one_of(value, known, what)
  for _, name in ipairs(known) do
    if value == name then return value end
  end
  fail("%s must be %s, not '%s'", what, table.concat(known, ", "),
       tostring(value))
end

local function flags(o)
  local c = {}
  for k, v in pairs(o) do
    if type(v) == "boolean" then v = v and 1 or 0 end
    c[k] = v
  end
  return c
end

-- ---- eigenvalues -----------------------------------------------------------

-- Start vectors as rows: of a vector, a tree, columns, or an earlier result.
local function start_rows(self, start)
  if start == nil then return nil end
  if type(start) == "table" and rawget(start, "vectors") then
    start = start.vectors
  end
  if sd.is_tensor(start) and start.ndim == 2 and start:size(1) == self.n then
    return self:columns(start, "eigs")
  end
  return self:vector(start, "eigs"):unsqueeze(1)
end

-- A function v -> M v, or an operator, as what the core reads.
local function preconditioner(self, p, what)
  if p == nil then return nil end
  if not operator.is(p) then
    if type(p) ~= "function" then
      fail("%s: precondition must be an operator or a function v -> M v, " ..
           "not a %s", what, type(p))
    end
    p = operator.make { n = self.n, dtype = self.dtype, matvec = p,
                        check = false, name = "preconditioner" }
  end
  if p.n ~= self.n or p.dtype ~= self.dtype then
    fail("%s: the preconditioner is on %d elements of %s, not %d of %s", what,
         p.n, p.dtype, self.n, self.dtype)
  end
  return p
end

local ends = { "largest", "smallest", "magnitude", "both" }
local methods = { "lanczos", "block", "lobpcg", "power" }

--- k eigenpairs: { values, vectors (columns), residuals |A v - lambda v|,
--- iterations (products), converged, count (of converged pairs), reason,
--- norm (of A, from below) }. Lanczos with full reorthogonalisation and thick
--- restarts unless another method is asked for; Ctrl-C returns what there is,
--- with converged = false.
---@param o? table k (5, or n if less), which "largest" | "smallest" |
---  "magnitude" | "both", tol (of the residuals, relative to |A|: 1e-10 in
---  f64, 1e-5 in f32), max_iter, seed, start, verify (look again for copies),
---  method "lanczos" | "block" | "lobpcg" | "power", block (vectors at once),
---  subspace (vectors held), precondition (LOBPCG)
function operator:eigs(o)
  o = sd.check_options(o, {
    "k:N", "which:S", "tol:F", "max_iter:N", "seed:I", "start", "verify:B",
    "method:S", "block:N", "subspace:N", "precondition" }, "eigs")
  local c = flags(o)
  one_of(c.which or "largest", ends, "eigs: which")
  c.method = one_of(c.method or c.block and "block" or "lanczos", methods,
                    "eigs: method")
  if c.method == "power" and c.which and c.which ~= "magnitude" then
    fail("eigs: power iteration finds eigenvalues of the largest magnitude, " ..
         "not which = '%s'", c.which)
  end
  c.k = c.k or math.min(5, self.n)
  if self.n < c.k then
    fail("eigs: %d eigenvalues of an operator on %d elements", c.k, self.n)
  end
  if c.method == "block" then c.block = c.block or math.min(c.k, 8) end
  if c.verify == nil then c.verify = c.k > 1 and 1 or 0 end
  c.start, c.precondition = nil, nil
  local e = core.eigs(self:frugal(), start_rows(self, o.start), c,
                      preconditioner(self, o.precondition, "eigs"))
  e.count = e.converged
  e.converged = e.count == c.k and e.reason == "converged"
  e.vectors, e.rows = e.rows:transpose(1, 2), nil
  return e
end

--- The raw recurrence: { alpha, beta, ritz, weights, basis (columns), reason
--- "complete" | "invariant subspace" | "interrupted" }: it ends early when
--- nothing is left of A v beside the vectors so far, and with Ctrl-C.
---@param o table steps, start, reorthogonalize (true), seed
function operator:lanczos(o)
  o = sd.check_options(o, { "steps:N", "start", "reorthogonalize:B",
                            "seed:I" }, "lanczos")
  local start = o.start or sd.randn(self.n, {
    dtype = self.dtype, generator = sd.generator(o.seed or 1) })
  local l = core.lanczos(self:frugal(), self:vector(start, "lanczos"),
                         flags { steps = o.steps,
                                 reorthogonalize = o.reorthogonalize })
  local m = l.alpha:numel()
  local wanted = o.steps or 20
  if o.reorthogonalize ~= false then wanted = math.min(wanted, self.n) end
  l.reason = m >= wanted and "complete" or
             l.beta[m]:item() == 0 and "invariant subspace" or "interrupted"
  local t = sd.diag(l.alpha)
  if m > 1 then
    local b = l.beta:narrow(1, 1, m - 1)
    t = t + sd.diag(b, 1) + sd.diag(b, -1)
  end
  local w, z = sd.linalg.eigh(t)
  l.ritz, l.weights = w, z[1] ^ 2
  if l.basis then l.basis = l.basis:transpose(1, 2) end
  return l
end

-- ---- densities --------------------------------------------------------------

local density = {}
density.__index = module.fields("a density", density)

--- Draws the density (log scale) to a .png, .svg or .pdf.
---@param path? string without it the figure is only returned
---@param o? table what plot.density takes: title, xrange, ...
function density:plot(path, o)
  local options = { grid = self.grid, density = self.density,
                    nodes = self.nodes, weights = self.weights }
  for k, v in pairs(o or {}) do options[k] = v end
  local fig = sd.plot.density(options)
  if path then fig:save(path) end
  return fig
end

-- The mean of f over the nodes for each probe, in a list.
local function probe_means(d, f)
  local terms = f(d.nodes) * d.weights
  local list, at = {}, 1
  for i, steps in ipairs(d.steps) do
    list[i] = terms:narrow(1, at, steps):sum():item() * #d.steps
    at = at + steps
  end
  return list
end

local function mean_and_error(list)
  local mean, square = 0, 0
  for _, x in ipairs(list) do mean = mean + x / #list end
  for _, x in ipairs(list) do square = square + (x - mean) ^ 2 end
  if #list < 2 then return mean, 0 / 0 end
  return mean, math.sqrt(square / (#list * (#list - 1))) *
               probes.widening(#list - 1)
end

--- The mean of f over the spectrum, tr f(A) / n: value, the standard error
--- from the spread of the probes, widened when they are few so that twice it
--- holds 19 times of 20, and how much the quadrature still moves between two
--- thirds of the steps and all of them (NaN when interrupted).
---@param f function of a tensor of eigenvalues, elementwise
function density:mean(f)
  local value, error = mean_and_error(probe_means(self, f))
  if self.reason == "interrupted" then return value, error, 0 / 0 end
  local coarse = (f(self.coarse_nodes) * self.coarse_weights):sum():item()
  return value, error, math.abs(value - coarse)
end

--- The spectral density by stochastic Lanczos quadrature: { grid, density,
--- nodes, weights, sigma, steps (of each probe), reason }, :plot(path) and
--- :mean(f). Ctrl-C returns what the steps so far say, reason = "interrupted".
---@param o? table steps (80), probes (4, or a matrix of columns), sigma,
---  seed, points (1024), reorthogonalize (true)
function operator:density(o)
  o = sd.check_options(o, { "steps:N", "probes", "sigma:F", "seed:I",
                            "points:N", "reorthogonalize:B" }, "density")
  if o.sigma and not (o.sigma > 0 and o.sigma < math.huge) then
    fail("density: sigma must be above 0, and finite, not %g", o.sigma)
  end
  if o.points and o.points < 2 then
    fail("density: points must be 2 or more, not %d", o.points)
  end
  local p = probes.rows(self, o.probes, 4, o.seed)
  local d = core.density(self:frugal(), p, flags {
    steps = math.min(o.steps or 80, self.n), sigma = o.sigma,
    points = o.points, reorthogonalize = o.reorthogonalize })
  d.reason = d.coarse_nodes:numel() == 0 and "interrupted" or "complete"
  return setmetatable(d, density)
end

--- tr f(A) by stochastic Lanczos quadrature: value, standard error, and the
--- error of the quadrature (see the density's mean); after Ctrl-C those of the
--- steps so far, and "interrupted".
---
--- ```lua
--- local A = sd.curvature.identity(50)
--- print(A:spectral_sum(sd.exp)) -- 50 e
--- ```
---@param f function of a tensor of eigenvalues, elementwise
---@param o? table steps (80), probes (16), seed
function operator:spectral_sum(f, o)
  o = sd.check_options(o, { "steps:N", "probes", "seed:I" }, "spectral_sum")
  local d = self:density { steps = o.steps, probes = o.probes or 16,
                           seed = o.seed, points = 2 }
  local value, error, quadrature = d:mean(f)
  value, error, quadrature = self.n * value, self.n * error,
                             self.n * quadrature
  if d.reason == "interrupted" then
    return value, error, quadrature, d.reason
  end
  return value, error, quadrature
end

-- Up to this size the dense matrix is cheaper than its estimate.
local dense_logdet = 1000

--- log det(A + damping I): value, standard error, error of the quadrature.
--- Up to 1000 elements, or with method = "dense", from all eigenvalues, and
--- the errors are 0. Ctrl-C as in spectral_sum.
---@param o? table damping, method "dense" | "lanczos", steps, probes, seed
function operator:logdet(o)
  o = sd.check_options(o, { "damping:F", "method:S", "steps:N", "probes",
                            "seed:I" }, "logdet")
  local damping = o.damping or 0
  if self.log_determinant and not o.method then
    return self.log_determinant(damping), 0, 0
  end
  local method = one_of(o.method or self.n <= dense_logdet and "dense" or
                        "lanczos", { "dense", "lanczos" }, "logdet: method")
  local function log(w)
    local low = w:min():item()
    if not (low + damping > 0) then
      fail("logdet: an eigenvalue of A + %g I is %g; it must be positive",
           damping, low + damping)
    end
    return sd.log(w + damping)
  end
  if method == "dense" then
    return log((sd.linalg.eigh(self:symmetric "logdet"))):sum():item(), 0, 0
  end
  return self:spectral_sum(log, { steps = o.steps, probes = o.probes,
                                  seed = o.seed })
end

-- ---- inertia ----------------------------------------------------------------

--- The dense matrix in f64, its rounding's asymmetry taken out; an error of
--- `what` when it is not finite.
function operator:symmetric(what)
  local D = self:checked():dense():to "f64"
  if core.first_nonfinite { D } then
    fail("%s: the operator's products are not finite", what)
  end
  return (D + D:transpose(1, 2)) / 2
end

-- |D|, to a few per cent.
local function norm_of(D)
  local n = D:size(1)
  if n == 1 then return math.abs(D:item()) end
  local A = operator.new { n = n, dtype = "f64", name = "dense",
                           product = function(v) return D:mv(v) end }
  return whole(A:eigs { k = 1, which = "magnitude", tol = 1e-2,
                        verify = false }).norm
end

local function dense_inertia(self, zero)
  local D = sd.eval(self:symmetric "inertia")
  local shift = zero * norm_of(D)
  local I = sd.eye(self.n, { dtype = "f64" })
  -- Sylvester's law at two shifts: eigenvalues below -shift, above shift.
  local negative = core.inertia(D + shift * I, 0)
  local _, _, positive = core.inertia(D - shift * I, 0)
  return { negative = negative, positive = positive,
           zero = self.n - negative - positive, exact = true,
           tolerance = shift }
end

-- Certain counts: converged pairs whose intervals lie off zero.
local function count_beyond(e, sign, shift)
  local r, certain = e.residuals:totable(), 0
  for i, v in ipairs(e.values:totable()) do
    if sign * v - r[i] > shift then certain = certain + 1 end
  end
  return certain
end

local function lanczos_inertia(self, zero, o)
  local k = math.min(o.k or 10, self.n)
  local low = whole(self:eigs { k = k, which = "smallest", seed = o.seed })
  local high = whole(self:eigs { k = 1, which = "largest", seed = o.seed,
                                 tol = 1e-3, verify = false })
  local shift = zero * math.max(low.norm, high.norm)
  local certain = count_beyond(low, -1, shift)
  local d = whole(self:density { steps = o.steps or 80, probes = o.probes or 8,
                                 seed = o.seed, points = 2 })
  local function share(f)
    local value, error = d:mean(f)
    return self.n * value, self.n * error
  end
  local result = { exact = false, tolerance = shift, negative = certain,
                   complete = certain < k and low.converged }
  result.negative_estimate, result.negative_error = share(function(w)
    return w:lt(-shift):to "f64"
  end)
  result.positive_estimate, result.positive_error = share(function(w)
    return w:gt(shift):to "f64"
  end)
  result.zero_estimate = self.n - result.negative_estimate -
                         result.positive_estimate
  return result
end

--- Counts of eigenvalues by sign. Up to 5,000 elements exact, by LDL^T of two
--- shifted matrices: { negative, zero, positive, exact = true, tolerance };
--- within tolerance = zero |A| an eigenvalue counts as zero. Beyond that, or
--- with method = "lanczos": negative is how many of the k smallest are
--- certainly negative (value + residual below 0), complete says whether those
--- are all of them, and negative_estimate, positive_estimate and their
--- standard errors come from the density.
---@param o? table zero (1e-10 in f64, 1e-6 in f32), method "dense" |
---  "lanczos", k (10), steps (80), probes (8), seed
function operator:inertia(o)
  o = sd.check_options(o, { "zero:F", "method:S", "k:N", "steps:N", "probes",
                            "seed:I" }, "inertia")
  local method = one_of(o.method or self.n <= 5000 and "dense" or "lanczos",
                        { "dense", "lanczos" }, "inertia: method")
  if o.zero and not (o.zero >= 0) then
    fail("inertia: zero must be 0 or above, not %g", o.zero)
  end
  local zero = o.zero or (self.dtype == "f32" and 1e-6 or 1e-10)
  if method == "dense" then return dense_inertia(self, zero) end
  return lanczos_inertia(self, zero, o)
end

-- ---- linear systems ---------------------------------------------------------

--- The solution of (A + damping I) x = b: { x, residual |b - (A + damping I)
--- x|, iterations, converged, reason, curvature, direction }. CG stops at
--- "negative curvature", or "zero curvature" of a singular system, with a unit
--- direction along which the quadratic falls without bound; MINRES takes any
--- symmetric A, and of a singular system finds the least-squares solution
--- ("least squares"). Ctrl-C returns the best so far.
---@param b any a vector or tree
---@param o? table method "cg" | "minres", damping (0), tol (of the residual
---  relative to |b|: 1e-10 in f64, 1e-5 in f32), max_iter, start,
---  precondition (positive definite: an operator or function near the inverse)
function operator:solve(b, o)
  o = sd.check_options(o, { "method:S", "damping:F", "tol:F", "max_iter:N",
                            "start", "precondition" }, "solve")
  one_of(o.method or "cg", { "cg", "minres" }, "solve: method")
  if o.tol and not (o.tol >= 0 and o.tol < math.huge) then
    fail("solve: tol must be 0 or above, and finite, not %g", o.tol)
  end
  if o.damping and not (math.abs(o.damping) < math.huge) then
    fail("solve: damping must be finite, not %g", o.damping)
  end
  local flat, given = self:vector(b, "solve")
  if core.first_nonfinite { flat } then
    fail "solve: b holds NaN or infinite elements"
  end
  local r = core.solve(self:frugal(), flat,
                       o.start and self:vector(o.start, "solve"),
                       { method = o.method, damping = o.damping, tol = o.tol,
                         max_iter = o.max_iter },
                       preconditioner(self, o.precondition, "solve"))
  if r.reason == "negative curvature" and r.curvature == 0 then
    r.reason = "zero curvature"
  end
  if not given then
    local unravel = self.unravel or select(2, sd.tree.ravel(b))
    r.x = unravel(r.x)
    r.direction = r.direction and unravel(r.direction)
  end
  return r
end
