-- Figures of curves in gnuplot's words; see curves.lua for their fields.

local frame = require "saddle.plot.frame"
local number = require("saddle.plot.paper").number
local palette = require "saddle.plot.palette"
local quote = require("saddle.plot.paper").quote

local BAND = 0.18

-- A point that cannot be shown breaks the curve.
local function curve_rows(figure, series)
  local rows = {}
  for i, x in ipairs(series.x) do
    local y = series.y[i]
    local shown = x - x == 0 and y - y == 0
      and (x > 0 or not figure.logx) and (y > 0 or not figure.logy)
    rows[i] = shown and { x, y } or false
    if shown and series.lo then
      rows[i][3], rows[i][4] = series.lo[i], series.hi[i]
    end
  end
  return rows
end

local function band_rows(series)
  local rows = {}
  for i, x in ipairs(series.x) do
    local lo, hi = series.lo[i], series.hi[i]
    local shown = x - x == 0 and lo - lo == 0 and hi - hi == 0
    rows[i] = shown and { x, lo, hi } or false
  end
  return rows
end

local function color_of(series, i)
  return series.color or palette.curve(i)
end

local function dash_of(series, i)
  if series.style == "dashed" then return 2 end
  return i > 8 and (i - 1) // 8 % 4 + 2 or 1
end

local function title_text(series)
  if not series.name then return "notitle" end
  return "title " .. quote(series.name)
end

local function isolated(series)
  return #series.x == 1
end

local STYLES = {
  line = "with lines linewidth 1.8",
  dashed = "with lines linewidth 1.8",
  both = "with linespoints linewidth 1.6 pointtype 7 pointsize 0.5",
  steps = "with steps linewidth 1.6",
  points = "with points pointtype 7 pointsize 0.55",
}

local function curve_part(figure, series, i, source)
  local style = series.style or figure.kind == "scatter" and "points"
    or isolated(series) and "points" or "line"
  local stroke = style == "points" and "" or (" dashtype %d"):format(
    dash_of(series, i))
  return ("%s using 1:2 %s%s linecolor rgb '%s' %s"):format(source,
    STYLES[style], stroke, color_of(series, i), title_text(series))
end

local function mark(paper, from, to, text, at)
  paper.add("set arrow from %s to %s nohead back dashtype 2 linewidth 1 "
    .. "linecolor rgb '#666666'", from, to)
  if text then
    paper.add("set label %s noenhanced at %s font ',9' textcolor "
      .. "rgb '#555555'", quote(text), at)
  end
end

-- Thresholds and events: dashed lines across the figure.
local function marks(paper, figure)
  for _, line in ipairs(figure.hlines or {}) do
    local at = number(line.at)
    mark(paper, "graph 0, first " .. at, "graph 1, first " .. at, line.name,
      ("graph 0.985, first %s right offset 0, 0.5"):format(at))
  end
  for _, line in ipairs(figure.vlines or {}) do
    local at = number(line.at)
    mark(paper, ("first %s, graph 0"):format(at),
      ("first %s, graph 1"):format(at), line.name,
      ("first %s, graph 0.97 left offset 0.5, 0"):format(at))
  end
end

local function open(paper, figure, grid)
  frame.open(paper, figure)
  frame.grid(paper, grid)
  frame.axis(paper, "x", figure.xrange, figure.logx)
  frame.axis(paper, "y", figure.yrange, figure.logy)
  frame.legend(paper, figure.legend)
  marks(paper, figure)
end

