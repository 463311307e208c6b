-- Curvature without matrices: operators known by their products, and what
-- Lanczos finds out about them.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

local curvature = {}

local operator = {}
operator.__index = module.fields("an operator", operator, {
  unravel = true, raw = true, many = true })

local function is_operator(x) return getmetatable(x) == operator end

-- ---- operators -------------------------------------------------------------

--- A symmetric operator on vectors of n elements.
---@param o table n, matvec (v -> A v), dtype, unravel (vector -> tree)
function curvature.operator(o)
  sd.check_options(o, { "n:I", "matvec:C", "dtype:S", "unravel:C", "name:S" },
                   "operator")
  if math.type(o.n) ~= "integer" or o.n < 1 then
    fail("operator: n must be a whole number above 0, not %s", tostring(o.n))
  end
  if type(o.matvec) ~= "function" then
    fail("operator: matvec must be a function, not %s", type(o.matvec))
  end
  return setmetatable({
    n = o.n, dtype = o.dtype or sd.default_dtype(), product = o.matvec,
    unravel = o.unravel, name = o.name or "operator" }, operator)
end

function curvature.identity(n, o)
  o = sd.check_options(o, { "dtype:S" }, "identity")
  return curvature.operator { n = n, dtype = o.dtype, name = "identity",
                              matvec = function(v) return v end }
end

local function check_pair(a, b, what)
  if a.n ~= b.n then
    fail("%s: operators on %d and %d elements", what, a.n, b.n)
  end
end

local function combined(a, matvec, name)
  return curvature.operator { n = a.n, dtype = a.dtype, unravel = a.unravel,
                              matvec = matvec, name = name }
end

function operator.__add(a, b)
  if not is_operator(a) or not is_operator(b) then
    fail "operator: only operators can be added; H:damped(l) adds l times I"
  end
  check_pair(a, b, "+")
  return combined(a, function(v) return a.product(v) + b.product(v) end, "sum")
end

function operator.__mul(a, b)
  if is_operator(a) then a, b = b, a end
  if type(a) ~= "number" then
    fail("operator: can be scaled by numbers, not by a %s", type(a))
  end
  return combined(b, function(v) return a * b.product(v) end, "scaled")
end

--- H + l I
function operator:damped(l)
  return combined(self, function(v) return self.product(v) + l * v end,
                  "damped")
end

function operator:__tostring()
  return ("%s on %d elements (%s)"):format(self.name, self.n, self.dtype)
end

-- ---- products --------------------------------------------------------------

local function check_vector(self, v, what)
  if v.ndim ~= 1 or v:numel() ~= self.n then
    fail("%s: needs a vector of %d, not shape {%s}", what, self.n,
         table.concat(v.shape, ", "))
  end
  return v.dtype == self.dtype and v or v:to(self.dtype)
end

--- A v, for a vector or a tree in the form of the parameters.
function operator:matvec(v)
  if sd.is_tensor(v) and v.ndim == 1 and v:numel() == self.n then
    return self.product(check_vector(self, v, "matvec"))
  end
  local flat, unravel = sd.tree.ravel(v)
  return unravel(self.product(check_vector(self, flat, "matvec")))
end

--- A V for all columns of V {n, k} in one pass.
function operator:matmat(V)
  if V.ndim ~= 2 or V:size(1) ~= self.n then
    fail("matmat: needs columns of %d, not shape {%s}", self.n,
         table.concat(V.shape, ", "))
  end
  self.many = self.many or core.jit(sd.vmap(self.raw or self.product, 2, 2))
  return self.many(V:to(self.dtype))
end

