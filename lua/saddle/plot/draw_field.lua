-- Figures of fields in gnuplot's words; see field.lua for what they hold.

local axes = require "saddle.plot.axes"
local data = require "saddle.plot.data"
local field = require "saddle.plot.field"
local frame = require "saddle.plot.frame"
local number = require("saddle.plot.paper").number
local palette = require "saddle.plot.palette"
local quote = require("saddle.plot.paper").quote
local smooth = require "saddle.plot.smooth"
local ticks = require "saddle.plot.ticks"

local function palette_text(name)
  local stops = {}
  for i, colour in ipairs(palette.maps[name]) do
    stops[i] = ("%d '%s'"):format(i - 1, colour)
  end
  return "set palette defined (" .. table.concat(stops, ", ") .. ")"
end

-- A palette of n flat colours, each the map's at the middle of its band.
local function banded_text(name, n)
  local stops = {}
  for k = 1, n do
    local r, g, b = palette.at(name, n == 1 and 0.5 or (k - 1) / (n - 1))
    local colour = ("'#%02X%02X%02X'"):format(r, g, b)
    stops[2 * k - 1] = ("%d %s"):format(k - 1, colour)
    stops[2 * k] = ("%d %s"):format(k, colour)
  end
  return "set palette defined (" .. table.concat(stops, ", ") .. ")"
end

local function colour_bar(paper, figure)
  paper.add(palette_text(figure.palette))
  paper.add("set cbrange %s", frame.range_text(figure.hrange))
  paper.add("set cbtics %s scale 0.4",
    frame.tick_list(field.height_ticks(figure, 6)))
  paper.add("set colorbox noborder")
  if figure.zlabel then
    paper.add("set cblabel %s noenhanced textcolor rgb '#333333'",
      quote(figure.zlabel))
  end
end

