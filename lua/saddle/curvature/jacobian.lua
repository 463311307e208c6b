-- Jacobians of outputs in parameters, as rectangular operators, and the
-- neural tangent kernel J J'.

local chunks = require "saddle.curvature.chunks"
local core = require "saddle.core"
local factors = require "saddle.curvature.factors"
local fail = require "saddle.fail"
local models = require "saddle.curvature.models"
local module = require "saddle.module"
local operator = require "saddle.curvature.operator"
require "saddle.curvature.spectrum"
local sd = require "saddle.init"
local unpack = table.unpack

local jacobian = {}
jacobian.__index = module.fields("a Jacobian", jacobian, { unravel = true })

local function check(v, n, what)
  if not sd.is_tensor(v) or v.ndim ~= 1 or v:numel() ~= n then
    fail("%s: needs a vector of %d, not %s", what, n, sd.is_tensor(v) and
         ("shape {%s}"):format(table.concat(v.shape, ", ")) or "a " .. type(v))
  end
  if not core.is_tracing() and core.first_nonfinite { v } then
    fail("%s: the vector holds NaN or infinite elements", what)
  end
end

--- J v, of a vector of n or a tree in the form of the input.
function jacobian:matvec(v)
  if not sd.is_tensor(v) then v = (sd.tree.ravel(v)) end
  check(v, self.n, "matvec")
  return self.forward(v:to(self.dtype))
end

--- J' u, for a vector of m.
function jacobian:rmatvec(u)
  check(u, self.m, "rmatvec")
  return self.backward(u:to(self.dtype))
end

function jacobian:__tostring()
  return ("Jacobian [%d, %d] (%s)"):format(self.m, self.n, self.dtype)
end

--- J' J as an operator on n elements.
function jacobian:gram()
  local forward, backward = self.forward, self.backward
  local function product(v) return backward(forward(v)) end
  return operator.new {
    n = self.n, dtype = self.dtype, name = "J' J", product = product,
    rows = self.map(product), unravel = self.unravel }
end

--- J J' as an operator on m elements.
function jacobian:outer()
  local forward, backward = self.forward, self.backward
  local function product(u) return forward(backward(u)) end
  return operator.new {
    n = self.m, dtype = self.dtype, name = "J J'", product = product,
    rows = self.map(product) }
end

--- J {m, n}, by columns or rows, whichever are fewer.
function jacobian:dense()
  local few = math.min(self.m, self.n)
  local I = sd.eye(few, { dtype = self.dtype })
  local f = few == self.m and self.backward or self.forward
  local rows = self.map(f)(I)
  return few == self.m and rows or rows:transpose(1, 2)
end

