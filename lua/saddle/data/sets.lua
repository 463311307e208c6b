-- Parts of data sets. A field of a set is per example when it is a tensor
-- with as many rows as x; other fields (classes, names) belong to the whole.

local fail = require "saddle.fail"
local sd = require "saddle.init"

local sets = {}

local function rows_of(data, what)
  local x = type(data) == "table" and data.x
  if not sd.is_tensor(x) or x.ndim == 0 then
    fail("%s: needs a table { x = tensor, y = ... } of examples, not %s",
         what, type(data) == "table" and "one without x" or type(data))
  end
  if sd.is_tensor(data.y) and (data.y.ndim == 0 or #data.y ~= #x) then
    fail("%s: x has %d rows, y has the shape {%s}", what, #x,
         table.concat(data.y.shape, ", "))
  end
  return #x
end

-- f of every per-example field, the rest as it is.
local function map(data, n, f)
  local out = {}
  for key, v in pairs(data) do
    local rows = sd.is_tensor(v) and v.ndim > 0 and #v == n
    out[key] = rows and f(v) or v
  end
  return out
end

local function random_order(n, o)
  local generator = o.generator or o.seed and sd.generator(o.seed)
  return sd.randperm(n, generator and { generator = generator })
end

-- Sizes of parts that are shares of n; what rounding leaves of shares that
-- make 1 goes to the last part.
local function share_sizes(parts, total, n)
  local sizes, used = {}, 0
  for i, p in ipairs(parts) do
    sizes[i] = math.floor(p * n + 1e-9)
    used = used + sizes[i]
  end
  if total > 1 - 1e-9 then sizes[#sizes] = sizes[#sizes] + n - used end
  return sizes
end

local function part_sizes(parts, n)
  if type(parts) ~= "table" or #parts == 0 then
    fail "split: needs the parts' shares or sizes, such as {0.8, 0.2}"
  end
  local total, whole = 0, true
  for i, p in ipairs(parts) do
    if type(p) ~= "number" or p ~= p or p < 0 then
      fail("split: part %d is %s, not a share or a size", i, tostring(p))
    end
    total, whole = total + p, whole and math.tointeger(p) ~= nil
  end
  local float = math.type(total) == "float"
  if float and total < 1 + 1e-9 then return share_sizes(parts, total, n) end
  if not whole then
    fail("split: {%s} are neither shares, which add up to 1 or less, nor "
      .. "whole sizes", table.concat(parts, ", "))
  elseif total > n then
    fail("split: the parts need %d examples, there are %d", total, n)
  end
  local sizes = {}
  for i, p in ipairs(parts) do sizes[i] = math.tointeger(p) end
  return sizes
end

--- Disjoint random parts of a set, of the given shares ({0.8, 0.2}) or
--- sizes ({800, 200}).
---
--- ```lua
--- local all = sd.data.moons{ n = 100 }
--- local train, test = sd.data.split(all, { 0.8, 0.2 }, { seed = 1 })
--- ```
---@param data table
---@param parts number[]
---@param o? table seed (1), generator, shuffle (true)
---@return table ... one set for each part
function sets.split(data, parts, o)
  o = sd.check_options(o, { "seed", "generator", "shuffle" }, "split")
  local n = rows_of(data, "split")
  local sizes = part_sizes(parts, n)
  local order = o.shuffle ~= false and
    random_order(n, { seed = o.seed or 1, generator = o.generator })
  local out, from = {}, 1
  for i, size in ipairs(sizes) do
    local at = from
    local places = order and size > 0 and order:narrow(1, at, size)
    out[i] = map(data, n, function(v)
      if places then return v:index_select(1, places) end
      return v:narrow(1, size > 0 and at or 1, size)
    end)
    from = from + size
  end
  return table.unpack(sd.eval(out))
end

-- Over examples and places in them: of each channel of images, of each
-- feature of vectors.
local function measure(x)
  local dims = { 1 }
  for d = 3, x.ndim do dims[#dims + 1] = d end
  local o = { keepdim = true, correction = 0 }
  local std = x:std(dims, o)
  return sd.eval { mean = x:mean(dims, { keepdim = true }),
                   std = sd.where(std:gt(0), std, 1) }
end

--- The set with x shifted and scaled to mean 0 and standard deviation 1 in
--- each channel ({n, channel, ...}) or feature, and the statistics used.
--- Given the training set's statistics, a test set is scaled alike.
---
--- ```lua
--- local all = sd.data.blobs{ n = 100 }
--- local train, test = sd.data.split(all, { 80, 20 })
--- local scaled, stats = sd.data.normalize(train)
--- test = sd.data.normalize(test, stats)
--- ```
---@param data table
---@param stats? { mean: any, std: any }
---@return table data, table stats
function sets.normalize(data, stats)
  local n = rows_of(data, "normalize")
  stats = stats or measure(data.x)
  if type(stats) ~= "table" or not stats.mean or not stats.std then
    fail "normalize: statistics are a table { mean =, std = }"
  end
  local out = map(data, n, function(v) return v end)
  out.x = sd.eval((data.x - stats.mean) / stats.std)
  return out, stats
end

local function batch_size(o, n)
  local size = o.size == nil and 128 or math.tointeger(o.size)
  if not size or size < 1 then
    fail("batches: size must be a whole number of at least 1, not %s",
         tostring(o.size))
  end
  return math.min(size, n)
end

--- Iterates over a set in batches: i and { x =, y = } of up to size rows.
--- Shuffled anew by the default generator, or by a seed or generator.
---
--- ```lua
--- local train = sd.data.moons{ n = 300 }
--- for i, batch in sd.data.batches(train, { size = 100, seed = 1 }) do
---   print(i, batch.x.shape[1])
--- end
--- ```
---@param data table
---@param o? table size (128), shuffle (true), seed, generator, drop_last
---(false)
---@return fun(): integer?, table?
function sets.batches(data, o)
  o = sd.check_options(o, { "size", "shuffle", "seed", "generator",
                            "drop_last" }, "batches")
  local n = rows_of(data, "batches")
  local size = batch_size(o, n)
  local order = o.shuffle ~= false and n > 0 and sd.eval(random_order(n, o))
  local i, from = 0, 1
  return function()
    local count = math.min(size, n - from + 1)
    if count < 1 or o.drop_last and count < size then return nil end
    local places = order and order:narrow(1, from, count)
    local batch = map(data, n, function(v)
      if places then return v:index_select(1, places) end
      return v:narrow(1, from, count)
    end)
    i, from = i + 1, from + count
    return i, sd.eval(batch)
  end
end

return sets