local function lines(paper, figure)
  open(paper, figure, "x y")
  local parts = {}
  for i, series in ipairs(figure.series) do
    if series.lo then
      parts[#parts + 1] = ("%s using 1:2:3 with filledcurves fill "
        .. "transparent solid %g noborder linecolor rgb '%s' notitle")
        :format(paper.block("band: x lo hi", band_rows(series)), BAND,
          color_of(series, i))
    end
  end
  for i, series in ipairs(figure.series) do
    local source = paper.block((series.name or "series " .. i) .. ": x y",
      curve_rows(figure, series))
    parts[#parts + 1] = curve_part(figure, series, i, source)
  end
  paper.plot("plot", parts)
end

local function stem_rows(series)
  local rows = {}
  for i, node in ipairs(series.nodes) do
    rows[i] = { node, series.weights[i] }
  end
  return rows
end

local function density(paper, figure)
  open(paper, figure, "y")
  local parts, floor = {}, number(figure.yrange[1])
  for i, series in ipairs(figure.series) do
    local color = color_of(series, i)
    local source = paper.block((series.name or "density") .. ": x y",
      curve_rows(figure, series))
    parts[#parts + 1] = ("%s using 1:($2 > %s ? $2 : %s):(%s) with "
      .. "filledcurves fill transparent solid %g noborder linecolor "
      .. "rgb '%s' notitle"):format(source, floor, floor, floor, BAND, color)
    if series.nodes then
      parts[#parts + 1] = ("%s using 1:2 with impulses linewidth 0.8 "
        .. "linecolor rgb '#80%s' notitle"):format(paper.block(
        "nodes: eigenvalue weight", stem_rows(series)), color:sub(2))
    end
    parts[#parts + 1] = ("%s using 1:2 with lines linewidth 1.6 linecolor "
      .. "rgb '%s' %s"):format(source, color, title_text(series))
  end
  paper.plot("plot", parts)
end

local function longest(labels)
  local most = 0
  for _, label in ipairs(labels) do
    most = math.max(most, utf8.len(label) or #label)
  end
  return most
end

-- Labels that would touch are slanted.
local function bar_ticks(paper, figure)
  local room = (figure.size[1] - 90) / 7 / #figure.labels
  local slant = longest(figure.labels) > room and "rotate by 30 right" or ""
  paper.add("set xtics %s noenhanced scale 0 %s",
    slant, frame.word_list(figure.labels))
end

local function bar_rows(series, offset, width)
  local rows = {}
  for i, y in ipairs(series.y) do
    rows[i] = { i + offset, y, width }
    if series.lo then
      rows[i][4], rows[i][5] = series.lo[i], series.hi[i]
    end
  end
  return rows
end

local function bars(paper, figure)
  open(paper, figure, "y")
  bar_ticks(paper, figure)
  if figure.yrange[1] < 0 then paper.add("set xzeroaxis linetype 1 "
    .. "linewidth 0.8 linecolor rgb '#666666'") end
  local n, parts = #figure.series, {}
  local width = 0.76 / n
  for i, series in ipairs(figure.series) do
    local source = paper.block((series.name or "bars") .. ": x y width lo hi",
      bar_rows(series, (i - (n + 1) / 2) * width, width * 0.94))
    parts[#parts + 1] = ("%s using 1:2:3 with boxes fill solid 0.9 noborder "
      .. "linecolor rgb '%s' %s"):format(source, color_of(series, i),
      title_text(series))
    if series.lo then
      parts[#parts + 1] = ("%s using 1:4:(0):($5 - $4) with vectors heads "
        .. "size graph 0.006, 90 nofilled linewidth 1.2 linecolor "
        .. "rgb '#333333' notitle"):format(source)
    end
  end
  paper.plot("plot", parts)
end

local function bin_rows(figure, series)
  local rows, edges = {}, figure.edges
  for i, y in ipairs(series.y) do
    rows[i] = { series.x[i], y, edges[i + 1] - edges[i] }
  end
  return rows
end

local function histogram(paper, figure)
  open(paper, figure, "y")
  local parts, alone = {}, #figure.series == 1
  local fill = alone and "solid 0.85" or "transparent solid 0.45"
  local edge = alone and "border linecolor rgb '#FFFFFF'" or "noborder"
  for i, series in ipairs(figure.series) do
    local source = paper.block((series.name or "bins") .. ": x count width",
      bin_rows(figure, series))
    parts[#parts + 1] = ("%s using 1:2:3 with boxes fillcolor rgb '%s' "
      .. "fill %s %s %s"):format(source, color_of(series, i), fill, edge,
      title_text(series))
  end
  paper.plot("plot", parts)
end

return {
  bars = bars,
  density = density,
  histogram = histogram,
  lines = lines,
  scatter = lines,
}