--- The largest singular values, descending, with vectors: { values, left
--- {m, k}, right {n, k}, residuals |J' u - s v|, converged, reason }, from the
--- smaller of J' J and J J'. Values below sqrt(rounding) of the largest are
--- rounding.
---@param o? table k (5), which "largest" | "smallest", tol, max_iter, seed
function jacobian:svd(o)
  o = sd.check_options(o, { "k:N", "which:S", "tol:F", "max_iter:N",
                            "seed:I" }, "svd")
  local tall = self.m >= self.n
  local least = math.min(self.m, self.n)
  if o.k and o.k > least then
    fail("svd: %d singular values of a Jacobian [%d, %d]", o.k, self.m, self.n)
  end
  local A = tall and self:gram() or self:outer()
  local e = A:eigs { k = o.k or math.min(5, A.n), which = o.which or "largest",
                     tol = o.tol, max_iter = o.max_iter, seed = o.seed }
  local s = sd.sqrt(sd.clamp(e.values, 0))
  local own = e.vectors:transpose(1, 2)
  local other = self.map(tall and self.forward or self.backward)(own)
  local tiny = self.dtype == "f32" and 1e-30 or 1e-150
  other = other / sd.maximum(s:to(self.dtype), tiny):unsqueeze(2)
  local back = self.map(tall and self.backward or self.forward)(other)
  local residuals = (back - own * s:to(self.dtype):unsqueeze(2))
    :square():sum(2):sqrt()
  local U, V = own, other
  if tall then U, V = other, own end
  return { values = s, left = U:transpose(1, 2), right = V:transpose(1, 2),
           residuals = residuals, converged = e.converged,
           reason = e.reason, iterations = e.iterations }
end

-- ---- of functions -----------------------------------------------------------

-- The Jacobian of f (vector -> tensor) at the vector x, for what.
local function of(f, x, what)
  local z = models.outputs(f(x), what)
  local shape = z.shape
  if z:numel() == 0 or x:numel() == 0 then
    fail("%s: nothing to differentiate: %d elements in, outputs {%s}", what,
         x:numel(), table.concat(shape, ", "))
  end
  local function flat(v) return f(v):reshape(-1) end
  local function forward(v)
    return select(2, sd.jvp(flat, { x }, { v }))
  end
  local function backward(u)
    local _, pull = sd.vjp(f, x)
    return (pull(u:reshape(shape)))
  end
  local self = {
    m = z:numel(), n = x:numel(), dtype = x.dtype,
    forward = core.jit(forward), backward = core.jit(backward),
    map = function(g)
      local one = core.jit(g)
      local limit = operator.limit(function(v) return core.peak(one, v) end)
      return operator.in_pieces(core.jit(sd.vmap(g)), limit)
    end }
  return setmetatable(self, jacobian)
end

-- Over chunks: the outputs of one after those of another.
local function over_chunks(parts, n, dtype)
  local self = { m = 0, n = n, dtype = dtype }
  for _, J in ipairs(parts) do self.m = self.m + J.m end
  function self.forward(v)
    local list = {}
    for i, J in ipairs(parts) do list[i] = sd.eval(J.forward(v)) end
    return sd.cat(list, 1)
  end
  function self.backward(u)
    local sum, at = nil, 1
    for _, J in ipairs(parts) do
      local part = J.backward(u:narrow(1, at, J.m))
      sum, at = sd.eval(sum and sum + part or part), at + J.m
    end
    return sum
  end
  function self.map(g)
    return function(V)
      local list = {}
      for i = 1, V:size(1) do list[i] = sd.eval(g(V[i])) end
      return sd.stack(list, 1)
    end
  end
  return setmetatable(self, jacobian)
end

-- The Jacobian in the parameters of model(params, x).
local function in_parameters(model, params, x, what)
  models.callable(model, what, "model")
  local at = models.layout(params, nil, what)
  local flat = models.ravel(at.sub)
  local function one(data)
    return of(function(v) return (model(at.full(at.split(v)), data)) end, flat,
              what)
  end
  local J
  if chunks.is(x) then
    local parts = {}
    for i, c in ipairs(x) do parts[i] = one(c.args[1]) end
    J = over_chunks(parts, at.n, at.dtype)
  else
    J = one(x)
  end
  J.unravel = at.unravel
  return J
end

--- The Jacobian {m, n} of the outputs of model(params, x) (flattened) in the
--- parameters: matvec, rmatvec, dense, svd, gram (J' J), outer (J J').
---@param model function of params, x
---@param params any tree
---@param x any a batch, or a data set in chunks
local function jacobian_of(model, params, x)
  return in_parameters(model, params, x, "jacobian")
end

-- ---- the neural tangent kernel ----------------------------------------------

-- Of a net of dense layers, from the factors of each layer's Jacobian: the
-- gradients of outputs c of example i and d of example j have the product
-- (a_i . a_j + 1) (g_ic . g_jd) in a layer, the 1 being the bias's. nil for
-- other models.
local function factored(net, params, x)
  if not factors.is_net(net) then return nil end
  local z, notes, gradients = factors.of(net, params, x)
  if not z or z.ndim ~= 2 or #notes == 0 then return nil end
  local n, c = z:size(1), z:size(2)
  local I = sd.eye(c, { dtype = z.dtype }):unsqueeze(2)     -- {C, 1, C}
  local sum
  for k, g in ipairs(gradients(sd.eval(I:expand(c, n, c)))) do
    local a = notes[k].input
    local A = a:matmul(a:T()) + (notes[k].leaves - 1)       -- {N, N}
    local G = g:transpose(1, 2):reshape(n * c, -1)
    local part = G:matmul(G:T()):reshape(n, c, n, c) *
                 A:reshape(n, 1, n, 1)
    sum = sum and sum + part or part
  end
  return sum:reshape(n * c, n * c)
end

-- J J' of a model that treats examples alone: each one's own Jacobian, {N, C,
-- p}, in chunks of parameters' worth of memory; the products are sums over
-- leaves.
local function kernel(model, params, x)
  local K = factored(model, params, x)
  if K then return K end
  local list = core.leaves(params, false)
  local function jacobian_rows(p, a) -- of one example: for each leaf {C, ...}
    local z, pull = sd.vjp(function(q)
      return model(q, a:unsqueeze(1)):reshape(-1)
    end, p)
    local I = sd.eye(z:numel(), { dtype = z.dtype })
    return sd.vmap(pull)(I)
  end
  local each = core.jit(sd.vmap(jacobian_rows, { false, 1 }))
  local n, size = x:size(1), 0
  for _, l in ipairs(list) do size = size + l:numel() end
  local outputs = model(params, x):numel() // n
  -- Pieces small enough for memory, and some in any case: below the diagonal
  -- they are not computed.
  local chunk = (2 ^ 26) // (size * outputs)
  chunk = math.max(1, math.min(chunk, math.max(64, (n + 7) // 8)))
  local rows = {}
  for from = 1, n, chunk do
    local count = math.min(chunk, n - from + 1)
    local G = core.leaves(each(params, x:narrow(1, from, count)), false)
    for i, g in ipairs(G) do G[i] = g:reshape(count * outputs, -1) end
    sd.eval(G)
    rows[#rows + 1] = G
  end
  local blocks = {}
  for i = 1, #rows do
    blocks[i] = {}
    for j = 1, #rows do
      if j < i then
        blocks[i][j] = blocks[j][i]:transpose(1, 2)
      else
        local sum
        for k = 1, #list do
          local part = rows[i][k]:matmul(rows[j][k]:transpose(1, 2))
          sum = sum and sum + part or part
        end
        blocks[i][j] = sd.eval(sum)
      end
    end
    blocks[i].row = sd.eval(sd.cat({ unpack(blocks[i], 1, #rows) }, 2))
  end
  local all = {}
  for i = 1, #rows do all[i] = blocks[i].row end
  return sd.cat(all, 1)
end

--- The neural tangent kernel J J' of model(params, x), an operator on the
--- outputs (flattened, example by example) (Jacot, Gabriel and Hongler 2018).
--- dense() takes each example's own Jacobian, which a model must treat alone;
--- of a net of dense layers, given as it is, only the layers' inputs and output
--- gradients, which is many times as fast.
---@param model any a net, or a function of params, x
---@param params any tree
---@param x any a batch, or a data set in chunks
local function ntk(model, params, x)
  local J = in_parameters(model, params, x, "ntk")
  local K = J:outer()
  K.name = "ntk"
  if not chunks.is(x) then
    K.whole = function() return kernel(model, params, x) end
  end
  return K
end

return { of = of, jacobian = jacobian_of, ntk = ntk }
