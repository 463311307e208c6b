-- Symmetric operators known by their products, and their algebra.
--
-- An operator holds n, dtype, product (v -> A v for a flat vector) and rows
-- (the same for the rows of {k, n} at once, nil when there is only product);
-- operators on parameters also unravel (vector -> tree), parts (where each
-- leaf lies in the vectors) and restrict (a list of leaves -> the operator on
-- these alone); triangle gives one triangle of the matrix for less than the
-- whole, as a list of bands: each has count, rows (the numbers of some of its
-- unit vectors -> their rows, from its first column on), peak (the numbers ->
-- the bytes these rows take) and again (see limit); fresh says that the
-- products are new tensors, and that nobody keeps the vectors, so that the core
-- frees both at once. The core reads the fields n, dtype, product, rows and
-- fresh.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

local operator = {}
operator.__index = module.fields("an operator", operator, {
  unravel = true, rows = true, parts = true, restrict = true,
  fresh = true, triangle = true, unchecked = true, whole = true,
  inverse = true, log_determinant = true })

local function is_operator(x) return getmetatable(x) == operator end
operator.is = is_operator

--- An operator of these fields, unchecked.
function operator.new(o) return setmetatable(o, operator) end

-- ---- products of many vectors -----------------------------------------------

-- Bytes that the tangents of the vectors multiplied at once may take, and how
-- many vectors that may be.
local budget, most = 2 ^ 28, 512

-- Vectors that take more bytes than the caches hold are up to 1.5 times slower
-- at once than in pieces that fit. A few always go together; and pieces do not
-- pay where copying the vectors in and out is much beside what they take.
local cached, few, much = 2 ^ 23, 8, 1 / 10

-- How many vectors may be multiplied at once where each takes used bytes, own
-- of them itself.
local function count_at_once(used, own, again)
  used = math.max(used, own)
  local limit = math.min(most, budget / used)
  if not again and used < cached and own < much * used then
    limit = math.min(limit, math.max(few, cached / used))
  end
  return math.floor(math.max(1, limit))
end

-- Bytes of a vector of n elements.
local function bytes_of(n, dtype) return n * (dtype == "f64" and 8 or 4) end

--- How many vectors may be multiplied at once, as a function of one of them;
--- found when first needed.
---@param peak function from a vector to the bytes that its product takes
---@param again? boolean each time, what does not depend on the vectors is
---  computed anew, so that they are as many as the memory allows
function operator.limit(peak, again)
  local limit
  return function(v)
    limit = limit or
            count_at_once(peak(v), bytes_of(v:numel(), v.dtype), again)
    return limit
  end
end

-- The size of equal pieces of k, above half of limit, that leave least empty.
local function piece_size(k, limit)
  local best, least
  for size = limit, limit // 2 + 1, -1 do
    local empty = -k % size
    if not least or empty < least then best, least = size, empty end
  end
  return best
end