-- x y height, with an empty line after each row of the grid.
local function grid_rows(figure, matrix)
  local rows = {}
  for i, y in ipairs(figure.y) do
    for j, x in ipairs(figure.x) do
      rows[#rows + 1] = { x, y, matrix[i][j] }
    end
    rows[#rows + 1] = false
  end
  return rows
end

local function path_rows(path)
  local rows = {}
  for i, x in ipairs(path.x) do
    local y, h = path.y[i], path.h[i] or 0
    local shown = x - x == 0 and y - y == 0 and h - h == 0
    rows[i] = shown and { x, y, h } or false
  end
  return rows
end

local function ends_rows(rows)
  local first, last
  for _, row in ipairs(rows) do
    if row then first, last = first or row, row end
  end
  return { first }, { last }
end

-- A dark line in a light casing, a ring where it starts, a dot where it ends.
local function path_parts(paper, figure, columns)
  if not figure.path then return {} end
  local rows = path_rows(figure.path)
  local first, last = ends_rows(rows)
  local line = paper.block("path: x y height", rows)
  local start = paper.block("path's start", first)
  local stop = paper.block("path's end", last)
  local name = figure.path.name
  local function part(source, style, colour, title)
    return ("%s using %s %s linecolor rgb '%s' %s"):format(source, columns,
      style, colour, title or "notitle")
  end
  return {
    part(line, "with lines linewidth 3.6", "#FFFFFF"),
    part(line, "with lines linewidth 1.6", "#111111",
      name and "title " .. quote(name)),
    part(start, "with points pointtype 7 pointsize 0.95", "#FFFFFF"),
    part(start, "with points pointtype 6 pointsize 0.95 linewidth 1.4",
      "#111111"),
    part(stop, "with points pointtype 7 pointsize 1.1", "#FFFFFF"),
    part(stop, "with points pointtype 7 pointsize 0.85", "#111111"),
  }
end

local function add_all(list, more)
  table.move(more, 1, #more, #list + 1, list)
end

local function named_path(figure)
  return figure.path and figure.path.name
end

local function path_key(paper, figure, u, v)
  frame.legend(paper, nil)
  if not named_path(figure) then return end
  paper.add("set key on at screen cell_x + %.3f * cell_w, cell_y + %.3f "
    .. "* cell_h center bottom horizontal Left reverse noenhanced "
    .. "samplen 1.8", u, v)
end

-- The sides of a flat field, and its path's name above: `graph` places would
-- be wrong for a map, which gnuplot draws in three dimensions.
local function flat_frame(paper, figure)
  local bottom = figure.note and 0.18 or 0.145
  local top = named_path(figure) and 0.86 or 0.9
  frame.margins(paper, 0.14, 0.81, bottom, top)
  if named_path(figure) then paper.add("set title offset 0, 1.2") end
  -- splot hangs the legend from its place, plot stands it there.
  local lift = figure.kind == "contour" and 0.05 or 0
  path_key(paper, figure, 0.475, top + lift)
end

-- ---- contour -------------------------------------------------------------

-- The colours of evenly spaced levels are flat bands between them.
local function band_range(figure)
  local low, high, step = figure.hrange[1], figure.hrange[2], figure.step
  if not figure.even or #figure.contours < 2 then return { low, high } end
  local first = math.floor(low / step + 1e-6)
  local last = math.ceil(high / step - 1e-6)
  return { first * step, last * step }, math.max(2, last - first)
end

local function line_rows(figure)
  local rows = {}
  for _, contour in ipairs(figure.contours) do
    for _, line in ipairs(contour.lines) do
      for i, x in ipairs(line.x) do
        rows[#rows + 1] = { x, line.y[i], contour.at }
      end
      rows[#rows + 1] = false
    end
  end
  return rows
end

local function extent_of(figure, line)
  local u1, u2 = data.extent{ line.x }
  local v1, v2 = data.extent{ line.y }
  return (u2 - u1) / (figure.xrange[2] - figure.xrange[1])
    + (v2 - v1) / (figure.yrange[2] - figure.yrange[1])
end

local function clearance(placed, u, v)
  local least = math.min(u, v, 1 - u, 1 - v) < 0.06 and 0 or 1
  for _, at in ipairs(placed) do
    local du, dv = at[1] - u, (at[2] - v) * 1.6
    least = math.min(least, math.sqrt(du * du + dv * dv))
  end
  return least
end

local function best_place(figure, line, placed)
  local best, most = nil, 0.13
  for i, x in ipairs(line.x) do
    local u = axes.share(x, figure.xrange)
    local v = axes.share(line.y[i], figure.yrange)
    local free = clearance(placed, u, v)
    if free > most then best, most = { u, v, x, line.y[i] }, free end
  end
  return best
end

-- One label for each line that is long enough, far from the other labels.
local function contour_labels(paper, figure)
  local placed = {}
  for _, contour in ipairs(figure.contours) do
    for _, line in ipairs(contour.lines) do
      local place = extent_of(figure, line) > 0.3
        and best_place(figure, line, placed)
      if place then
        placed[#placed + 1] = place
        paper.add("set label %s at %s, %s, 0 center front boxed "
          .. "font ',8' textcolor rgb '#222222'", quote(contour.label),
          number(place[3]), number(place[4]))
      end
    end
  end
end

local function smoothness(figure, cells)
  local n = math.max(#figure.x, #figure.y)
  return math.max(1, math.min(10, math.ceil(cells / n)))
end

local function contour(paper, figure, format)
  local range, bands = band_range(figure)
  frame.open(paper, figure)
  paper.add("set border 15")
  frame.axis(paper, "x", figure.xrange)
  frame.axis(paper, "y", figure.yrange)
  colour_bar(paper, figure)
  paper.add("set cbrange %s", frame.range_text(range))
  if bands then paper.add(banded_text(figure.palette, bands)) end
  flat_frame(paper, figure)
  paper.add("set style textbox opaque noborder fillcolor rgb '#40FFFFFF' "
    .. "margins 0.4, 0.3")
  if figure.labels then contour_labels(paper, figure) end
  local k = smoothness(figure, format == "png" and 300 or 120)
  paper.add("set pm3d map interpolate %d, %d", k, k)
  local parts = {
    ("%s using 1:2:3 with pm3d notitle"):format(paper.block("x y height",
      grid_rows(figure, figure.h))),
    ("%s using 1:2:(0) with lines linewidth 0.8 linecolor rgb '#60202020' "
      .. "notitle"):format(paper.block("contour lines: x y height",
      line_rows(figure))),
  }
  add_all(parts, path_parts(paper, figure, "1:2:(0)"))
  paper.plot("splot", parts)
end

-- ---- surface -------------------------------------------------------------

local function floor_of(figure)
  local low, high = figure.hrange[1], figure.hrange[2]
  return low - 0.5 * (high - low)
end

-- Corners in order around the floor; the z axis stands on the leftmost.
local function corners_of(figure)
  local x, y = figure.xrange, figure.yrange
  return { { x[1], y[1], -1, -1 }, { x[2], y[1], 1, -1 },
    { x[2], y[2], 1, 1 }, { x[1], y[2], -1, 1 } }
end

local function leftmost(corners, turn)
  local best, least
  local c, s = math.cos(math.rad(turn)), math.sin(math.rad(turn))
  for _, corner in ipairs(corners) do
    local across = c * corner[3] + s * corner[4]
    if not least or across < least then best, least = corner, across end
  end
  return best
end

local function edge(paper, a, za, b, zb)
  paper.add("set arrow from %s, %s, %s to %s, %s, %s nohead back "
    .. "linewidth 0.6 linecolor rgb '#999999'", number(a[1]), number(a[2]),
    number(za), number(b[1]), number(b[2]), number(zb))
end

-- gnuplot's own border would stand in front of the surface.
local function floor_edges(paper, figure, floor)
  local corners = corners_of(figure)
  for k, corner in ipairs(corners) do
    edge(paper, corner, floor, corners[k % 4 + 1], floor)
  end
  local post = leftmost(corners, figure.view[2])
  edge(paper, post, floor, post, figure.hrange[2])
end

local function slanted_label(paper, name, text, offset)
  if not text then return end
  paper.add("set %slabel %s noenhanced rotate parallel offset %s "
    .. "textcolor rgb '#333333'", name, quote(text), offset)
end

local function box(paper, figure, floor)
  paper.add("unset border")
  paper.add("set view %s, %s, 1.0, 1.1", number(figure.view[1]),
    number(figure.view[2]))
  paper.add("set xyplane at %s", number(floor))
  paper.add("set zrange [%s:%s]", number(floor), number(figure.hrange[2]))
  paper.add("set ztics %s", frame.tick_list(field.height_ticks(figure, 5)))
  for _, name in ipairs{ "x", "y" } do
    local range = figure[name .. "range"]
    paper.add("set %stics %s offset 0, -0.3", name,
      frame.tick_list(ticks.linear(range[1], range[2], 4)))
  end
  slanted_label(paper, "x", figure.xlabel, "0, -0.7")
  slanted_label(paper, "y", figure.ylabel, "0, -0.7")
  slanted_label(paper, "z", figure.zlabel, "-1, 0")
  floor_edges(paper, figure, floor)
end

local function surface(paper, figure, format)
  local floor = floor_of(figure)
  frame.open(paper, figure)
  box(paper, figure, floor)
  frame.axis(paper, "x", figure.xrange)
  frame.axis(paper, "y", figure.yrange)
  colour_bar(paper, figure)
  paper.add("unset colorbox")
  paper.add("unset cblabel")
  path_key(paper, figure, 0.5, 0.86)
  local fine = smooth.field(figure, smoothness(figure,
    format == "png" and 160 or 60))
  paper.add("set pm3d depthorder lighting primary 0.36 specular 0.15")
  local parts = {
    ("%s using 1:2:(%s):3 with lines linewidth 1.2 linecolor palette "
      .. "notitle"):format(paper.block("contour lines: x y height",
      line_rows(figure)), number(floor)),
    ("%s using 1:2:3 with pm3d notitle"):format(paper.block("x y height, "
      .. "interpolated", grid_rows(fine, fine.h))),
  }
  add_all(parts, path_parts(paper, figure, "1:2:3"))
  paper.plot("splot", parts)
end

-- ---- cells ---------------------------------------------------------------

local function cell_axis(paper, figure, name)
  local range, names = figure[name .. "range"], figure[name .. "_names"]
  local down = name == "y" and names
  if down then range = { range[2], range[1] } end
  frame.axis(paper, name, range)
  if names then
    paper.add("set %stics %s noenhanced scale 0", name,
      frame.word_list(names, figure[name]))
  end
end

local function value_text(z)
  if math.abs(z - math.floor(z + 0.5)) < 1e-9 and math.abs(z) < 1e5 then
    return ("%.0f"):format(z)
  end
  return ("%.3g"):format(z)
end

-- Numbers in the cells, dark on light and light on dark.
local function annotations(paper, figure)
  for i, y in ipairs(figure.y) do
    for j, x in ipairs(figure.x) do
      local z = figure.z[i][j]
      if data.is_finite(z) then
        local t = axes.share(figure.h[i][j], figure.hrange)
        local ink = palette.brightness(figure.palette, t) > 0.55
          and "#1A1A1A" or "#FFFFFF"
        paper.add("set label '%s' at %s, %s center front font ',9' "
          .. "textcolor rgb '%s'", value_text(z), number(x), number(y), ink)
      end
    end
  end
end

-- Viewers of SVG and PDF blur an image; there its pixels are rectangles,
-- whose seams would show in a PNG.
local function pixels(figure, format)
  local few = #figure.x * #figure.y <= 16384
  return format ~= "png" and few and " pixels" or ""
end

local function heatmap(paper, figure, format)
  frame.open(paper, figure)
  paper.add("set border 15 linewidth 0.6")
  cell_axis(paper, figure, "x")
  cell_axis(paper, figure, "y")
  colour_bar(paper, figure)
  flat_frame(paper, figure)
  if figure.annotate then annotations(paper, figure) end
  local parts = { ("%s using 1:2:3 with %s notitle"):format(paper.block(
    "x y height", grid_rows(figure, figure.h)),
    "image" .. pixels(figure, format)) }
  add_all(parts, path_parts(paper, figure, "1:2"))
  paper.plot("plot", parts)
end

local function rgb_rows(figure)
  local rows, low, high = {}, figure.hrange[1], figure.hrange[2]
  for i, y in ipairs(figure.y) do
    for j, x in ipairs(figure.x) do
      local row = { x, y }
      for c = 1, 3 do
        local t = (figure.rgb[c][i][j] - low) / (high - low)
        row[c + 2] = math.floor(255 * math.max(0, math.min(1, t)) + 0.5)
      end
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function image(paper, figure, format)
  frame.titles(paper, figure)
  paper.add(palette_text(figure.palette))
  paper.add("unset border; unset tics; unset colorbox; set key off")
  paper.add("set size ratio -1")
  paper.add("set cbrange %s", frame.range_text(figure.hrange))
  cell_axis(paper, figure, "x")
  cell_axis(paper, figure, "y")
  paper.add("unset xtics; unset ytics")
  frame.margins(paper, 0.03, 0.97, 0.03, figure.title and 0.89 or 0.97)
  local rows = figure.rgb and rgb_rows(figure)
    or grid_rows(figure, figure.h)
  local columns = figure.rgb and "1:2:3:4:5" or "1:2:3"
  local kind = figure.rgb and "rgbimage" or "image"
  paper.plot("plot", { ("%s using %s with %s notitle"):format(
    paper.block("pixels", rows), columns,
    kind .. pixels(figure, format)) })
end

return {
  contour = contour,
  heatmap = heatmap,
  image = image,
  surface = surface,
}
