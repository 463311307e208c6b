-- Functions and methods of tensors that are made of other ops. What needs a
-- kernel or a derivative rule of its own is in the core (src/ops/).

local fail = require "saddle.fail"
local arguments = require "saddle.arguments"

return function(sd, methods, core)
  local is_tensor = core.is_tensor
  local pi = math.pi

  local about = {}

  -- Declares a function that is also a method; samples are argument lists
  -- for the derivative tests, one a line.
  local function define(name, args, doc, samples, f)
    about[name] = { args = args, doc = doc, samples = samples,
                    composite = true }
    f = arguments.checked(name, args, f)
    sd[name] = f
    methods[name] = f
  end

  local options = arguments.options
  sd.check_options = options

  -- Splits (dim, options), (options) and (dim).
  local function dim_and_options(dim, o, known, what)
    if type(dim) == "table" and next(dim) ~= nil and dim[1] == nil then
      dim, o = nil, dim
    end
    o = options(o, known, what)
    return dim == nil and o.dim or dim, o
  end
  sd.dim_and_options = dim_and_options

  local function dims_set(x, dim)
    local set = {}
    if dim == nil then
      for d = 1, x.ndim do set[d] = true end
    else
      for _, d in ipairs(type(dim) == "table" and dim or { dim }) do
        set[d < 0 and d + x.ndim + 1 or d] = true
      end
    end
    return set
  end

  -- How many elements a reduction over dim folds into one.
  local function count(x, dim)
    local n, shape = 1, x.shape
    for d in pairs(dims_set(x, dim)) do n = n * (shape[d] or 1) end
    return n
  end

  local function float(x)
    local d = x.dtype
    return (d == "f32" or d == "f64") and x or x:to(sd.default_dtype())
  end

  -- Integers as sums and products of them are held.
  local function wide(x)
    local d = x.dtype
    return (d == "f32" or d == "f64") and x or x:to "i64"
  end

  -- ---- making ------------------------------------------------------------

  local function has_dims(v)
    while type(v) == "table" do v = v[1] end
    return is_tensor(v) and v:numel() ~= 1
  end
  local function stacked(v)
    if type(v) ~= "table" then return v end
    local items = {}
    for i, e in ipairs(v) do
      items[i] = stacked(e)
      if not is_tensor(items[i]) or
         not core.same_shape(items[1], items[i]) then
        fail("tensor: entry %d of a table of tensors is of another shape", i)
      end
    end
    return sd.stack(items)
  end

  --- A tensor of numbers in nested tables; of tensors of one shape, stacked.
  function sd.tensor(v, o)
    if type(v) ~= "table" or not has_dims(v) then return core.tensor(v, o) end
    return core.tensor(stacked(v), o)
  end

  --- x in another dtype.
  function methods.to(x, dtype) return sd.cast(x, dtype) end

  --- The identity matrix, n x n or n x m.
  function sd.eye(n, m, o)
    if type(m) == "table" then m, o = nil, m end
    o = options(o, { "dtype:S" }, "eye")
    m = m or n
    for _, k in ipairs { n, m } do
      if math.type(k) ~= "integer" or k < 0 then
        fail("eye: %s rows or columns", tostring(k))
      end
    end
    local rows = sd.arange(1, n):unsqueeze(2)
    return rows:eq(sd.arange(1, m)):to(o.dtype or sd.default_dtype())
  end

  --- n numbers from `from` to `to`, both included.
  sd.linspace = arguments.checked("linspace", "from:F to:F n:N",
                                  function(from, to, n, o)
    o = options(o, { "dtype:S" }, "linspace")
    local dtype = o.dtype or sd.default_dtype()
    if n == 1 then return sd.full({ 1 }, from, { dtype = dtype }) end
    local i = sd.arange(0, n - 1):to "f64"
    local step = (to - from) / (n - 1)
    -- Counted from the nearer end, so that both ends are exact.
    local low, high = i * step + from, (i - (n - 1)) * step + to
    return sd.where(i:lt(n / 2), low, high):to(dtype)
  end)

  for _, name in ipairs { "rand", "randn" } do
    --- Random numbers in x's shape.
    sd[name .. "_like"] = function(x, o)
      if not is_tensor(x) then
        fail("%s_like: expected a tensor, got %s", name, type(x))
      end
      o = options(o, { "dtype:S", "generator" }, name .. "_like")
      return sd[name](x.shape, { dtype = o.dtype or x.dtype,
                                 generator = o.generator })
    end
  end

  -- ---- elementwise ---------------------------------------------------------

  define("clamp", "x:T low:T? high:T?", "x held between low and high.",
    "u(-2, 2, {2, 3}), -1, 1.5", function(x, low, high)
      if type(low) == "table" then
        low = options(low, { "min:T", "max:T", "low:T", "high:T" }, "clamp")
        low, high = low.min or low.low, low.max or low.high
      end
      -- The slope at the ends is 1, as PyTorch's.
      if low then x = sd.where(sd.lt(x, low), low, x) end
      if high then x = sd.where(sd.gt(x, high), high, x) end
      return x
    end)
  define("round", "x decimals:D=0",
    "Rounded to nearest, halves to even, at a decimal place.",
    "u(.1, .4, {3})\nu(.11, .14, {3}), 1", function(x, decimals)
      if type(decimals) == "table" then
        decimals = options(decimals, { "decimals:I" }, "round").decimals
      end
      local scale = 10.0 ^ math.abs(decimals or 0)
      if scale == 1 then return core.ops.round(x) end
      if decimals > 0 then return core.ops.round(x * scale) / scale end
      return core.ops.round(x / scale) * scale
    end)
  define("lerp", "x:T y:T w:T", "x + w (y - x).", "r{2, 3}, r{2, 3}, .3",
    function(x, y, w) return x + w * (y - x) end)
  define("frac", "x", "x minus x rounded towards 0.", "u(.1, .9, {3})",
    function(x) return x - sd.trunc(x) end)
  define("isclose", "x y:T", "Whether |x - y| <= 1e-8 + 1e-5 |y|.",
    "r{3}, r{3}", function(x, y, o)
      o = options(o, { "rtol:F", "atol:F" }, "isclose")
      return sd.le(sd.abs(x - y),
                   (o.atol or 1e-8) + (o.rtol or 1e-5) * sd.abs(y))
    end)
  define("nan_to_num", "x", "NaN as 0, infinities as the largest numbers.",
    "r{3}", function(x, o)
      o = options(o, { "nan", "posinf", "neginf" }, "nan_to_num")
      if not (x.dtype == "f32" or x.dtype == "f64") then return x end
      local most = x.dtype == "f32" and 3.4028234663852886e38 or
                   1.7976931348623157e308
      x = sd.where(sd.isnan(x), o.nan or 0, x)
      x = sd.where(sd.eq(x, math.huge), o.posinf or most, x)
      return sd.where(sd.eq(x, -math.huge), o.neginf or -most, x)
    end)
  define("logaddexp", "x:T y:T", "log(exp(x) + exp(y)).", "r{2, 3}, r{3}",
    function(x, y)
      local m = sd.stop_gradient(sd.maximum(x, y))
      m = sd.where(sd.isfinite(m), m, 0)
      return sd.log(sd.exp(x - m) + sd.exp(y - m)) + m
    end)
  define("softplus", "x", "log(1 + exp(beta x)) / beta.", "r{2, 3}",
    function(x, o)
      o = options(o, { "beta:F", "threshold:F" }, "softplus")
      local beta = o.beta or 1
      local soft = beta == 1 and core.ops.softplus_(x) or
                   core.ops.softplus_(x * beta) / beta
      if o.threshold then
        soft = sd.where(sd.gt(x * beta, o.threshold), x, soft)
      end
      return soft
    end)
  define("leaky_relu", "x slope=0.01", "x, or slope x below 0.", "r{2, 3}",
    function(x, slope)
      if type(slope) == "table" then
        slope = options(slope, { "negative_slope:F" }, "leaky_relu")
                .negative_slope
      end
      return sd.where(sd.gt(x, 0), x, x * (slope or 0.01))
    end)
  -- exp is kept from overflowing in the half that is thrown away, where it
  -- would turn a zero slope into NaN.
  local function below_zero(x) return sd.minimum(x, 0) end
  define("elu", "x alpha=1", "x, or alpha (exp(x) - 1) below 0.", "r{2, 3}",
    function(x, alpha)
      if type(alpha) == "table" then
        alpha = options(alpha, { "alpha:F" }, "elu").alpha
      end
      return sd.where(sd.gt(x, 0), x,
                      (alpha or 1) * sd.expm1(below_zero(x)))
    end)
  define("celu", "x alpha=1", "x, or alpha (exp(x / alpha) - 1) below 0.",
    "r{2, 3}", function(x, alpha)
      if type(alpha) == "table" then
        alpha = options(alpha, { "alpha:F" }, "celu").alpha
      end
      alpha = alpha or 1
      return sd.where(sd.gt(x, 0), x,
                      alpha * sd.expm1(below_zero(x) / alpha))
    end)
  define("selu", "x", "Scaled elu that keeps mean 0 and variance 1.",
    "r{2, 3}", function(x)
      return 1.0507009873554804934193349852946 *
             sd.elu(x, 1.6732632423543772848170429916717)
    end)
  define("gelu", "x", "x times the normal distribution function of x.",
    "r{2, 3}", function(x, o)
      o = options(o, { "approximate:S" }, "gelu")
      if o.approximate == "tanh" then
        return 0.5 * x * (1 + sd.tanh(math.sqrt(2 / pi) *
                                      (x + 0.044715 * x ^ 3)))
      end
      return x * 0.5 * (1 + sd.erf(x * math.sqrt(0.5)))
    end)
  define("silu", "x", "x sigmoid(x).", "r{2, 3}",
    function(x) return x * sd.sigmoid(x) end)
  define("mish", "x", "x tanh(softplus(x)).", "r{2, 3}",
    function(x) return x * sd.tanh(sd.softplus(x)) end)
  define("hardtanh", "x low=-1 high=1", "x held between low and high.",
    "u(-2, 2, {5})", function(x, low, high)
      if type(low) == "table" then
        low = options(low, { "min_val:F", "max_val:F", "low:F", "high:F" },
                      "hardtanh")
        low, high = low.min_val or low.low, low.max_val or low.high
      end
      return sd.clamp(x, low or -1, high or 1)
    end)
  define("hardswish", "x", "x clamp(x + 3, 0, 6) / 6.", "u(-2, 2, {5})",
    function(x) return x * sd.clamp(x + 3, 0, 6) / 6 end)

  -- ---- reductions ----------------------------------------------------------

  define("mean", "x dim:D? keepdim=false", "Mean over dims (all by default).",
    "r{2, 3}\nr{2, 3, 2}, {1, 3}\nr{2, 3}, 2, {keepdim = true}",
    function(x, dim, o)
      dim, o = dim_and_options(dim, o, { "dim:D", "keepdim:B" }, "mean")
      x = float(x)
      return sd.sum(x, dim, { keepdim = o.keepdim or false }) /
             count(x, dim)
    end)
  local function correction(o)
    if o.unbiased ~= nil then return o.unbiased and 1 or 0 end
    return o.correction or 1
  end
  local spread = { "dim:D", "keepdim:B", "correction:I", "unbiased:B" }
  define("var", "x dim:D? correction=1 keepdim=false",
    "Variance over dims; the divisor is n - correction.",
    "r{2, 3}\nr{2, 3, 2}, {1, 3}\nr{2, 3}, 2, {correction = 0}",
    function(x, dim, o)
      dim, o = dim_and_options(dim, o, spread, "var")
      x = float(x)
      local s = sd.squared_deviations(x, dim, { keepdim = o.keepdim or false })
      return s / math.max(count(x, dim) - correction(o), 0)
    end)
  define("std", "x dim:D? correction=1 keepdim=false",
    "Standard deviation over dims.", "r{2, 3}\nr{2, 3}, 2",
    function(x, dim, o) return sd.sqrt(sd.var(x, dim, o)) end)
  define("norm", "x p=2 dim:D?",
    "p-norm over dims (all by default): x:norm(p, dim).",
    "r{2, 3}\nr{2, 3}, 1\nr{2, 3}, 3, 2", function(x, p, dim, o)
      if type(p) == "table" then p, dim, o = nil, nil, p end
      if type(dim) == "table" and dim[1] == nil then dim, o = nil, dim end
      o = options(o, { "p", "dim:D", "keepdim:B" }, "norm")
      p, dim = p or o.p or 2, dim or o.dim
      if type(p) ~= "number" and p ~= "fro" then
        fail("norm: p must be a number, not %s", tostring(p))
      end
      local keep = { keepdim = o.keepdim or false }
      x = float(x)
      if p == 2 or p == "fro" then
        local s = sd.sum(sd.square(x), dim, keep)
        -- The norm's slope at 0 is taken as 0.
        local zero = sd.eq(s, 0)
        return sd.where(zero, 0, sd.sqrt(sd.where(zero, 1, s)))
      elseif p == math.huge then
        return sd.amax(sd.abs(x), dim, keep)
      elseif p == -math.huge then
        return sd.amin(sd.abs(x), dim, keep)
      elseif p == 1 then
        return sd.sum(sd.abs(x), dim, keep)
      elseif p == 0 then
        return sd.sum(sd.ne(x, 0):to(x.dtype), dim, keep)
      end
      -- Elements of 0 and a norm of 0 have slope 0: powers of them are not
      -- taken, only chosen.
      local zero = sd.eq(x, 0)
      local powers = sd.where(zero, 1, sd.abs(x)) ^ p
      local s = sd.sum(sd.where(zero, p < 0 and math.huge or 0, powers), dim,
                       keep)
      if p < 0 then return s ^ (1 / p) end
      local none = sd.eq(s, 0)
      return sd.where(none, 0, sd.where(none, 1, s) ^ (1 / p))
    end)
  define("logsumexp", "x dim:D? keepdim=false", "log(sum(exp(x))) over dims.",
    "r{2, 3}\nr{2, 3}, 2", function(x, dim, o)
      dim, o = dim_and_options(dim, o, { "dim:D", "keepdim:B" }, "logsumexp")
      x = float(x)
      local m = sd.stop_gradient(sd.amax(x, dim, { keepdim = true }))
      m = sd.where(sd.isfinite(m), m, 0)
      local y = sd.log(sd.sum(sd.exp(x - m), dim, { keepdim = true })) + m
      if o.keepdim then return y end
      if dim == nil then return y:reshape {} end
      return y:squeeze(dim)
    end)
  define("count_nonzero", "x dim:D?", "How many elements are not 0.",
    "r{2, 3}, 1", function(x, dim)
      return sd.sum(core.ops.nonzero_(x), dim)
    end)

  -- Products by halving: log2(n) multiplications deep, and right where an
  -- element is 0, in every derivative.
  define("prod", "x dim:D? keepdim=false", "Product over dims.",
    "r{2, 3}\nr{2, 5}, 2\nr{3, 2, 2}, 1", function(x, dim, o)
      dim, o = dim_and_options(dim, o, { "dim:D", "keepdim:B" }, "prod")
      if dim == nil then
        local ndim = x.ndim
        local y = sd.prod(x:reshape(-1), 1)
        if not o.keepdim then return y end
        local ones = {}
        for d = 1, ndim do ones[d] = 1 end
        return y:reshape(ones)
      end
      if type(dim) == "table" then
        for _, d in ipairs(dim) do
          x = sd.prod(x, d, { keepdim = true })
        end
        return o.keepdim and x or x:squeeze(dim)
      end
      local n = x:size(dim)
      x = wide(x)
      if n == 0 then x = sd.sum(x, dim, { keepdim = true }) + 1 end
      while n > 1 do
        local half = n // 2
        local a, b = x:narrow(dim, 1, half), x:narrow(dim, half + 1, half)
        local y = a * b
        if n % 2 == 1 then y = sd.cat({ y, x:narrow(dim, n, 1) }, dim) end
        x, n = y, (n + 1) // 2
      end
      return o.keepdim and x or x:squeeze(dim)
    end)
  define("cumprod", "x dim:I", "Running product along dim.",
    "r{5}, 1\nr{2, 4}, 2", function(x, dim)
      local n, shift = x:size(dim), 1
      x = wide(x)
      while shift < n do
        local head = x:narrow(dim, 1, shift)
        x = sd.cat({ head, x:narrow(dim, shift + 1, n - shift) *
                           x:narrow(dim, 1, n - shift) }, dim)
        shift = shift * 2
      end
      return x
    end)
  -- x, but NaN where the sorted v ends with one along dim.
  local function unless_nan(x, v, dim)
    if not (v.dtype == "f32" or v.dtype == "f64") then return x end
    local last = v:narrow(dim, -1, 1)
    return sd.where(sd.isnan(last), last, x)
  end
  define("median", "x dim:I?",
    "Middle element (the lower of two); along dim: values, indices.",
    "r{5}\nr{2, 4}, 2", function(x, dim, o)
      dim, o = dim_and_options(dim, o, { "dim:D", "keepdim:B" }, "median")
      if x:numel() == 0 then fail "median: no elements" end
      if dim == nil then
        return (sd.median(x:reshape(-1), 1))
      end
      local v, k = sd.sort(x, dim)
      local at = (x:size(dim) + 1) // 2
      v = unless_nan(v:narrow(dim, at, 1), v, dim)
      k = k:narrow(dim, at, 1)
      if not o.keepdim then v, k = v:squeeze(dim), k:squeeze(dim) end
      return v, k
    end)
  -- Places between 0 and n - 1 as the elements below and above them and the
  -- weight of the latter.
  local neighbours = {
    linear = function(at)
      return sd.floor(at), sd.ceil(at), at - sd.floor(at)
    end,
    lower = function(at) return sd.floor(at), sd.floor(at), 0 end,
    higher = function(at) return sd.ceil(at), sd.ceil(at), 0 end,
    nearest = function(at) return sd.round(at), sd.round(at), 0 end,
    midpoint = function(at) return sd.floor(at), sd.ceil(at), 0.5 end,
  }
  local function check_quantile(q, how)
    if not neighbours[how] then
      fail("quantile: interpolation is 'linear', 'lower', 'higher', " ..
           "'nearest' or 'midpoint', not '%s'", tostring(how))
    elseif q.ndim > 1 then
      fail("quantile: q must be a number or a vector, not of %d dims", q.ndim)
    elseif not core.is_traced(q) and q:numel() > 0 then
      local low, high = q:min():item(), q:max():item()
      if not (low >= 0 and high <= 1) then
        fail("quantile: q must lie in [0, 1], not %s",
             tostring(low >= 0 and high or low))
      end
    end
  end
  define("quantile", "x q:T dim:D? interpolation=linear keepdim=false",
    "The q-th quantile along dim; those of a vector q along a new first dim.",
    "r{5}, .3\nr{2, 4}, .5, 2\nr{2, 4}, sd.tensor{.1, .5}, 2\n" ..
    "r{5}, .3, {interpolation = 'midpoint'}", function(x, q, dim, o)
      dim, o = dim_and_options(dim, o, { "dim:I", "keepdim:B",
                                         "interpolation:S" }, "quantile")
      q = is_tensor(q) and q:to "f64" or sd.tensor(q, { dtype = "f64" })
      local how = o.interpolation or "linear"
      check_quantile(q, how)
      if dim == nil then
        if o.keepdim then fail "quantile: keepdim needs a dim" end
        x, dim = x:reshape(-1), 1
      end
      local n = x:size(dim)
      if n == 0 then fail "quantile: no elements" end
      if dim < 0 then dim = dim + x.ndim + 1 end
      x = float(x)
      local v, places = sd.sort(x, dim), q:numel()
      local low, high, weight =
        neighbours[how](q:reshape(-1) * (n - 1))
      local function pick(at)
        return v:index_select(dim, sd.stop_gradient(at):to("i64") + 1)
      end
      if is_tensor(weight) then
        local along = {}
        for d = 1, x.ndim do along[d] = d == dim and places or 1 end
        weight = weight:to(v.dtype):reshape(along)
      end
      local y = unless_nan(sd.lerp(pick(low), pick(high), weight), v, dim)
      if q.ndim == 0 then return o.keepdim and y or y:squeeze(dim) end
      y = y:unsqueeze(1):transpose(1, dim + 1)
      return o.keepdim and y or y:squeeze(dim + 1)
    end)
  -- Sums of weights in bins, counted as the core counts elements.
  local function weighted(x, weight, bins, low, high)
    if not core.same_shape(x, weight) then
      fail("histogram: weights of shape {%s} for {%s}",
           table.concat(weight.shape, ", "), table.concat(x.shape, ", "))
    end
    x, weight = x:to("f64"):reshape(-1), weight:to("f64"):reshape(-1)
    local inside = sd.ge(x, low):logical_and(sd.le(x, high))
    local half = low * 0.5
    local at = sd.floor((x * 0.5 - half) * (bins / (high * 0.5 - half)))
    at = sd.where(inside, at, 0):minimum(bins - 1):to "i64"
    return sd.zeros(bins, { dtype = "f64" })
           :scatter_add(1, at + 1, sd.where(inside, weight, 0))
  end
  define("histogram", "x bins=10 density=false",
    "Counts (or sums of weights) in equal bins, and the bins' edges.",
    "r{20}, 5\nr{20}, 4, {density = true}", function(x, bins, o)
      if type(bins) == "table" then bins, o = nil, bins end
      o = options(o, { "bins:N", "range:L", "density:B", "weight:T" },
                  "histogram")
      bins = bins or o.bins or 10
      local low, high
      if o.range then
        low, high = o.range[1], o.range[2]
      else
        low, high = x:min():item(), x:max():item()
        if low == high then low, high = low - 0.5, high + 0.5 end
      end
      local counts = core.ops.histogram_(x, bins, low, high)
      if o.weight then counts = weighted(x, o.weight, bins, low, high) end
      if o.density then
        counts = counts / (counts:sum() * ((high - low) / bins))
      end
      return counts, sd.linspace(low, high, bins + 1, { dtype = "f64" })
    end)
  define("topk", "x k:I dim:D=-1",
    "The k largest (or smallest) elements, in order: values, indices.",
    "r{5}, 2\nr{2, 4}, 2, 1", function(x, k, dim, o)
      if type(dim) == "table" then dim, o = nil, dim end
      o = options(o, { "largest:B", "sorted:B", "dim:I" }, "topk")
      dim = dim or o.dim or -1
      if math.type(k) ~= "integer" or k < 0 or k > x:size(dim) then
        fail("topk: k is %s of %d elements", tostring(k), x:size(dim))
      end
      local v, i = sd.sort(x, dim, { descending = o.largest ~= false })
      return v:narrow(dim, 1, k), i:narrow(dim, 1, k)
    end)
  define("unique", "x", "Distinct elements, ascending, and their counts.",
    "r{3}", function(x)
      local sorted = sd.sort(x:reshape(-1))
      local firsts, counts, last = {}, {}, nil
      for i, e in ipairs(sorted:totable()) do
        if i > 1 and last == e then
          counts[#counts] = counts[#counts] + 1
        else
          firsts[#firsts + 1], counts[#counts + 1] = i, 1
        end
        last = e
      end
      -- Picked, so that each value has its element's slope.
      return sorted:index_select(1, sd.tensor(firsts, { dtype = "i64" })),
             sd.tensor(counts, { dtype = "i64" })
    end)

  require "saddle.shape" (sd, methods, core, define, options)

  -- ---- products ------------------------------------------------------------

  local eigh = sd.linalg.eigh
  --- Eigenvalues, ascending, and eigenvectors as columns of a symmetric
  --- matrix, of which one triangle is read: UPLO = "L" (the lower) or "U".
  function sd.linalg.eigh(x, o)
    local uplo = options(o, { "UPLO:S" }, "linalg.eigh").UPLO or "L"
    if uplo ~= "L" and uplo ~= "U" then
      fail("linalg.eigh: UPLO is 'L' or 'U', not '%s'", uplo)
    end
    return eigh(uplo == "U" and is_tensor(x) and x.ndim >= 2 and
                x:transpose(-2, -1) or x)
  end

  define("mm", "x y", "Matrix product of two matrices.", "r{2, 3}, r{3, 2}",
    function(x, y)
      if x.ndim ~= 2 or y.ndim ~= 2 then
        fail("mm: needs two matrices, not %d and %d dims", x.ndim, y.ndim)
      end
      return sd.matmul(x, y)
    end)
  define("mv", "x y", "Matrix times vector.", "r{2, 3}, r{3}",
    function(x, y) return sd.matmul(x, y) end)
  define("bmm", "x y", "Products of two stacks of matrices.",
    "r{2, 2, 3}, r{2, 3, 2}", function(x, y) return sd.matmul(x, y) end)
  define("dot", "x y", "Sum of products of two vectors.", "r{3}, r{3}",
    function(x, y)
      if x.ndim ~= 1 or y.ndim ~= 1 or #x ~= #y then
        fail("dot: needs two vectors of one length, not {%s} and {%s}",
             table.concat(x.shape, ", "), table.concat(y.shape, ", "))
      end
      return sd.sum(x * y)
    end)
  define("outer", "x y", "All products of two vectors' elements.",
    "r{2}, r{3}", function(x, y) return x:reshape(-1, 1) * y:reshape(1, -1) end)
  define("cross", "x y dim:D=-1", "Cross product along a dim (of 3).",
    "r{3}, r{3}\nr{2, 3}, r{2, 3}\nr{3, 2}, r{3, 2}, 1",
    function(x, y, dim)
      if type(dim) == "table" then
        dim = options(dim, { "dim:I" }, "cross").dim
      end
      dim = dim or -1
      if x:size(dim) ~= 3 or y:size(dim) ~= 3 then
        fail("cross: dim %d must have 3 elements, not %d and %d", dim,
             x:size(dim), y:size(dim))
      end
      return sd.roll(x, -1, dim) * sd.roll(y, -2, dim) -
             sd.roll(x, -2, dim) * sd.roll(y, -1, dim)
    end)
  define("kron", "x y", "Kronecker product, dim by dim.",
    "r{2, 2}, r{1, 3}\nr{2}, r{2, 2}\nr{2, 1, 2}, r{1, 2, 2}",
    function(x, y)
      local a, b = x.shape, y.shape
      while #a < #b do table.insert(a, 1, 1) end
      while #b < #a do table.insert(b, 1, 1) end
      local left, right, joined = {}, {}, {}
      for d = 1, #a do
        left[2 * d - 1], left[2 * d] = a[d], 1
        right[2 * d - 1], right[2 * d] = 1, b[d]
        joined[d] = a[d] * b[d]
      end
      return (x:reshape(left) * y:reshape(right)):reshape(joined)
    end)
  define("tensordot", "x y dims=2",
    "Contraction of x's last with y's first dims, or of listed pairs.",
    "r{2, 3, 4}, r{3, 4, 2}\nr{2, 3}, r{2, 3}, {{1, 2}, {1, 2}}",
    function(x, y, dims)
      dims = dims or 2
      if type(dims) ~= "number" and type(dims) ~= "table" then
        fail("tensordot: dims: a number or two lists, not a %s", type(dims))
      end
      local dx, dy = {}, {}
      if type(dims) == "number" then
        if not (dims >= 0 and dims <= math.min(x.ndim, y.ndim)) or
           dims ~= dims // 1 then
          fail("tensordot: %s dims of tensors of %d and %d", tostring(dims),
               x.ndim, y.ndim)
        end
        for i = 1, dims do dx[i], dy[i] = x.ndim - dims + i, i end
      else
        dx, dy = dims[1], dims[2]
        if type(dx) ~= "table" or type(dy) ~= "table" or #dx ~= #dy then
          fail "tensordot: dims must be a number or two lists of one length"
        end
      end
      for i = 1, #dx do
        if x:size(dx[i]) ~= y:size(dy[i]) then
          fail("tensordot: dim %d of {%s} and dim %d of {%s} differ", dx[i],
               table.concat(x.shape, ", "), dy[i],
               table.concat(y.shape, ", "))
        end
      end
      local function arrange(t, inner, last)
        local used, order, free, k, n = {}, {}, {}, 1, 1
        for _, d in ipairs(inner) do
          if d < 0 then d = d + t.ndim + 1 end
          used[d] = true
        end
        for d = 1, t.ndim do
          if not used[d] then
            free[#free + 1] = t:size(d)
            n = n * t:size(d)
            if last then order[#order + 1] = d end
          end
        end
        for _, d in ipairs(inner) do
          if d < 0 then d = d + t.ndim + 1 end
          order[#order + 1] = d
          k = k * t:size(d)
        end
        if not last then
          for d = 1, t.ndim do
            if not used[d] then order[#order + 1] = d end
          end
        end
        local m = last and { n, k } or { k, n }
        return t:permute(order):reshape(m), free
      end
      local a, fa = arrange(x, dx, true)
      local b, fb = arrange(y, dy, false)
      for _, d in ipairs(fb) do fa[#fa + 1] = d end
      return sd.matmul(a, b):reshape(fa)
    end)

  --- Sums of products by index letters: sd.einsum("ij,jk->ik", a, b).
  function sd.einsum(spec, ...)
    return require "saddle.einsum" (sd, spec, ...)
  end

  -- ---- neural --------------------------------------------------------------

  require "saddle.pad" (sd, methods, core, about)
  require "saddle.loss" (sd, define, options, core.ops)
  sd.about = about
  for name, entry in pairs(core.about) do about[name] = about[name] or entry end
end
