-- The noise of gradients from batches, from each example's own gradient.

local chunks = require "saddle.curvature.chunks"
local core = require "saddle.core"
local fail = require "saddle.fail"
local models = require "saddle.curvature.models"
local operator = require "saddle.curvature.operator"
local sd = require "saddle.init"

-- Each example's gradient, {count, p} rows, of the data in args.
local function per_example(at, f)
  return sd.vmap(function(...)
    local one = {}
    for i = 1, select("#", ...) do one[i] = (select(i, ...)):unsqueeze(1) end
    local g = sd.grad(function(list)
      return (f(at.full(list), table.unpack(one)))
    end)(at.sub)
    return models.ravel(g)
  end)
end

local function pieces(data, size)
  if chunks.is(data[1]) then return data[1] end
  return chunks.make(data, { size = size })
end

-- The covariance as an operator: (G - g)'(G - g) / N by products with the
-- per-example losses' Jacobian, which is never formed.
local function covariance(at, f, data, mean, n)
  local function raw(v, ...)
    local function losses(list, ...)
      return sd.vmap(function(...)
        local one = {}
        for i = 1, select("#", ...) do
          one[i] = (select(i, ...)):unsqueeze(1)
        end
        return (f(at.full(list), table.unpack(one)))
      end)(...)
    end
    local rest = table.pack(...)
    local function along(list)
      return losses(list, table.unpack(rest, 1, rest.n))
    end
    local _, s = sd.jvp(along, { at.sub }, { at.split(v) })
    local _, pull = sd.vjp(along, at.sub)
    return models.ravel(pull(s / n))
  end
  local sum = setmetatable({ n = n }, getmetatable(data))
  for i, c in ipairs(data) do
    sum[i] = { args = c.args, count = c.count, weight = 1 }
  end
  local product, rows = models.products(raw, { sum, n = 1 }, at.n)
  local function centred(y, v)
    if v.ndim == 1 then return y - mean * sd.dot(mean, v) end
    return y - sd.outer(v:mv(mean), mean)
  end
  return operator.new {
    n = at.n, dtype = at.dtype, unravel = at.unravel, parts = at.parts,
    name = "gradient covariance",
    product = function(v) return centred(product(v), v) end,
    rows = function(V) return centred(rows(V), V) end }
end

--- The noise of batch gradients of f(params, x, y), a mean over examples, from
--- each example's own gradient g_i: { gradient (tree), norm2 (|g|^2 of the true
--- gradient, its noise taken off), trace (of the covariance of g_i), scale
--- (trace / norm2, the simple noise scale), critical (tr(H C) / g'H g, the
--- batch at which noise and curvature cost the same; nil where g'H g <= 0)
--- (McCandlish et al. 2018), norms (|g_i|, {N}), covariance (an operator),
--- alignment (tr(H C) / (|H|_F |C|_F), 1 when noise covariance and Hessian are
--- proportional, with alignment_error) }.
---
--- ```lua
--- local x, y = sd.randn(20, 2), sd.randn(20, 1)
--- local function f(w, a, b) return sd.mse(a:matmul(w), b) end
--- print(sd.curvature.noise(f, sd.zeros(2, 1), { x, y }).scale)
--- ```
---@param f function of params and a batch
---@param params any tree
---@param data any { x, y }, a data set { x =, y = }, or one in chunks
---@param o? table chunk (by size of the parameters), samples (64 probes for
---  the traces), seed, curvature (true)
return function(f, params, data, o)
  o = sd.check_options(o, { "chunk:N", "samples:N", "seed:I", "curvature:B" },
                       "noise")
  models.callable(f, "noise", "f")
  if type(data) ~= "table" then
    fail("noise: needs a data set { x =, y = } or a list of tensors, not a %s",
         type(data))
  end
  local at = models.layout(params, nil, "noise")
  local list = chunks.is(data) and { data } or
               data[1] and data or { data.x, data.y }
  local size = o.chunk or math.max(1, math.min(256, (2 ^ 23) // at.n))
  local all = pieces(list, size)
  local n = all.n
  if n < 2 then fail "noise: needs at least two examples" end
  local each = core.jit(per_example(at, f))
  local sum, norms, square = nil, {}, 0
  for i, c in ipairs(all) do
    local G = each(table.unpack(c.args))
    local s2 = G:square():sum(2)
    local part = G:sum(1)
    sum = sum and sum + part or part
    norms[i] = s2:sqrt()
    sd.eval(sum, norms[i])
    square = square + s2:to("f64"):sum():item()
  end
  local mean = sd.eval(sum / n)
  local g2 = mean:to("f64"):square():sum():item()
  local trace = (square - n * g2) / (n - 1)
  local r = { gradient = at.unravel(mean), norms = sd.cat(norms, 1),
              trace = trace, norm2 = g2 - trace / n }
  r.scale = r.norm2 > 0 and trace / r.norm2 or math.huge
  local C = covariance(at, f, all, mean, n)
  r.covariance = C
  if o.curvature == false then return r end
  local H = models.hessian(f, params, all)
  local samples = o.samples or 64
  local u = sd.randint(0, 1, { samples, at.n },
                       { generator = sd.generator(o.seed or 1) })
  local V = (u * 2 - 1):to(at.dtype):transpose(1, 2)
  local HV, CV = H:matmat(V):to "f64", C:matmat(V):to "f64"
  local products = (HV * CV):sum(1)
  r.trace_HC = products:mean():item()
  r.trace_HC_error = (products:std() / math.sqrt(samples)):item()
  local gHg = sd.dot(mean, H:matvec(mean)):item()
  r.critical = gHg > 0 and r.trace_HC / gHg or nil
  local size2 = HV:square():sum():item() * CV:square():sum():item()
  local scale = math.sqrt(size2) / samples
  r.alignment = scale > 0 and r.trace_HC / scale or 0
  r.alignment_error = scale > 0 and r.trace_HC_error / scale or 0
  return r
end
