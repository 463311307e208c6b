-- Figures of a field z over x and y, read from their options: heatmap,
-- contour, surface, image. z[i][j] lies at x[j], y[i]. What is drawn is the
-- height h: z clipped, and its logarithm to base 10 when log is set.

local axes = require "saddle.plot.axes"
local curves = require "saddle.plot.curves"
local data = require "saddle.plot.data"
local fail = require "saddle.fail"
local isolines = require "saddle.plot.isolines"
local options_of = require "saddle.plot.options"
local ticks = require "saddle.plot.ticks"

local COMMON = { title = "string", xlabel = "string", ylabel = "string",
  zlabel = "string", size = "data", note = "string", x = "data", y = "data",
  z = "data", log = "boolean", clip = "number", zrange = "range",
  palette = { "coolwarm", "viridis", "gray" } }

local KNOWN = {
  heatmap = options_of.merge(COMMON, { annotate = "boolean",
    path = "data" }),
  contour = options_of.merge(COMMON, { levels = "any", path = "data",
    labels = "boolean" }),
  surface = options_of.merge(COMMON, { levels = "any", path = "data",
    view = "data" }),
  image = { title = "string", z = "data", size = "data", zrange = "range",
    palette = COMMON.palette, note = "string" },
}

local SIZES = { heatmap = { 560, 460 }, contour = { 560, 460 },
  surface = { 680, 540 }, image = { 300, 300 } }

-- ---- heights -------------------------------------------------------------