--- The whole matrix {n, n}, in chunks of columns.
function operator:dense(o)
  o = sd.check_options(o, { "chunk:N" }, "dense")
  local chunk, columns = math.min(o.chunk or 64, self.n), {}
  for from = 1, self.n, chunk do
    local count = math.min(chunk, self.n - from + 1)
    local rows = sd.arange(1, self.n):unsqueeze(2)
    local e = rows:eq(sd.arange(from, from + count - 1)):to(self.dtype)
    columns[#columns + 1] = self:matmat(e)
    sd.eval(columns[#columns])
  end
  return sd.cat(columns, 2)
end

-- ---- eigenvalues -----------------------------------------------------------

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

--- k eigenpairs by thick-restart Lanczos: { values, vectors (columns),
--- residuals |A v - lambda v|, iterations, converged }.
---@param o? table k (5, or n if less), which "largest" | "smallest" |
---  "magnitude" | "both", tol, max_iter, seed, start, verify (look again for
---  copies)
function operator:eigs(o)
  o = sd.check_options(o, { "k:N", "which:S", "tol:F", "max_iter:N", "seed:I",
                            "start:X", "verify:B" }, "eigs")
  local c = flags(o)
  one_of(c.which or "largest", { "largest", "smallest", "magnitude", "both" },
         "eigs: which")
  local start = c.start and check_vector(self, c.start, "eigs")
  c.start = nil
  c.k = c.k or math.min(5, self.n)
  if c.verify == nil then c.verify = c.k > 1 and 1 or 0 end
  if self.n < c.k then
    fail("eigs: %d eigenvalues of an operator on %d elements", c.k, self.n)
  end
  local e = core.eigs(self.n, self.dtype, self.product, start, c)
  e.converged = e.converged == e.values:numel()
  e.vectors, e.rows = e.rows:transpose(1, 2), nil
  return e
end

--- The raw recurrence: { alpha, beta, ritz, weights, basis (columns) }.
---@param o table steps, start, reorthogonalize (true), seed
function operator:lanczos(o)
  o = sd.check_options(o, { "steps:N", "start:X", "reorthogonalize:B",
                            "seed:I" }, "lanczos")
  local start = o.start or sd.randn(self.n, {
    dtype = self.dtype, generator = sd.generator(o.seed or 1) })
  local l = core.lanczos(self.n, self.dtype, self.product,
                         check_vector(self, start, "lanczos"),
                         flags { steps = o.steps,
                                 reorthogonalize = o.reorthogonalize })
  local m = l.alpha:numel()
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

-- Rows of random signs, or the columns the caller brings.
local function probes(self, given, otherwise, seed)
  if sd.is_tensor(given) then
    if given.ndim ~= 2 or given:size(1) ~= self.n then
      fail("probes: needs columns of %d, not shape {%s}", self.n,
           table.concat(given.shape, ", "))
    end
    return given:to(self.dtype):transpose(1, 2)
  end
  local g = sd.generator(seed or 1)
  local u = sd.randint(0, 1, { given or otherwise, self.n },
                       { generator = g })
  return (u * 2 - 1):to(self.dtype)
end

--- The trace, and the estimate's standard error.
---@param o? table method "hutchinson" | "hutch++" | "xtrace", samples (32),
---  probes (a matrix of columns), seed
function operator:trace(o)
  o = sd.check_options(o, { "method:S", "samples:N", "probes", "seed:I" },
                       "trace")
  one_of(o.method or "hutchinson", { "hutchinson", "hutch++", "xtrace" },
         "trace: method")
  local p = probes(self, o.probes, o.samples or 32, o.seed)
  local value, error = core.trace_estimate(self.n, self.dtype, self.product,
                                           p, o.method or "hutchinson")
  return value, error
end

local density = {}
density.__index = module.fields("a density", density)

--- Draws the density (log scale) to a .png, .svg or .pdf.
function density:plot(path, o)
  o = sd.check_options(o, { "title:S" }, "plot")
  local fig = sd.plot.density { grid = self.grid, density = self.density,
                                nodes = self.nodes, weights = self.weights,
                                title = o.title }
  if path then fig:save(path) end
  return fig
end

--- The spectral density by stochastic Lanczos quadrature:
--- { grid, density, nodes, weights, sigma }, and :plot(path).
---@param o? table steps (80), probes (4, or a matrix of columns), sigma,
---  seed
function operator:density(o)
  o = sd.check_options(o, { "steps:N", "probes", "sigma:F", "seed:I" },
                       "density")
  local p = probes(self, o.probes, 4, o.seed)
  local d = core.density(self.n, self.dtype, self.product, p,
                         { steps = math.min(o.steps or 80, self.n),
                           sigma = o.sigma })
  return setmetatable(d, density)
end

-- ---- the Hessian -----------------------------------------------------------

--- The Hessian of f(params, ...) at params. What does not depend on the
--- vector is computed once.
---@param f function
---@param params any tree
function curvature.hessian(f, params, ...)
  local rest = table.pack(...)
  local list = core.leaves(params, false)
  if #list == 0 then fail "hessian: the parameters hold no tensors" end
  sd.eval(params)
  local flat, unravel = sd.tree.ravel(params)
  if flat.dtype ~= "f32" and flat.dtype ~= "f64" then
    fail("hessian: parameters of %s; f32 or f64 needed", flat.dtype)
  end
  local function raw(v)
    local hv = sd.hvp(f, params, unravel(v), table.unpack(rest, 1, rest.n))
    return (sd.tree.ravel(hv))
  end
  local H = curvature.operator {
    n = flat:numel(), dtype = flat.dtype, matvec = core.jit(raw),
    unravel = unravel, name = "hessian" }
  H.raw = raw
  return H
end

local warm = setmetatable({}, { __mode = "k" })

--- The largest eigenvalue of the Hessian, the search starting from the last
--- call's eigenvector for the same f.
function curvature.sharpness(f, params, ...)
  local H = curvature.hessian(f, params, ...)
  local e = H:eigs { k = 1, which = "largest", start = warm[f], tol = 1e-3,
                     verify = false }
  warm[f] = e.vectors:reshape(-1)
  return e.values:item()
end

return module.strict("sd.curvature", curvature)
