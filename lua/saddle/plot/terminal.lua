-- Figures in characters, for the terminal and for tostring: curves in braille
-- dots, fields in blocks, both inside axes with tick labels.

local ansi = require "saddle.plot.ansi"
local axes = require "saddle.plot.axes"
local data = require "saddle.plot.data"
local field = require "saddle.plot.field"
local new_canvas = require("saddle.plot.canvas").new
local palette = require "saddle.plot.palette"
local ticks = require "saddle.plot.ticks"

-- ---- text ----------------------------------------------------------------

local function width_of(text)
  return utf8.len(text) or #text
end

local function fit(text, width)
  if width_of(text) <= width then return text end
  if not utf8.len(text) then return text:sub(1, width) end
  return text:sub(1, utf8.offset(text, width) - 1) .. "…"
end

local function right(text, width)
  text = fit(text, width)
  return (" "):rep(width - width_of(text)) .. text
end

local function centre(text, width)
  text = fit(text, width)
  return (" "):rep((width - width_of(text)) // 2) .. text
end

local function plain(text)
  return text
end

-- ---- the frame -----------------------------------------------------------

local function axis_ticks(range, is_log, n)
  if is_log then return ticks.log(range[1], range[2], n) end
  return ticks.linear(range[1], range[2], n)
end

local function name_ticks(names, at)
  local list = {}
  for i, name in ipairs(names) do list[i] = { at = at[i], label = name } end
  return list
end

-- Labels of the rows, by row from the top; `down` has the range's start there.
local function row_labels(list, range, is_log, rows, down)
  local labels = {}
  for _, tick in ipairs(list) do
    local v = axes.share(tick.at, range, is_log)
    if not down then v = 1 - v end
    local row = math.floor(v * (rows - 1) + 0.5)
    if row >= 0 and row < rows then labels[row] = tick.label end
  end
  return labels
end

-- A line of tick labels, each centred under its place where there is room.
local function column_labels(list, range, is_log, columns)
  local marks, line, used = {}, "", 0
  for _, tick in ipairs(list) do
    local u = axes.share(tick.at, range, is_log)
    local at = math.floor(u * (columns - 1) + 0.5)
    if at >= 0 and at < columns then
      local wide = width_of(tick.label)
      local from = math.max(0, math.min(at - wide // 2, columns - wide))
      marks[at] = true
      if from >= used + (used > 0 and 1 or 0) then
        line = line .. (" "):rep(from - used) .. tick.label
        used = from + wide
      end
    end
  end
  return marks, line
end

local function ruler(marks, columns)
  local chars = {}
  for column = 0, columns - 1 do
    chars[column + 1] = marks[column] and "┬" or "─"
  end
  return table.concat(chars)
end

-- Axes around lines of drawing: y labels on the left, x labels beneath.
local function framed(body, labels, gutter, x_list, x_range, x_log, columns)
  local out = {}
  for i, line in ipairs(body) do
    local label = labels[i - 1]
    out[i] = right(label or "", gutter) .. (label and "┤" or "│") .. line
  end
  local marks, names = column_labels(x_list, x_range, x_log, columns)
  out[#out + 1] = (" "):rep(gutter) .. "└" .. ruler(marks, columns)
  out[#out + 1] = (" "):rep(gutter + 1) .. names
  return out
end

local function gutter_of(list)
  local most = 0
  for _, tick in ipairs(list) do
    most = math.max(most, width_of(tick.label))
  end
  return math.min(most, 16)
end

-- Title and y label above, x label and note beneath.
local function with_titles(figure, lines, gutter, columns, foot)
  local out, indent = {}, (" "):rep(gutter + 1)
  if figure.title then
    out[1] = (indent .. centre(figure.title, columns)):gsub("%s+$", "")
  end
  if figure.ylabel then out[#out + 1] = figure.ylabel end
  table.move(lines, 1, #lines, #out + 1, out)
  if figure.xlabel then
    out[#out + 1] = indent .. centre(figure.xlabel, columns)
  end
  out[#out + 1] = foot
  if figure.note then out[#out + 1] = "(" .. figure.note .. ")" end
  for i, line in ipairs(out) do out[i] = line:gsub("%s+$", "") end
  return table.concat(out, "\n")
end

-- ---- curves --------------------------------------------------------------

local GLYPHS = { "o", "x", "+", "*", "#", "@", "%", "&" }

local function place(figure, canvas, x, y)
  local u = axes.share(x, figure.xrange, figure.logx)
  local v = axes.share(y, figure.yrange, figure.logy)
  return u * (canvas.width - 1), (1 - v) * (canvas.height - 1)
end

local function draw_line(figure, canvas, series, colour)
  local last_x, last_y
  for i, x in ipairs(series.x) do
    local px, py = place(figure, canvas, x, series.y[i])
    if not (data.is_finite(px) and data.is_finite(py)) then
      last_x = nil
    else
      canvas.line(last_x or px, last_x and last_y or py, px, py, colour)
      last_x, last_y = px, py
    end
  end
end

local function draw_points(figure, canvas, series, colour, glyph)
  for i, x in ipairs(series.x) do
    local px, py = place(figure, canvas, x, series.y[i])
    if data.is_finite(px) and data.is_finite(py) then
      local dx, dy = math.floor(px + 0.5), math.floor(py + 0.5)
      if glyph then
        canvas.put(dx // 2, dy // 4, glyph, colour)
      else
        canvas.dot(dx, dy, colour)
      end
    end
  end
end

-- Columns filled to the count of the bin beneath them.
local function draw_bins(figure, canvas, series, colour)
  local bin = 1
  for px = 0, canvas.width - 1 do
    local share = px / (canvas.width - 1)
    local x = figure.xrange[1] + share * (figure.xrange[2]
      - figure.xrange[1])
    while bin < #series.y and x >= figure.edges[bin + 1] do bin = bin + 1 end
    local _, py = place(figure, canvas, x, series.y[bin])
    local seen = x >= figure.edges[1] and x <= figure.edges[#figure.edges]
      and series.y[bin] > figure.yrange[1]
    if seen and py == py then
      canvas.line(px, py, px, canvas.height - 1, colour)
    end
  end
end

local function draw_marks(figure, canvas)
  for _, mark in ipairs(figure.hlines or {}) do
    local _, py = place(figure, canvas, figure.xrange[1], mark.at)
    if data.is_finite(py) then
      for px = 0, canvas.width - 1, 4 do
        canvas.dot(px, math.floor(py + 0.5))
      end
    end
  end
  for _, mark in ipairs(figure.vlines or {}) do
    local px = place(figure, canvas, mark.at, figure.yrange[1])
    if data.is_finite(px) then
      for py = 0, canvas.height - 1, 4 do
        canvas.dot(math.floor(px + 0.5), py)
      end
    end
  end
end

local function draw_series(figure, canvas, i, series)
  local colour = series.color or palette.curve(i)
  if figure.kind == "histogram" then
    return draw_bins(figure, canvas, series, colour)
  end
  local scattered = series.style == "points"
    or figure.kind == "scatter" and not series.style
  if scattered then
    local glyph = #figure.series > 1 and GLYPHS[(i - 1) % #GLYPHS + 1]
    return draw_points(figure, canvas, series, colour, glyph)
  end
  draw_line(figure, canvas, series, colour)
end

local function last_row(figure, canvas, series)
  for i = #series.y, 1, -1 do
    local _, py = place(figure, canvas, series.x[i], series.y[i])
    if data.is_finite(py) then
      return math.max(0, math.min(canvas.height - 1, py)) // 4
    end
  end
end

local function free_row(taken, row, rows)
  for away = 0, rows do
    for _, at in ipairs{ row + away, row - away } do
      if at >= 0 and at < rows and not taken[at] then return at end
    end
  end
end

-- A curve's name stands where the curve ends: no colours are needed.
local function end_names(figure, canvas, body, paint)
  local taken = {}
  for i, series in ipairs(figure.series) do
    local row = series.name and last_row(figure, canvas, series)
    row = row and free_row(taken, math.floor(row), #body)
    if row then
      taken[row] = true
      body[row + 1] = body[row + 1] .. " " .. paint(fit(series.name, 18),
        series.color or palette.curve(i))
    end
  end
end

local function legend_line(figure, paint)
  local parts = {}
  for i, series in ipairs(figure.series) do
    if series.name then
      local glyph = #figure.series > 1 and figure.kind == "scatter"
        and GLYPHS[(i - 1) % #GLYPHS + 1] or "─"
      parts[#parts + 1] = paint(glyph .. " " .. series.name,
        series.color or palette.curve(i))
    end
  end
  return #parts > 0 and table.concat(parts, "   ") or nil
end

local function longest_name(figure)
  local most = 0
  for _, series in ipairs(figure.series) do
    if series.name then
      most = math.max(most, math.min(18, width_of(series.name)) + 1)
    end
  end
  return most
end

local function name_width(figure)
  if figure.kind ~= "lines" and figure.kind ~= "density" then return 0 end
  return longest_name(figure)
end

local function curves(figure, size, paint)
  local rows = size.height or 16
  local y_list = axis_ticks(figure.yrange, figure.logy,
    math.max(2, rows // 4))
  local gutter, names = gutter_of(y_list), name_width(figure)
  local columns = math.max(10, size.width - gutter - 1 - names)
  local canvas = new_canvas(columns, rows)
  draw_marks(figure, canvas)
  for i, series in ipairs(figure.series) do
    draw_series(figure, canvas, i, series)
  end
  local body = canvas.lines(paint)
  if names > 0 then end_names(figure, canvas, body, paint) end
  local x_list = axis_ticks(figure.xrange, figure.logx, columns // 12)
  local labels = row_labels(y_list, figure.yrange, figure.logy, rows)
  local lines = framed(body, labels, gutter, x_list, figure.xrange,
    figure.logx, columns)
  return with_titles(figure, lines, gutter, columns,
    names == 0 and legend_line(figure, paint) or nil)
end

-- ---- bars ----------------------------------------------------------------

local EIGHTHS = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

local function bar(from, to, room)
  from, to = math.max(0, from) * room, math.min(1, to) * room
  local start = math.floor(from + 0.5)
  local eighths = math.max(0, math.floor((to - start) * 8 + 0.5))
  return (" "):rep(start) .. ("█"):rep(eighths // 8)
    .. (EIGHTHS[eighths % 8] or "")
end

local function bar_line(figure, value, room)
  if not data.is_finite(value) then return "" end
  local zero = figure.logy and 0
    or math.max(0, axes.share(0, figure.yrange))
  local share = axes.share(value, figure.yrange, figure.logy)
  if share ~= share then return "" end
  return bar(math.min(zero, share), math.max(zero, share), room)
end

local function bar_names(figure)
  local widest = 0
  for _, label in ipairs(figure.labels) do
    widest = math.max(widest, width_of(label))
  end
  return math.min(widest, 20)
end

local function bars(figure, size, paint)
  local gutter = bar_names(figure)
  local room = math.max(10, size.width - gutter - 12 - longest_name(figure))
  local lines = {}
  for k, label in ipairs(figure.labels) do
    for i, series in ipairs(figure.series) do
      local value = series.y[k]
      if value then
        lines[#lines + 1] = right(i == 1 and label or "", gutter) .. "│"
          .. paint(bar_line(figure, value, room), series.color
          or palette.curve(i)) .. " " .. ticks.label(value)
          .. (series.name and " " .. fit(series.name, 12) or "")
      end
    end
    if #figure.series > 1 and k < #figure.labels then
      lines[#lines + 1] = (" "):rep(gutter) .. "│"
    end
  end
  return with_titles(figure, lines, gutter, room)
end

-- ---- fields --------------------------------------------------------------

local SHADES = { "·", "░", "▒", "▓", "█" }

-- Where a share of an axis falls among its cells, 1 to n.
local function cell_at(share, n)
  return math.max(1, math.min(n, math.floor(share * n) + 1))
end

local function sampler(figure)
  local nx, ny = #figure.x, #figure.y
  if figure.kind == "heatmap" or figure.kind == "image" then
    local down = figure.y_names ~= nil
    return function(u, v)
      local i = cell_at(down and 1 - v or v, ny)
      return figure.h[i][cell_at(u, nx)], i, cell_at(u, nx)
    end
  end
  local xs, ys = figure.xrange, figure.yrange
  return function(u, v)
    return field.height_at(figure, xs[1] + u * (xs[2] - xs[1]),
      ys[1] + v * (ys[2] - ys[1]))
  end
end

local function shade(figure, h)
  if not data.is_finite(h) then return " " end
  local t = axes.share(h, figure.hrange)
  return SHADES[math.max(1, math.min(#SHADES, math.floor(t * 5) + 1))]
end

local function colour_of(figure, h, i, j)
  if not data.is_finite(h) then return nil end
  if not figure.rgb then
    return { palette.at(figure.palette, axes.share(h, figure.hrange)) }
  end
  local rgb = {}
  for c = 1, 3 do
    local t = axes.share(figure.rgb[c][i][j], figure.hrange)
    rgb[c] = math.floor(255 * math.max(0, math.min(1, t)) + 0.5)
  end
  return rgb
end

local function field_char(figure, sample, u, v, half, color)
  if not color then return shade(figure, (sample(u, v))) end
  return ansi.pixels(colour_of(figure, sample(u, v + half)),
    colour_of(figure, sample(u, v - half)))
end

local PATH_STYLE = "#D55E00"

-- Marks of the path by place: its points, its start and its end.
local function path_marks(figure, columns, rows)
  local marks = {}
  local path = figure.path or { x = {} }
  for i, x in ipairs(path.x) do
    local u = axes.share(x, figure.xrange)
    local v = axes.share(path.y[i], figure.yrange)
    if figure.y_names then v = 1 - v end
    if u >= 0 and u <= 1 and v >= 0 and v <= 1 then
      local row = math.floor((1 - v) * (rows - 1) + 0.5)
      local column = math.floor(u * (columns - 1) + 0.5)
      marks[row * columns + column] = i == 1 and "o"
        or i == #path.x and "x" or marks[row * columns + column] or "+"
    end
  end
  return marks
end

local function field_body(figure, columns, rows, color)
  local sample, body = sampler(figure), {}
  local marks = path_marks(figure, columns, rows)
  for row = 0, rows - 1 do
    local chars, v = {}, 1 - (row + 0.5) / rows
    for column = 0, columns - 1 do
      local mark = marks[row * columns + column]
      if mark and color then mark = ansi.paint(mark, PATH_STYLE) end
      chars[column + 1] = mark or field_char(figure, sample,
        (column + 0.5) / columns, v, 0.25 / rows, color)
    end
    body[row + 1] = table.concat(chars)
  end
  return body
end

local function scale_line(figure, color)
  local chars, cells = {}, color and 20 or #SHADES
  for k = 1, cells do
    local t = (k - 0.5) / cells
    local h = figure.hrange[1] + t * (figure.hrange[2] - figure.hrange[1])
    local rgb = color and { palette.at(figure.palette, t) }
    chars[k] = color and ansi.pixels(rgb, rgb) or shade(figure, h)
  end
  local low, high = figure.hrange[1], figure.hrange[2]
  if figure.log then low, high = 10 ^ low, 10 ^ high end
  return ("%s %s %s%s%s"):format(ticks.label(low), table.concat(chars),
    ticks.label(high), figure.log and ", logarithmic" or "",
    figure.zlabel and "  " .. figure.zlabel or "")
end

local function fields(figure, size, _, color)
  local rows = size.height or 20
  local down = figure.y_names ~= nil
  local y_list = down and name_ticks(figure.y_names, figure.y)
    or axis_ticks(figure.yrange, false, math.max(2, rows // 4))
  local gutter = gutter_of(y_list)
  local columns = math.max(10, math.min(size.width - gutter - 1,
    math.max(24, math.floor(rows * 2.6))))
  local x_list = figure.x_names and name_ticks(figure.x_names, figure.x)
    or axis_ticks(figure.xrange, false, columns // 10)
  local labels = row_labels(y_list, figure.yrange, false, rows, down)
  local lines = framed(field_body(figure, columns, rows, color), labels,
    gutter, x_list, figure.xrange, false, columns)
  return with_titles(figure, lines, gutter, columns,
    (" "):rep(gutter + 1) .. scale_line(figure, color))
end

local function image(figure, size, _, color)
  local nx, ny = #figure.x, #figure.y
  local columns = math.min(size.width - 1, 2 * nx, 64)
  local rows = math.max(1, math.floor(columns / 2 * ny / nx + 0.5))
  if size.height then
    rows = math.min(rows, size.height)
    columns = math.max(1, math.floor(2 * rows * nx / ny + 0.5))
  end
  local body = field_body(figure, columns, rows, color)
  return with_titles(figure, body, 0, columns)
end

-- ---- all of them ---------------------------------------------------------

local RENDER = { lines = curves, scatter = curves, density = curves,
  histogram = curves, bars = bars, heatmap = fields, contour = fields,
  surface = fields, image = image }

local function whole(x, low, high)
  return x and math.max(low, math.min(high, math.floor(x)))
end

--- A figure as text.
---@param figure table
---@param options { width?: number, height?: number, color?: boolean } size
---in characters
---@return string
local function render(figure, options)
  if figure.kind == "grid" then
    local texts = { figure.title }
    for _, cell in ipairs(figure.figures) do
      texts[#texts + 1] = render(cell, options)
    end
    return table.concat(texts, "\n\n")
  end
  local size = { width = whole(options.width, 30, 400) or ansi.columns(),
    height = whole(options.height, 4, 200) }
  local paint = options.color and ansi.paint or plain
  return RENDER[figure.kind](figure, size, paint, options.color)
end

return { has_colours = ansi.has_colours, render = render }
