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
local CHUNK = 2000  -- pictures times segments drawn at once: 6 MB a tensor

-- How far poses go; see pose.
local ROTATION, SLANT, SHIFT, WARP = .25, .3, .16, .045

-- ---- strokes as matrices -----------------------------------------------------

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

-- ---- pictures ------------------------------------------------------------------

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
-- column and a term of its row.
local function nearest(a, b)
  local n, segments = a:size(1), a:size(2)
  local d, middle = b - a, (a + b) / 2
  local length = sd.sqrt(sd.square(d):sum(3, { keepdim = true }) + 1e-6)
  local unit = d / length
  local place = sd.arange(1, SIDE, { dtype = "f32" })
  local function part(t, k)
    return t:narrow(3, k, 1)
  end
  local x = place:reshape(1, 1, SIDE) - part(middle, 1)
  local y = place:reshape(1, 1, SIDE) - part(middle, 2)
  local function column(t) return t:reshape(n, segments, 1, SIDE) end
  local function line(t) return t:reshape(n, segments, SIDE, 1) end
  local ux, uy = part(unit, 1), part(unit, 2)
  local along = column(x * ux) + line(y * uy)
  local across = column(x * uy) - line(y * ux)
  local half = (length / 2):reshape(n, segments, 1, 1)
  local beyond = sd.relu(sd.abs(along) - half)
  return sd.amin(sd.square(across) + sd.square(beyond), 2)
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
  local most = CHUNK // style.starts:size(1)
  while n > 0 do
    local part = math.min(n, most)
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