--- f for the rows of {k, n}, in pieces of one size that bound the memory.
---@param limit function an operator.limit
function operator.in_pieces(f, limit)
  return function(V)
    local k = V:size(1)
    if k == 1 or core.is_tracing() then return f(V) end
    local at_once = limit(V[1])
    if k <= at_once then return f(V) end
    local size, parts = piece_size(k, at_once), {}
    V = sd.eval(V:reshape(-1)):reshape(V.shape) -- pieces of rows as they lie
    for from = 1, k, size do
      local first = math.min(from, k - size + 1) -- of one size, for one plan
      local part = f(V:narrow(1, first, size))
      if first < from then
        part = part:narrow(1, from - first + 1, k - from + 1)
      end
      parts[#parts + 1] = sd.eval(part)
    end
    return sd.cat(parts, 1)
  end
end

local function one_by_one(product)
  return function(V)
    local parts = {}
    for i = 1, V:size(1) do parts[i] = sd.eval(product(V[i])) end
    return sd.stack(parts, 1)
  end
end

-- A V^T for rows V, by whatever the operator has.
local function row_products(self, V)
  return (self.rows or one_by_one(self.product))(V)
end

-- ---- operators of one's own -------------------------------------------------

local function checked_result(f, what)
  return function(v)
    local y = f(v)
    if not sd.is_tensor(y) then
      fail("%s: the function returned a %s, not a tensor", what, type(y))
    end
    local same = y.ndim == v.ndim and y.dtype == v.dtype
    for d = 1, v.ndim do same = same and y:size(d) == v:size(d) end
    if not same then
      fail("%s: returned %s {%s}, expected %s {%s}", what, y.dtype,
           table.concat(y.shape, ", "), v.dtype, table.concat(v.shape, ", "))
    end
    return y
  end
end

local function check_size(n, what)
  local whole = math.type(n) and math.tointeger(n)
  if not whole or whole < 1 then
    fail("%s: n must be a whole number above 0, not %s", what, tostring(n))
  end
  return whole
end

local function check_dtype(dtype, what)
  dtype = dtype or sd.default_dtype()
  if dtype ~= "f32" and dtype ~= "f64" then
    fail("%s: dtype must be f32 or f64, not '%s'", what, dtype)
  end
  return dtype
end

-- The dtype of what matvec makes of a vector of the default dtype: a matrix of
-- f64 behind it makes the operator one of f64.
local function dtype_of(matvec, n)
  local default = sd.default_dtype()
  local good, y = pcall(matvec, sd.zeros(n))
  return good and sd.is_tensor(y) and y.dtype == "f64" and "f64" or default
end

--- A symmetric operator on vectors of n elements. Algorithms that rely on the
--- symmetry check it first with two probes; check = false leaves that out.
---
--- ```lua
--- local D = sd.curvature.operator{ n = 3,
---   matvec = function(v) return sd.tensor{ 1, 2, 3 } * v end }
--- print(D:eigs{ k = 1 }.values)
--- ```
---@param o table n, matvec (v -> A v), matmat (columns -> columns, one by one
---  without it), dtype (that of matvec's result, tried once), unravel (vector
---  -> tree), name, check (true)
function operator.make(o)
  sd.check_options(o, { "n:I", "matvec:C", "matmat:C", "dtype:S", "unravel:C",
                        "name:S", "check:B" }, "operator")
  if o.matvec == nil then
    fail "operator: needs matvec, a function from v to A v"
  end
  local n = check_size(o.n, "operator")
  local dtype = check_dtype(o.dtype or dtype_of(o.matvec, n), "operator")
  local rows
  if o.matmat then
    local matmat = checked_result(o.matmat, "matmat")
    rows = function(V) return matmat(V:transpose(1, 2)):transpose(1, 2) end
  end
  return operator.new {
    n = n, dtype = dtype, product = checked_result(o.matvec, "matvec"),
    rows = rows, unravel = o.unravel, name = o.name or "operator",
    unchecked = o.check ~= false }
end

--- The identity on vectors of n elements.
function operator.identity(n, o)
  o = sd.check_options(o, { "dtype:S" }, "identity")
  return operator.new {
    n = check_size(n, "identity"), dtype = check_dtype(o.dtype, "identity"),
    name = "identity",
    product = function(v) return v end, rows = function(V) return V end }
end

-- Two random vectors see an operator that is not symmetric: u' A w = w' A u.
-- Rounding leaves a share of |u| |A w| that falls as 1 / sqrt(n).
local function check_symmetry(self)
  local g = sd.generator(20240229)
  local U = sd.randn(2, self.n, { dtype = self.dtype, generator = g })
  local A = row_products(self, U)
  local unit = A:abs():max():item()
  if unit > 0 then A = A / unit end -- whose squares may be too small
  local a, b = sd.dot(U[1], A[2]):item(), sd.dot(U[2], A[1]):item()
  local size = (U[1]:norm() * A[2]:norm() + U[2]:norm() * A[1]:norm()):item()
  local tol = self.dtype == "f32" and 1e-5 or 1e-12
  if math.abs(a - b) > tol * size then
    fail("%s: is not symmetric: u' A w = %g but w' A u = %g for two random " ..
         "vectors (check = false goes on regardless)", self.name, a * unit,
         b * unit)
  end
end

--- The operator, after its symmetry was checked once if it must be.
function operator:checked()
  if self.unchecked then
    check_symmetry(self)
    self.unchecked = nil
  end
  return self
end

-- Bytes of used vectors that may wait for the collector.
local waste_limit = 2 ^ 26

--- What the core takes for an operator, checked. The collector lets as much
--- garbage stand as there is live; beside a basis of long vectors the operands
--- and results of products would take its memory a second time, so they are
--- collected before.
function operator:frugal()
  self:checked()
  local bytes, waste = bytes_of(self.n, self.dtype), 0
  if bytes < 2 ^ 20 or self.fresh then return self end
  local function tidy(f)
    return f and function(v)
      waste = waste + 2 * bytes * (v.ndim == 2 and v:size(1) or 1)
      if waste > math.max(waste_limit, 4 * bytes) then
        collectgarbage()
        waste = 0
      end
      return f(v)
    end
  end
  return { n = self.n, dtype = self.dtype, product = tidy(self.product),
           rows = tidy(self.rows) }
end

-- ---- algebra ----------------------------------------------------------------

local function check_pair(a, b, what)
  if not is_operator(a) or not is_operator(b) then
    fail("operator: %s takes two operators; H:damped(l) adds l times I", what)
  elseif a.n ~= b.n then
    fail("operator %s: %d and %d elements", what, a.n, b.n)
  elseif a.dtype ~= b.dtype then
    fail("operator %s: %s and %s", what, a.dtype, b.dtype)
  end
end

-- What f makes of a's products: f(v, A v) for a vector and for rows.
local function wrapped(a, f, name)
  local o = operator.new {
    n = a.n, dtype = a.dtype, unravel = a.unravel, parts = a.parts,
    unchecked = a.unchecked, name = name,
    product = function(v) return f(v, a.product(v)) end }
  if a.rows then
    local rows = a.rows
    o.rows = function(V) return f(V, rows(V)) end
  end
  if a.restrict then
    local restrict = a.restrict
    o.restrict = function(leaves) return wrapped(restrict(leaves), f, name) end
  end
  return o
end

local function combined(a, b, f, name)
  local o = operator.new {
    n = a.n, dtype = a.dtype, name = name, unravel = a.unravel or b.unravel,
    parts = a.parts or b.parts, unchecked = a.unchecked or b.unchecked,
    product = function(v) return f(a.product(v), b.product(v)) end }
  if a.rows and b.rows then
    o.rows = function(V) return f(a.rows(V), b.rows(V)) end
  end
  return o
end

function operator.__add(a, b)
  check_pair(a, b, "+")
  return combined(a, b, function(x, y) return x + y end, "sum")
end

function operator.__sub(a, b)
  check_pair(a, b, "-")
  return combined(a, b, function(x, y) return x - y end, "difference")
end

function operator.__mul(a, b)
  if is_operator(a) then a, b = b, a end
  if type(a) ~= "number" then
    fail("operator: can be scaled by numbers, not by a %s", type(a))
  end
  return wrapped(b, function(_, y) return a * y end, "scaled")
end

function operator.__unm(a) return -1 * a end

function operator.__div(a, b)
  if type(b) ~= "number" then
    fail("operator: can be divided by numbers, not by a %s", type(b))
  end
  return wrapped(a, function(_, y) return y / b end, "scaled")
end

--- H + l I
function operator:damped(l)
  if type(l) ~= "number" then
    fail("damped: needs a number, not a %s", type(l))
  end
  return wrapped(self, function(v, y) return y + l * v end, "damped")
end

function operator:__tostring()
  return ("%s on %d elements (%s)"):format(self.name, self.n, self.dtype)
end

-- ---- vectors and trees ------------------------------------------------------

local function check_finite(x, what, name)
  if core.is_tracing() or not core.first_nonfinite { x } then return end
  fail("%s: the %s holds NaN or infinite elements", what, name)
end

--- v, a vector of n or a tree in the form of the parameters, as a vector;
--- and whether it was one.
function operator:vector(v, what)
  local given = sd.is_tensor(v) and v.ndim == 1
  if not given then
    if #core.leaves(v, false) == 0 then
      fail("%s: needs a vector of %d, not a %s", what, self.n, type(v))
    end
    v = sd.tree.ravel(v)
  end
  if v:numel() ~= self.n then
    fail("%s: needs a vector of %d, not shape {%s}", what, self.n,
         table.concat(v.shape, ", "))
  end
  if what == "matvec" then check_finite(v, what, "vector") end
  return v.dtype == self.dtype and v or v:to(self.dtype), given
end

--- V {n, k}, columns, as rows.
function operator:columns(V, what)
  if not sd.is_tensor(V) or V.ndim ~= 2 or V:size(1) ~= self.n then
    fail("%s: needs columns of %d, not %s", what, self.n,
         sd.is_tensor(V) and ("shape {%s}"):format(table.concat(V.shape, ", "))
         or "a " .. type(V))
  end
  if what == "matmat" then check_finite(V, what, "matrix of columns") end
  return V:to(self.dtype):transpose(1, 2)
end

-- ---- parts of an operator ---------------------------------------------------

-- The leaves whose paths match one of the patterns.
local function matching(self, patterns)
  if type(patterns) == "string" then patterns = { patterns } end
  if type(patterns) ~= "table" or #patterns == 0 then
    fail("block: needs a pattern of paths, not a %s", type(patterns))
  end
  local chosen = {}
  for _, p in ipairs(patterns) do
    local good, why = pcall(string.find, "", p)
    if not good then
      fail("block: '%s' is no pattern: %s", tostring(p),
           tostring(why):gsub("^.-: ", ""))
    end
  end
  for i, part in ipairs(self.parts) do
    for _, p in ipairs(patterns) do
      if part.path:find(p) then chosen[#chosen + 1] = i break end
    end
  end
  if #chosen == 0 then
    local paths = {}
    for i, part in ipairs(self.parts) do paths[i] = part.path end
    fail("block: no parameter matches '%s' (there are %s)",
         table.concat(patterns, "', '"), table.concat(paths, ", "))
  end
  return chosen
end

-- Of any operator: zeros outside the block, the rest of the result dropped.
local function cut(self, chosen)
  local parts, n = {}, 0
  for k, i in ipairs(chosen) do
    local part = self.parts[i]
    parts[k] = { path = part.path, from = n + 1, count = part.count,
                 shape = part.shape }
    n = n + part.count
  end
  local function embed(V, dim)
    local list, k = {}, 1
    for i, part in ipairs(self.parts) do
      local shape = { table.unpack(V.shape) }
      shape[dim] = part.count
      if chosen[k] == i then
        list[i], k = V:narrow(dim, parts[k].from, part.count), k + 1
      else
        list[i] = sd.zeros(shape, { dtype = V.dtype })
      end
    end
    return sd.cat(list, dim)
  end
  local function extract(V, dim)
    local list = {}
    for k, i in ipairs(chosen) do
      list[k] = V:narrow(dim, self.parts[i].from, parts[k].count)
    end
    return sd.cat(list, dim)
  end
  local unravel, rows = self.unravel, self.rows
  return operator.new {
    n = n, dtype = self.dtype, name = self.name .. " block", parts = parts,
    unchecked = self.unchecked,
    unravel = unravel and function(v) return unravel(embed(v, 1)) end,
    product = function(v) return extract(self.product(embed(v, 1)), 1) end,
    rows = rows and function(V) return extract(rows(embed(V, 2)), 2) end }
end

--- The rows and columns of the parameters whose paths match a Lua pattern, or
--- one of a list of patterns. Of a curvature matrix only these parameters are
--- differentiated.
function operator:block(patterns)
  if not self.parts then
    fail("block: this %s has no parameters to choose from", self.name)
  end
  local chosen = matching(self, patterns)
  return self.restrict and self.restrict(chosen) or cut(self, chosen)
end

--- The operator without a subspace: (1 - V V^T) A (1 - V V^T).
---@param V any orthonormal columns {n, k}, or what eigs returned
function operator:deflated(V)
  if type(V) == "table" then V = V.vectors end
  local Q = self:columns(V, "deflated")
  local gap = (Q:matmul(Q:T()) - sd.eye(Q:size(1), { dtype = Q.dtype }))
  if Q:size(1) > 0 and not (gap:abs():max():item() < 1e-3) then
    fail "deflated: the columns must be orthonormal"
  end
  local function project(v)
    if v.ndim == 1 then return v - Q:mv(v):matmul(Q) end
    return v - v:matmul(Q:T()):matmul(Q)
  end
  local rows = self.rows
  return operator.new {
    n = self.n, dtype = self.dtype, unravel = self.unravel,
    parts = self.parts, unchecked = self.unchecked,
    name = "deflated " .. self.name,
    product = function(v) return project(self.product(project(v))) end,
    rows = rows and function(W) return project(rows(project(W))) end }
end

--- D^-1/2 A D^-1/2 for a positive diagonal D, whose eigenvalues are those of
--- D^-1 A: the curvature that a preconditioned step sees.
---@param d any a vector, or a tree in the form of the parameters
function operator:preconditioned(d)
  local root = self:vector(d, "preconditioned"):rsqrt()
  if not sd.all(root:isfinite():logical_and(root:gt(0))):item() then
    fail "preconditioned: the diagonal must be positive and finite"
  end
  local rows = self.rows
  return operator.new {
    n = self.n, dtype = self.dtype, unravel = self.unravel,
    parts = self.parts, unchecked = self.unchecked,
    name = "preconditioned " .. self.name,
    product = function(v) return root * self.product(root * v) end,
    rows = rows and function(V) return root * rows(root * V) end }
end

-- ---- products ---------------------------------------------------------------

--- A v, for a vector or a tree in the form of the parameters.
function operator:matvec(v)
  local flat, given = self:vector(v, "matvec")
  local y = self.product(flat)
  return given and y or (self.unravel or select(2, sd.tree.ravel(v)))(y)
end

--- A V for all columns of V {n, k} in one pass.
function operator:matmat(V)
  local rows = self:columns(V, "matmat")
  if rows:size(1) == 0 then return rows:transpose(1, 2) end
  return row_products(self, rows):transpose(1, 2)
end

-- The unit vectors of n elements that a tensor numbers, as rows.
local function units(i, n, dtype)
  return i:unsqueeze(2):eq(sd.arange(1, n)):to(dtype)
end

-- How many of count unit vectors of n elements to multiply at once.
local function chunk_of(n, count)
  local limit = math.max(16, math.min(most, math.tointeger(2 ^ 24 // n)))
  return limit < count and piece_size(count, limit) or count
end

-- The same of a band of self, by the memory that a chunk would take.
local function chunk_in(self, band)
  local chunk = chunk_of(self.n, band.count)
  if not band.peak then return chunk end
  local used = band.peak(sd.arange(1, chunk)) / chunk
  local limit = count_at_once(used, bytes_of(self.n, self.dtype), band.again)
  return limit < chunk and piece_size(band.count, limit) or chunk
end

--- Calls f (the products of unit vectors from .. from + count - 1, as rows, and
--- these vectors) until all columns are had.
function operator:each_columns(f)
  local chunk = chunk_of(self.n, self.n)
  for from = 1, self.n, chunk do
    local last = math.min(from + chunk - 1, self.n)
    local e = units(sd.arange(from, last), self.n, self.dtype)
    f(row_products(self, e), e)
  end
end

-- Writes the rows of a band into the matrix A, where both have their element
-- (at, at), and what lies behind the band's own columns below it, too.
local function lay_band(A, at, band, chunk)
  local count = band.count
  chunk = math.min(count, chunk)
  for from = 1, count, chunk do
    local first = math.min(from, count - chunk + 1) -- of one size, for one plan
    local rows = band.rows(sd.arange(first, first + chunk - 1)):to(A.dtype)
    core.lay(A, sd.eval(rows), at + first - 1, at)
    local rest = rows:size(2) - count
    if rest > 0 then
      local right = rows:narrow(2, count + 1, rest):transpose(1, 2)
      core.lay(A, sd.eval(right), at + count, at + first - 1)
    end
  end
end

--- The whole matrix {n, n}, by chunks of columns that bound the memory. Of a
--- curvature matrix one triangle of blocks is computed, the other mirrored: the
--- columns of some parameters need no tangents of the others, and nothing of
--- the parameters before them.
---@param o? table chunk (chosen by size)
function operator:dense(o)
  o = sd.check_options(o, { "chunk:N" }, "dense")
  if self.whole and not o.chunk then return self.whole() end
  local bands = self.triangle and self.triangle() or { {
    count = self.n, rows = function(i)
      return row_products(self, units(i, self.n, self.dtype))
    end } }
  local A, at = core.blank(self.n, self.n, { dtype = self.dtype }), 1
  for _, band in ipairs(bands) do
    lay_band(A, at, band, o.chunk or chunk_in(self, band))
    at = at + band.count
  end
  return A
end

return operator
