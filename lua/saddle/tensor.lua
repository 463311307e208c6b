-- Functions and methods of tensors that are made of other ops. What needs a
-- kernel or a derivative rule of its own is in the core (src/ops/).

local fail = require "saddle.fail"
local arguments = require "saddle.arguments"
local diagonal = require "saddle.diagonal"

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
  local function centred(x, dim)
    return x - sd.mean(x, dim, { keepdim = true })
  end
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
      local s = sd.sum(sd.square(centred(x, dim)), dim,
                       { keepdim = o.keepdim or false })
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
  define("quantile", "x q:T dim:I?",
    "The q-th quantile, interpolated between neighbours.",
    "r{5}, .3\nr{2, 4}, .5, 2", function(x, q, dim, o)
      dim, o = dim_and_options(dim, o, { "dim:D", "keepdim:B" }, "quantile")
      if type(q) ~= "number" or not (q >= 0 and q <= 1) then
        fail("quantile: q must lie in [0, 1], not %s", tostring(q))
      end
      if dim == nil then x, dim = x:reshape(-1), 1 end
      local v, n = sd.sort(x, dim), x:size(dim)
      if n == 0 then fail "quantile: no elements" end
      local at = q * (n - 1)
      local low = math.floor(at)
      local a = v:narrow(dim, low + 1, 1)
      if at > low then
        a = sd.lerp(a, v:narrow(dim, low + 2, 1), at - low)
      end
      a = unless_nan(a, v, dim)
      return o.keepdim and a or a:squeeze(dim)
    end)
  define("histogram", "x bins=10",
    "Counts in equal bins and the bins' edges.", "r{20}, 5",
    function(x, bins, o)
      if type(bins) == "table" then bins, o = nil, bins end
      o = options(o, { "bins:I", "range:L" }, "histogram")
      bins = bins or o.bins or 10
      local low, high
      if o.range then
        low, high = o.range[1], o.range[2]
      else
        low, high = x:min():item(), x:max():item()
        if low == high then low, high = low - 0.5, high + 0.5 end
      end
      return core.ops.histogram_(x, bins, low, high),
             sd.linspace(low, high, bins + 1, { dtype = "f64" })
    end)
  define("topk", "x k:I dim:D=-1",
    "The k largest (or smallest) elements: values, indices.",
    "r{5}, 2\nr{2, 4}, 2, 1", function(x, k, dim, o)
      if type(dim) == "table" then dim, o = nil, dim end
      o = options(o, { "largest:B" }, "topk")
      dim = dim or -1
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

  -- ---- shape ---------------------------------------------------------------

  methods.view, sd.view = methods.reshape, sd.reshape
  methods.broadcast_to, sd.broadcast_to = methods.expand, sd.expand

  function methods.T(x)
    if not is_tensor(x) then fail("T: expected a tensor, got %s", type(x)) end
    if x.ndim < 2 then return x end
    return x:transpose(-2, -1)
  end
  sd.T = methods.T

  define("flatten", "x from:D=1 to:I=-1", "Dims from..to joined into one.",
    "r{2, 3, 2}, 2\nr{}", function(x, from, to)
      if type(from) == "table" then
        local o = options(from, { "start_dim:I", "end_dim:I", "from:I",
                                  "to:I" }, "flatten")
        from, to = o.start_dim or o.from, o.end_dim or o.to
      end
      local shape, n = x.shape, x.ndim
      if n == 0 then return x:reshape(1) end
      from, to = from or 1, to or -1
      if from < 0 then from = from + n + 1 end
      if to < 0 then to = to + n + 1 end
      if from < 1 or to > n or from > to then
        fail("flatten: dims %d to %d of %d", from, to, n)
      end
      local new, joined = {}, 1
      for d = 1, n do
        if d < from or d > to then
          new[#new + 1] = shape[d]
        else
          joined = joined * shape[d]
          if d == to then new[#new + 1] = joined end
        end
      end
      return x:reshape(new)
    end)
  -- A dim or a list of them, each counted from the front and once.
  local function dims_list(x, dims, what)
    local list, seen = {}, {}
    for i, d in ipairs(type(dims) == "table" and dims or { dims }) do
      list[i] = d < 0 and d + x.ndim + 1 or d
      if list[i] < 1 or list[i] > x.ndim or seen[list[i]] then
        fail("%s: dim %d of %d", what, d, x.ndim)
      end
      seen[list[i]] = true
    end
    return list
  end
  define("movedim", "x from:D to:D", "Dims put at other places.",
    "r{2, 3, 4}, 1, 3\nr{2, 3, 4}, {1, 2}, {3, 1}", function(x, from, to)
      local order, moved, at = {}, {}, 1
      from, to = dims_list(x, from, "movedim"), dims_list(x, to, "movedim")
      if #from ~= #to then
        fail("movedim: %d dims to %d places", #from, #to)
      end
      for i, d in ipairs(from) do order[to[i]], moved[d] = d, true end
      for d = 1, x.ndim do
        if not moved[d] then
          while order[at] do at = at + 1 end
          order[at] = d
        end
      end
      return x:permute(order)
    end)
  define("stack", "list:L dim:I=1", "Tensors of one shape along a new dim.",
    "{r{2, 3}, r{2, 3}}\n{r{2}, r{2}}, 2", function(list, dim)
      dim = dim or 1
      local items = {}
      for i, x in ipairs(list) do
        if not is_tensor(x) then x = sd.tensor(x) end
        items[i] = x:unsqueeze(dim)
      end
      if #items == 0 then fail "stack: the list is empty" end
      return sd.cat(items, dim)
    end)
  define("split", "x size:D dim:I=1",
    "Pieces of size (or of the sizes in a list) along dim.",
    "r{5, 2}, 2\nr{2, 5}, {2, 3}, 2", function(x, size, dim)
      dim = dim or 1
      local n, at, pieces = x:size(dim), 1, {}
      local sizes = size
      if type(size) == "number" then
        if size < 1 then fail("split: a size of %s", tostring(size)) end
        sizes = {}
        for i = 1, n, size do sizes[#sizes + 1] = math.min(size, n - i + 1) end
      end
      for i, s in ipairs(sizes) do
        pieces[i] = x:narrow(dim, at, s)
        at = at + s
      end
      if at ~= n + 1 then
        fail("split: sizes add up to %d of %d", at - 1, n)
      end
      return pieces
    end)
  define("chunk", "x n:I dim:I=1", "At most n pieces of equal size along dim.",
    "r{5, 2}, 2", function(x, n, dim)
      if n < 1 then fail("chunk: cannot make %d pieces", n) end
      local size = x:size(dim or 1)
      return sd.split(x, math.max(1, (size + n - 1) // n), dim)
    end)
  define("roll", "x shift:D dim:D?", "Shifted along dims, wrapping round.",
    "r{5}, 2\nr{2, 3}, -1, 2\nr{2, 3}, {1, 2}, {1, 2}",
    function(x, shift, dim)
      if type(dim) == "table" then
        local shifts = type(shift) == "table" and shift or { shift }
        if #shifts ~= #dim then
          fail("roll: %d shifts along %d dims", #shifts, #dim)
        end
        for i, d in ipairs(dim) do x = sd.roll(x, shifts[i], d) end
        return x
      end
      if type(shift) == "table" then
        if #shift ~= 1 then fail("roll: %d shifts along 1 dim", #shift) end
        shift = shift[1]
      end
      if dim == nil then
        return sd.roll(x:reshape(-1), shift, 1):reshape(x.shape)
      end
      local n = x:size(dim)
      if n == 0 then return x end
      local k = shift // 1 % n
      if k == 0 then return x end
      return sd.cat({ x:narrow(dim, n - k + 1, k),
                      x:narrow(dim, 1, n - k) }, dim)
    end)
  define("tile", "x repeats:D", "x repeated along each dim.",
    "r{2, 3}, 2, 1\nr{2}, {2, 2}", function(x, ...)
      local reps = { ... }
      if type(reps[1]) == "table" then
        reps = table.move(reps[1], 1, #reps[1], 1, {})
      end
      local shape = x.shape
      for _, r in ipairs(reps) do
        if not math.type(r) or math.tointeger(r) == nil or r < 0 then
          fail("tile: cannot repeat %s times", tostring(r))
        end
      end
      while #reps < #shape do table.insert(reps, 1, 1) end
      while #shape < #reps do table.insert(shape, 1, 1) end
      -- Each dim as (before, repeats, the rest), so that any number of dims
      -- goes through three.
      local before = 1
      for d, r in ipairs(reps) do
        local rest = 1
        for k = d, #shape do rest = rest * shape[k] end
        if r ~= 1 then
          x = x:reshape(before, 1, rest):expand(before, r, rest)
        end
        shape[d] = r * shape[d]
        x = x:reshape(shape)
        before = before * shape[d]
      end
      return x
    end)
  methods.repeat_, sd.repeat_ = methods.tile, sd.tile
  define("unfold", "x dim:I size:I step:I=1",
    "Windows of size along dim, as a new last dim.", "r{6}, 1, 3, 2",
    function(x, dim, size, step)
      step = step or 1
      if size < 1 or step < 1 or size > x:size(dim) then
        fail("unfold: windows of %d by steps of %d in %d elements", size,
             step, x:size(dim))
      end
      if dim < 0 then dim = dim + x.ndim + 1 end
      local n = (x:size(dim) - size) // step + 1
      local places = (sd.arange(0, n - 1) * step):unsqueeze(2) +
                     sd.arange(1, size)
      local y = x:index_select(dim, places:reshape(-1))
      local shape = x.shape
      shape[dim] = n
      table.insert(shape, dim + 1, size)
      return y:reshape(shape):movedim(dim + 1, -1)
    end)
  define("diag", "x k:I=0",
    "A vector as a diagonal matrix, or a matrix's diagonal.",
    "r{3}\nr{3, 4}\nr{3, 3}, 1", function(x, k)
      k = k or 0
      local down, right = math.max(-k, 0), math.max(k, 0)
      if x.ndim == 1 then
        -- Chosen, not multiplied by 0, which would spread NaN.
        local zero = sd.zeros({}, { dtype = x.dtype })
        local on = sd.eye(x:numel(), { dtype = "bool" })
        return sd.where(on, x:unsqueeze(2), zero)
               :pad { right, down, down, right }
      elseif x.ndim ~= 2 then
        fail("diag: needs a vector or a matrix, not %d dims", x.ndim)
      end
      local n = math.min(x:size(1) - down, x:size(2) - right)
      if n <= 0 then return sd.zeros({ 0 }, { dtype = x.dtype }) end
      return diagonal(x:narrow(1, down + 1, n):narrow(2, right + 1, n), 1, 2)
    end)
  define("scatter", "x dim:I index src:T",
    "x with src (a tensor or a number) laid at the places in index.",
    "r{3, 4}, 2, i(4, {3, 1}), r{3, 1}", function(x, dim, index, src)
      if not is_tensor(src) then
        src = sd.full(index.shape, src, { dtype = x.dtype })
      end
      if index:numel() == 0 then return x end
      -- Of the elements for one place the last stays.
      local last = core.ops.writer_(index, dim, x:size(dim))
      local laid = src:to(x.dtype):gather(dim, last:maximum(1))
      if core.same_shape(last, x) then
        return sd.where(last:gt(0), laid, x)
      end
      -- An index smaller than x beside dim leaves the rest.
      local part, y = {}, core.alias(x)
      for d = 1, x.ndim do part[d] = { 1, last:size(d) } end
      y[part] = sd.where(last:gt(0), laid, x[part])
      return y
    end)
  define("masked_fill", "x:T mask value:T", "x with value where mask is true.",
    "r{2, 3}, r{3}:gt(0), 2", function(x, mask, value)
      return sd.where(mask, value, x)
    end)
  define("one_hot", "labels classes:I?",
    "1 at the label (from 1), 0 elsewhere, along a new last dim.",
    "i(4, {3}), 4", function(labels, classes, o)
      if type(classes) == "table" then classes, o = nil, classes end
      o = options(o, { "dtype:S" }, "one_hot")
      classes = classes or labels:max():item()
      local at = labels:to("i64"):unsqueeze(-1)
      return core.ops.writer_(at, -1, classes, true)
                     :to(o.dtype or sd.default_dtype())
    end)
  --- Coordinates of a grid: meshgrid(x, y) gives two #x by #y tensors;
  --- with { indexing = "xy" } as a last argument #y by #x, as plots want.
  function sd.meshgrid(...)
    local xs, shape, n = { ... }, {}, select("#", ...)
    local o
    if type(xs[n]) == "table" then n, o, xs[n] = n - 1, xs[n], nil end
    local how = options(o, { "indexing:S" }, "meshgrid").indexing or "ij"
    if how ~= "ij" and how ~= "xy" then
      fail("meshgrid: indexing is 'ij' or 'xy', not '%s'", how)
    end
    for i = 1, n do
      if not is_tensor(xs[i]) then
        fail("meshgrid: argument %d is a %s, not a tensor", i, type(xs[i]))
      end
    end
    for i, x in ipairs(xs) do shape[i] = x:numel() end
    for i, x in ipairs(xs) do
      local s = {}
      for d = 1, #xs do s[d] = d == i and shape[i] or 1 end
      xs[i] = x:reshape(s):expand(shape)
      if how == "xy" and #xs > 1 then xs[i] = xs[i]:transpose(1, 2) end
    end
    return table.unpack(xs)
  end

  -- ---- products ------------------------------------------------------------

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
  define("cross", "x y", "Cross product along the last dim (of 3).",
    "r{3}, r{3}\nr{2, 3}, r{2, 3}", function(x, y)
      if x:size(-1) ~= 3 or y:size(-1) ~= 3 then
        fail "cross: the last dim must have 3 elements"
      end
      return sd.roll(x, -1, -1) * sd.roll(y, -2, -1) -
             sd.roll(x, -2, -1) * sd.roll(y, -1, -1)
    end)
  define("kron", "x y", "Kronecker product of two matrices.",
    "r{2, 2}, r{1, 3}", function(x, y)
      local a, b = x.shape, y.shape
      local z = x:reshape(a[1], 1, a[2], 1) * y:reshape(1, b[1], 1, b[2])
      return z:reshape(a[1] * b[1], a[2] * b[2])
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

  local function last_dim(dim, o, what)
    if type(dim) == "table" then dim, o = nil, dim end
    return dim or options(o, { "dim:D" }, what).dim or -1
  end
  define("softmax", "x dim=-1", "exp(x) as shares of its sum along dim.",
    "r{2, 3}\nr{2, 3}, 1", function(x, dim, o)
      dim = last_dim(dim, o, "softmax")
      local m = sd.stop_gradient(sd.amax(x, dim, { keepdim = true }))
      local e = sd.exp(x - m)
      return e / sd.sum(e, dim, { keepdim = true })
    end)
  define("log_softmax", "x dim=-1", "log(softmax(x)), exact for small shares.",
    "r{2, 3}\nr{2, 3}, 1", function(x, dim, o)
      dim = last_dim(dim, o, "log_softmax")
      local m = sd.stop_gradient(sd.amax(x, dim, { keepdim = true }))
      local z = x - m
      return z - sd.log(sd.sum(sd.exp(z), dim, { keepdim = true }))
    end)

  require "saddle.pad" (sd, methods, core, about)
  require "saddle.loss" (sd, define, options, core.ops)
  sd.about = about
  for name, entry in pairs(core.about) do about[name] = about[name] or entry end
end
