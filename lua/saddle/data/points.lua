-- Classes of points. Except in xor, example i belongs to class
-- (i - 1) % classes + 1, so that any part of a set is balanced. noise is
-- the standard deviation of each coordinate.

local fail = require "saddle.fail"
local options = require "saddle.data.options"
local sd = require "saddle.init"

local points = {}

-- The options every set of points has, checked, and its random source.
local function read(o, extra, noise, what)
  local known = { "n", "noise", "seed", table.unpack(extra) }
  o = sd.check_options(o, known, what)
  return options.whole(o.n, 1000, 1, what .. ": n"),
         options.number(o.noise, noise, 0, what .. ": noise"),
         options.source(o.seed), o
end

-- Labels 1 .. classes in turn.
local function labels(n, classes)
  return sd.arange(0, n - 1, { dtype = "i64" }) % classes + 1
end

local function set(x, y, classes, noise, source)
  if noise > 0 then x = x + noise * sd.randn(x.shape, source) end
  return sd.eval { x = x, y = y, classes = classes }
end

local function polar(radius, angle)
  return sd.stack({ radius * sd.cos(angle), radius * sd.sin(angle) }, 2)
end

--- Arms that wind once around the origin, out to radius 1.
---
--- ```lua
--- local train = sd.data.spirals{ n = 300, arms = 3, seed = 1 }
--- ```
---@param o? table n (1000), arms (2), noise (0.02), seed (1)
function points.spirals(o)
  local n, noise, source
  n, noise, source, o = read(o, { "arms" }, .02, "spirals")
  local arms = options.whole(o.arms, 2, 1, "spirals: arms")
  local y = labels(n, arms)
  local radius = sd.sqrt(sd.rand({ n }, source))
  local start = (y:to "f32" - 1) * (2 * math.pi / arms)
  return set(polar(radius, 2 * math.pi * radius + start), y, arms, noise,
             source)
end

--- Two half circles of radius 1 that reach into each other.
---@param o? table n (1000), noise (0.1), seed (1)
function points.moons(o)
  local n, noise, source = read(o, {}, .1, "moons")
  local y = labels(n, 2)
  local p = polar(1, math.pi * sd.rand({ n }, source))
  local upper = y:eq(1):unsqueeze(2)
  local across = sd.tensor({ 1, .5 }, { dtype = "f32" })
  return set(sd.where(upper, p, across - p), y, 2, noise, source)
end

--- A circle of radius 1 and one inside it, of radius factor.
---@param o? table n (1000), factor (0.5), noise (0.1), seed (1)
function points.circles(o)
  local n, noise, source
  n, noise, source, o = read(o, { "factor" }, .1, "circles")
  local factor = options.number(o.factor, .5, 0, "circles: factor")
  local y = labels(n, 2)
  local radius = sd.where(y:eq(1), 1, factor):to "f32"
  local angle = 2 * math.pi * sd.rand({ n }, source)
  return set(polar(radius, angle), y, 2, noise, source)
end

-- A tensor of centers as it is, else that many drawn from [-5, 5].
local function blob_centers(o, source)
  if type(o.centers) ~= "table" and not sd.is_tensor(o.centers) then
    local k = options.whole(o.centers, 3, 1, "blobs: centers")
    local dim = options.whole(o.dim, 2, 1, "blobs: dim")
    return 10 * sd.rand({ k, dim }, source) - 5
  end
  local c = sd.tensor(o.centers):to "f32"
  if c.ndim ~= 2 then
    fail("blobs: centers must be a number or {classes, dim}, not shape {%s}",
         table.concat(c.shape, ", "))
  end
  if o.dim and o.dim ~= c:size(2) then
    fail("blobs: dim is %s but centers have %d coordinates",
         tostring(o.dim), c:size(2))
  end
  return c
end

--- Normal clouds around centers: a number of them, or a tensor {classes,
--- dim}. The result has them as .truth.centers.
---@param o? table n (1000), centers (3), std (1), dim (2), seed (1)
function points.blobs(o)
  o = sd.check_options(o, { "n", "centers", "std", "dim", "seed" }, "blobs")
  local n = options.whole(o.n, 1000, 1, "blobs: n")
  local std = options.number(o.std, 1, 0, "blobs: std")
  local source = options.source(o.seed)
  local centers = blob_centers(o, source)
  local y = labels(n, #centers)
  local out = set(centers:index_select(1, y), y, #centers, std, source)
  out.truth = sd.eval { centers = centers }
  return out
end

--- The square [-1, 1]^2: class 2 where the coordinates' signs differ.
---@param o? table n (1000), noise (0, added after labelling), seed (1)
function points.xor(o)
  local n, noise, source = read(o, {}, 0, "xor")
  local x = 2 * sd.rand({ n, 2 }, source) - 1
  local y = x:prod(2):lt(0):to "i64" + 1
  return set(x, y, 2, noise, source)
end

return points