local function all_of(matrix)
  local all = {}
  for _, row in ipairs(matrix) do
    table.move(row, 1, #row, #all + 1, all)
  end
  return all
end

local function map(matrix, f)
  local out = {}
  for i, row in ipairs(matrix) do
    out[i] = {}
    for j = 1, #row do out[i][j] = f(row[j]) end
  end
  return out
end

local function add_note(figure, text)
  figure.note = figure.note and figure.note .. "; " .. text or text
end

local function clip(figure, what, quantile)
  if not quantile then return end
  if not (quantile > 0 and quantile <= 1) then
    fail("%s: clip is a quantile in (0, 1], got %g", what, quantile)
  end
  local _, largest = data.extent(figure.z)
  local top = data.quantile(all_of(figure.z), quantile)
  if not top or top >= largest then return end
  figure.z = map(figure.z, function(z) return z > top and top or z end)
  add_note(figure, ("clipped at %.4g, the %g %% quantile; the largest is %.4g")
    :format(top, quantile * 100, largest))
end

local function logarithm(z)
  return z > 0 and math.log(z, 10) or 0 / 0
end

local function count_holes(figure)
  local holes = 0
  for _, h in ipairs(all_of(figure.h)) do
    if not data.is_finite(h) then holes = holes + 1 end
  end
  return holes
end

local function set_heights(figure, what, options)
  figure.z = data.matrix(options.z, what .. ": z")
  clip(figure, what, options.clip)
  figure.log = options.log
  figure.h = options.log and map(figure.z, logarithm) or figure.z
  local holes = count_holes(figure)
  if holes > 0 then
    add_note(figure, ("%d of %d values are %s and left blank"):format(holes,
      #figure.z * #figure.z[1], options.log and "not finite or not above 0"
      or "not finite"))
  end
end

local function set_range(figure, what, zrange)
  local low, high = data.extent(figure.h)
  low, high = low or 0, high or 1
  if zrange then
    low, high = zrange[1], zrange[2]
    if figure.log and low <= 0 then
      fail("%s: zrange must be above zero when log is set", what)
    end
    if figure.log then low, high = math.log(low, 10), math.log(high, 10) end
  end
  if high == low then low, high = low - 0.5, high + 0.5 end
  figure.hrange = { low, high }
end

--- Round heights for a colour bar or axis, with labels in terms of z.
---@param figure table
---@param n integer
---@return { at: number, label: string }[]
local function height_ticks(figure, n)
  local low, high = figure.hrange[1], figure.hrange[2]
  if not figure.log then return ticks.linear(low, high, n) end
  local found = ticks.log(10 ^ low, 10 ^ high, n)
  for _, tick in ipairs(found) do tick.at = math.log(tick.at, 10) end
  return found
end

-- ---- coordinates ---------------------------------------------------------

local function increasing(what, name, xs)
  for i = 2, #xs do
    local step = xs[i] - xs[i - 1]
    if not data.is_finite(step) or step <= 0 then
      fail("%s: %s must increase from entry to entry", what, name)
    end
  end
end

local function set_grid(figure, what, options)
  for name, n in pairs{ x = #figure.z[1], y = #figure.z } do
    local given = options[name]
    local at = given and data.list(given, what .. ": " .. name)
      or data.linspace(1, n, n)
    if #at ~= n then
      fail("%s: %s has %d numbers for z of %d rows and %d columns", what,
        name, #at, #figure.z, #figure.z[1])
    end
    increasing(what, name, at)
    figure[name] = at
  end
  if #figure.x < 2 or #figure.y < 2 then
    fail("%s: z needs at least 2 rows and 2 columns", what)
  end
  figure.xrange = { figure.x[1], figure.x[#figure.x] }
  figure.yrange = { figure.y[1], figure.y[#figure.y] }
end

-- The index of the cell of a sorted list that a value lies in.
local function cell_of(xs, value)
  local low, high = 1, #xs
  while high - low > 1 do
    local middle = (low + high) // 2
    if value >= xs[middle] then low = middle else high = middle end
  end
  return low
end

--- The height over a point, bilinear; NaN beside a hole.
---@param figure table
---@param x number
---@param y number
---@return number
local function height_at(figure, x, y)
  local j, i = cell_of(figure.x, x), cell_of(figure.y, y)
  local s = axes.share(x, { figure.x[j], figure.x[j + 1] })
  local t = axes.share(y, { figure.y[i], figure.y[i + 1] })
  local below, above = figure.h[i], figure.h[i + 1]
  return (1 - t) * ((1 - s) * below[j] + s * below[j + 1])
    + t * ((1 - s) * above[j] + s * above[j + 1])
end

local function inside(range, value)
  return value >= range[1] and value <= range[2]
end

local function set_path(figure, what, path)
  if not path then return end
  options_of.check(what .. ": path", path, { x = "data", y = "data",
    name = "string" })
  if not path.x or not path.y then fail("%s: path needs x and y", what) end
  local xs = data.list(path.x, what .. ": path.x")
  local ys = data.list(path.y, what .. ": path.y")
  if #xs ~= #ys then
    fail("%s: path.x has %d numbers, path.y has %d", what, #xs, #ys)
  end
  figure.path = { x = xs, y = ys, h = {}, name = path.name }
  if figure.kind == "heatmap" then return end -- flat: heights are not asked
  for i = 1, #xs do
    local seen = inside(figure.xrange, xs[i]) and inside(figure.yrange, ys[i])
    figure.path.h[i] = seen and height_at(figure, xs[i], ys[i]) or 0 / 0
  end
end

-- ---- contours ------------------------------------------------------------

local function given_levels(figure, what, levels)
  local found = data.list(levels, what .. ": levels")
  for i, level in ipairs(found) do
    if figure.log then found[i] = math.log(level, 10) end
  end
  table.sort(found)
  return found
end

local function level_label(figure, level, step)
  if figure.log then return ticks.label(10 ^ level) end
  return ticks.label(level, step)
end

local function set_contours(figure, what, levels)
  local low, high = figure.hrange[1], figure.hrange[2]
  local at
  if levels and type(levels) ~= "number" then
    at = given_levels(figure, what, levels)
  else
    at = isolines.levels(low, high, math.max(1, levels or 10))
  end
  figure.step = #at > 1 and at[2] - at[1] or high - low
  figure.even = not levels or type(levels) == "number"
  figure.contours = {}
  for i, level in ipairs(at) do
    figure.contours[i] = { at = level, lines = isolines.trace(figure, level),
      label = level_label(figure, level, figure.step) }
  end
end

-- ---- the kinds -----------------------------------------------------------

local function new_figure(kind, options)
  local what = "plot." .. kind
  options_of.check(what, options, KNOWN[kind])
  if options.z == nil then fail("%s: z is needed", what) end
  return {
    kind = kind, title = options.title, xlabel = options.xlabel,
    ylabel = options.ylabel, zlabel = options.zlabel, note = options.note,
    size = curves.read_size(what, options.size, SIZES[kind]),
    palette = options.palette or "coolwarm",
  }, what
end

local function landscape(kind, options)
  local figure, what = new_figure(kind, options)
  set_heights(figure, what, options)
  set_grid(figure, what, options)
  set_range(figure, what, options.zrange)
  set_path(figure, what, options.path)
  set_contours(figure, what, options.levels)
  return figure, what
end

local function contour(options)
  local figure = landscape("contour", options)
  figure.labels = options.labels ~= false
  return figure
end

local function surface(options)
  local figure, what = landscape("surface", options)
  figure.view = data.list(options.view or { 56, 36 }, what .. ": view")
  return figure
end

local function evenly_spaced(xs)
  local step = xs[2] and (xs[#xs] - xs[1]) / (#xs - 1) or 1
  for i = 2, #xs do
    if math.abs(xs[i] - xs[i - 1] - step) > 1e-3 * math.abs(step) then
      return false
    end
  end
  return step > 0
end

local function is_numeric(list)
  for _, v in ipairs(list) do
    if type(v) ~= "number" then return false end
  end
  return true
end

local function name_cells(list)
  local names = {}
  for i, v in ipairs(list) do
    names[i] = type(v) == "number" and ticks.label(v) or tostring(v)
  end
  return names
end

-- Cells are of one size: evenly spaced numbers keep a numeric axis, anything
-- else (words, learning rates) names the cells.
local function set_cells(figure, what, name, given, n)
  local list = data.plain(given or data.linspace(1, n, n))
  if #list ~= n then
    fail("%s: %s has %d entries for z of %d rows and %d columns", what, name,
      #list, #figure.z, #figure.z[1])
  end
  local numeric = given and n > 1 and is_numeric(list) and evenly_spaced(list)
  figure[name] = numeric and list or data.linspace(1, n, n)
  figure[name .. "_names"] = not numeric and name_cells(list) or nil
  local half = numeric and (list[n] - list[1]) / (n - 1) / 2 or 0.5
  figure[name .. "range"] = { figure[name][1] - half, figure[name][n] + half }
end

local function heatmap(options)
  local figure, what = new_figure("heatmap", options)
  set_heights(figure, what, options)
  set_cells(figure, what, "x", options.x, #figure.z[1])
  set_cells(figure, what, "y", options.y, #figure.z)
  set_range(figure, what, options.zrange)
  figure.palette = options.palette or "viridis"
  figure.annotate = options.annotate
  if figure.annotate == nil then
    figure.annotate = #figure.z * #figure.z[1] <= 144
  end
  set_path(figure, what, options.path)
  return figure
end

-- Colour images are {3, height, width}, in [0, 1] or 0 to 255.
local function channels_of(what, z)
  local t = data.squeeze(data.plain(z), 3)
  local first = data.plain(t[1])
  local flat = type(first) ~= "table"
    or type(data.plain(first[1])) ~= "table"
  if flat or #t == 1 then return nil end
  if #t ~= 3 then
    fail("%s: an image has 1 or 3 channels, got %d", what, #t)
  end
  local planes = {}
  for c = 1, 3 do planes[c] = data.matrix(t[c], what .. ": z") end
  return planes
end

local function image(options)
  local figure, what = new_figure("image", options)
  figure.palette = options.palette or "gray"
  figure.rgb = channels_of(what, options.z)
  figure.z = figure.rgb and figure.rgb[1] or data.matrix(options.z,
    what .. ": z")
  figure.h = figure.z
  set_cells(figure, what, "x", nil, #figure.z[1])
  set_cells(figure, what, "y", nil, #figure.z)
  set_range(figure, what, options.zrange)
  if figure.rgb and not options.zrange then
    local _, high = data.extent(all_of(figure.rgb))
    figure.hrange = { 0, (high or 1) > 1.5 and 255 or 1 }
  end
  return figure
end

return {
  contour = contour,
  heatmap = heatmap,
  height_at = height_at,
  height_ticks = height_ticks,
  image = image,
  surface = surface,
}
