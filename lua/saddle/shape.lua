-- Functions and methods that move elements about: shapes, pieces, places.

local fail = require "saddle.fail"
local diagonal = require "saddle.diagonal"

return function(sd, methods, core, define, options)
  local is_tensor = core.is_tensor

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
end
