-- Pictures of handwritten digits, drawn: the built-in stand-in for MNIST.
-- The points of a glyph are moved at random, strokes through them are cut
-- into straight segments, and a pixel is as bright as it is near to one.
-- Everything is a tensor op over many pictures at once.

local glyphs = require "saddle.data.glyphs"
local options = require "saddle.data.options"
local sd = require "saddle.init"

local SIDE = 28
local UNIT = 10     -- pixels: digits are 20 high, as in MNIST
local CUTS = 2      -- segments of a curve between two of its points
local CHUNK = 500  -- pictures drawn at once

-- How far poses go; see pose.
local ROTATION, SLANT, SHIFT, WARP = .25, .3, .26, .06

-- ---- strokes as matrices ------------------------------------------------

local function row(n)
  local r = {}
  for i = 1, n do r[i] = 0 end
  return r
end

-- Adds the weights of a point at u in [0, 1] between stroke[k] and its
-- successor to r.
local function weigh(r, stroke, k, u)
  local n = #stroke
  local function add(i, w)
    if stroke.closed then i = (i - 1) % n + 1 end
    i = math.max(1, math.min(n, i))
    r[stroke[i]] = r[stroke[i]] + w
  end
  if not stroke.curved then
    add(k, 1 - u)
    add(k + 1, u)
    return
  end
  -- The uniform spline of E. Catmull, R. Rom, 1974, with tension 1/2.
  add(k - 1, (-u + 2 * u ^ 2 - u ^ 3) / 2)
  add(k, (2 - 5 * u ^ 2 + 3 * u ^ 3) / 2)
  add(k + 1, (u + 4 * u ^ 2 - 3 * u ^ 3) / 2)
  add(k + 2, (-u ^ 2 + u ^ 3) / 2)
end

-- Matrices from a style's points to the starts and the ends of its
-- segments, each {segments, points}.
local function matrices(style)
  local starts, ends, n = {}, {}, #style.points
  for _, stroke in ipairs(style.strokes) do
    local cuts = stroke.curved and CUTS or 1
    for k = 1, stroke.closed and #stroke or #stroke - 1 do
      for j = 1, cuts do
        local from, to = row(n), row(n)
        weigh(from, stroke, k, (j - 1) / cuts)
        weigh(to, stroke, k, j / cuts)
        starts[#starts + 1], ends[#ends + 1] = from, to
      end
    end
  end
  local f32 = { dtype = "f32" }
  return sd.tensor(starts, f32), sd.tensor(ends, f32)
end

-- ---- pictures -----------------------------------------------------------

local function between(low, high, shape, source)
  return low + (high - low) * sd.rand(shape, source)
end

-- For each of n pictures a 2 x 2 matrix that scales, slants and turns
-- (points are rows), and a shift.
local function pose(n, source)
  local one = { n, 1 }
  local angle = between(-ROTATION, ROTATION, one, source)
  local slant = between(-SLANT, SLANT, one, source)
  local wide = between(.75, 1.15, one, source)
  local high = between(.8, 1.08, one, source)
  local c, s = sd.cos(angle), sd.sin(angle)
  local across = sd.cat({ wide * c, wide * s }, 2)
  local down = sd.cat({ -high * (s + slant * c), high * (c - slant * s) }, 2)
  return sd.stack({ across, down }, 2),
         between(-SHIFT, SHIFT, { n, 1, 2 }, source)
end

-- The squared distance of every pixel from the nearest segment a to b, all
-- in pixels; a and b are {n, segments, 2}, the result {n, SIDE, SIDE}.
-- Along and across a segment a pixel's place is a sum of a term of its
-- column and a term of its row; the engine makes one loop of the whole.
local function nearest(a, b)
  local d, middle = b - a, (a + b) / 2
  local length = sd.sqrt(sd.square(d):sum(3, { keepdim = true }) + 1e-6)
  local function x_of(t) return t:narrow(3, 1, 1) end
  local function y_of(t) return t:narrow(3, 2, 1) end
  local pixels = sd.arange(1, SIDE):to "f32"
  local x, y = pixels - x_of(middle), pixels - y_of(middle)
  local ux, uy = x_of(d / length), y_of(d / length)
  local terms = sd.eval { x = x * ux, y = y * uy, across_x = x * uy,
                          across_y = y * ux, half = length / 2 }
  local least
  for s = 1, a:size(2) do
    local function columns(t) return t:narrow(2, s, 1) end
    local function rows(t) return columns(t):transpose(2, 3) end
    local along = columns(terms.x) + rows(terms.y)
    local across = columns(terms.across_x) - rows(terms.across_y)
    local beyond = sd.relu(sd.abs(along) - columns(terms.half))
    local square = sd.square(across) + sd.square(beyond)
    least = least and sd.minimum(least, square) or square
  end
  return least
end

local function draw(style, n, noise, source)
  local points = sd.tensor(style.points, { dtype = "f32" })
  points = points + WARP * sd.randn({ n, #style.points, 2 }, source)
  local turn, shift = pose(n, source)
  points = (points:matmul(turn) + shift) * UNIT + (SIDE + 1) / 2
  local d = sd.sqrt(nearest(style.starts:matmul(points),
                            style.ends:matmul(points)))
  local radius = between(.7, 1.6, { n, 1, 1 }, source)
  local x = sd.clamp(radius + .5 - d, 0, 1)
  if noise > 0 then
    x = sd.clamp(x + noise * sd.randn({ n, SIDE, SIDE }, source), 0, 1)
  end
  return sd.eval(x)
end

local function prepare(style)
  if not style.starts then style.starts, style.ends = matrices(style) end
  return style
end

-- Appends n pictures of a style to list.
local function add_pictures(list, style, n, noise, source)
  prepare(style)
  while n > 0 do
    local part = math.min(n, CHUNK)
    list[#list + 1] = draw(style, part, noise, source)
    n = n - part
  end
end

-- n as k whole numbers that differ by at most one: the i-th.
local function share(n, k, i) return n // k + (i <= n % k and 1 or 0) end

--- n drawn digits as { x = {n, 1, 28, 28} in [0, 1], y = labels, classes =
--- 10 }, shuffled; digit d has the label d + 1, all are equally frequent.
--- noise (0.1) is the standard deviation of each pixel.
---
--- ```lua
--- local train = sd.data.digits{ n = 100, seed = 1 }
--- print(train.x, train.y)
--- ```
---@param o? { n: integer, noise: number, seed: integer }
---@return table
return function(o)
  o = sd.check_options(o, { "n", "noise", "seed" }, "digits")
  local n = options.whole(o.n, 2000, 1, "digits: n")
  local noise = options.number(o.noise, .1, 0, "digits: noise")
  local source = options.source(o.seed)
  local pictures, labels = {}, {}
  for label, styles in ipairs(glyphs) do
    local count = share(n, #glyphs, label)
    for i, style in ipairs(styles) do
      add_pictures(pictures, style, share(count, #styles, i), noise, source)
    end
    if count > 0 then
      labels[#labels + 1] = sd.full({ count }, label, { dtype = "i64" })
    end
  end
  local order = sd.randperm(n, { generator = source.generator })
  local x = sd.cat(pictures, 1):index_select(1, order)
  local y = sd.cat(labels, 1):index_select(1, order)
  return sd.eval { x = x:unsqueeze(2), y = y, classes = #glyphs }
end
