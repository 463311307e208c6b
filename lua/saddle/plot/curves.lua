-- Figures of curves over two axes, read from their options: lines, scatter,
-- density, bars, histogram. The result is a figure's plain fields, checked,
-- with its ranges decided, ready for gnuplot or the terminal.

local axes = require "saddle.plot.axes"
local data = require "saddle.plot.data"
local fail = require "saddle.fail"
local options_of = require "saddle.plot.options"

local LEGENDS = { "top right", "top left", "bottom right", "bottom left",
  "outside", "above", "none" }

local COMMON = { title = "string", xlabel = "string", ylabel = "string",
  size = "data", note = "string" }

local AXES = { logx = "boolean", logy = "boolean", xrange = "range",
  yrange = "range", legend = LEGENDS, hlines = "data", vlines = "data" }

local CURVE = { x = "data", y = "data", lo = "data", hi = "data",
  name = "string", color = "colour",
  style = { "line", "dashed", "points", "both", "steps" } }

local MASS = { values = "data", name = "string", color = "colour",
  lo = "data", hi = "data" }

local SAMPLE = { values = "data", name = "string", color = "colour" }

-- sigma and the counts are what H:density adds to its result.
local DENSITY = { grid = "data", density = "data", nodes = "data",
  weights = "data", name = "string", color = "colour", sigma = "any",
  steps = "any", probes = "any" }

local KNOWN = {
  lines = options_of.merge(COMMON, AXES, CURVE),
  scatter = options_of.merge(COMMON, AXES, CURVE),
  density = options_of.merge(COMMON, AXES, DENSITY, { floor = "number" }),
  bars = options_of.merge(COMMON, MASS, { labels = "data", yrange = "range",
    logy = "boolean", legend = LEGENDS, hlines = "data" }),
  histogram = options_of.merge(COMMON, AXES, SAMPLE, { bins = "any",
    density = "boolean" }),
}

-- ---- series --------------------------------------------------------------

local function pick(options, known)
  local found = {}
  for name in pairs(known) do found[name] = options[name] end
  return found
end

local function is_bare(item)
  return data.is_tensor(item) or type(item) == "table"
    and (type(item[1]) == "number" or data.is_tensor(item[1]))
end

-- Options hold one series themselves, when they have its main field, and
-- others as their positional entries; a bare list of numbers is a main field.
local function read_series(what, options, known, main)
  local list = {}
  if options[main] then list[1] = pick(options, known) end
  for _, item in ipairs(options) do
    if is_bare(item) then item = { [main] = item } end
    options_of.check(what .. ": a series", item, known)
    list[#list + 1] = item
  end
  if #list == 0 then
    fail("%s: nothing to draw; give %s = {...} or a list of series", what,
      main)
  end
  return list
end

local function title_of(what, i, item)
  return ("%s: series %d%s"):format(what, i,
    item.name and ' ("' .. item.name .. '")' or "")
end

local function same_length(what, xs, ys, x_name, y_name)
  if #xs == #ys then return end
  fail("%s: %s has %d numbers, %s has %d", what, x_name, #xs, y_name, #ys)
end

local function counting(n)
  local xs = {}
  for i = 1, n do xs[i] = i end
  return xs
end

local function read_band(what, item, series)
  if (item.lo == nil) ~= (item.hi == nil) then
    fail("%s: a band needs both lo and hi", what)
  end
  if item.lo == nil then return end
  series.lo = data.list(item.lo, what .. ": lo")
  series.hi = data.list(item.hi, what .. ": hi")
  same_length(what, series.lo, series.y, "lo", "y")
  same_length(what, series.hi, series.y, "hi", "y")
end

local function read_curve(what, i, item, shared_x)
  what = title_of(what, i, item)
  if item.y == nil then fail("%s has no y", what) end
  local series = { name = item.name, color = item.color, style = item.style }
  series.y = data.list(item.y, what .. ": y")
  local x = item.x or shared_x
  series.x = x and data.list(x, what .. ": x") or counting(#series.y)
  same_length(what, series.x, series.y, "x", "y")
  read_band(what, item, series)
  return series
end

-- ---- axes ----------------------------------------------------------------

-- Lines across the figure: numbers, or { at = 2, name = "2 / lr" }.
local function read_marks(what, marks)
  local found = {}
  if type(marks) == "table" and marks.at then marks = { marks } end
  for i, mark in ipairs(data.plain(marks or {})) do
    if type(mark) ~= "table" then mark = { at = mark } end
    options_of.check(what, mark, { at = "any", name = "string" })
    found[i] = { at = data.number(mark.at, what .. "[" .. i .. "]"),
      name = mark.name }
  end
  return found
end

local function positions(marks)
  local at = {}
  for i, mark in ipairs(marks) do at[i] = mark.at end
  return at
end

local function gather(figure, fields, marks)
  local lists = { positions(marks) }
  for _, series in ipairs(figure.series) do
    for _, field in ipairs(fields) do lists[#lists + 1] = series[field] end
  end
  return lists
end

-- A band that leaves a logarithmic axis is drawn down to the least value.
local function lift_bands(figure)
  if not figure.logy then return end
  local least = data.extent(gather(figure, { "y", "lo" }, {}), true)
  for _, series in ipairs(figure.series) do
    for i, lo in ipairs(series.lo or {}) do
      if lo <= 0 then series.lo[i] = least or lo end
    end
  end
end

local function set_axes(figure, what, options)
  figure.logx, figure.logy = options.logx, options.logy
  figure.hlines = read_marks(what .. ": hlines", options.hlines)
  figure.vlines = read_marks(what .. ": vlines", options.vlines)
  lift_bands(figure)
  local ys = gather(figure, { "y", "lo", "hi" }, figure.hlines)
  local xs = gather(figure, { "x" }, figure.vlines)
  local pad = figure.kind == "scatter" and 0.04 or 0
  figure.xrange = options.xrange or axes.around(xs, options.logx, pad)
  figure.yrange = options.yrange or axes.around(ys, options.logy, 0.05)
  for axis, is_log in pairs{ xrange = figure.logx, yrange = figure.logy } do
    if is_log and figure[axis][1] <= 0 then
      fail("%s: %s must be above zero on a logarithmic axis", what, axis)
    end
  end
end

local function set_legend(figure, options)
  figure.legend = options.legend or axes.legend_place(figure)
  local filled = figure.kind == "bars" or figure.kind == "histogram"
  if filled and figure.legend and not options.legend
    and not (figure.kind == "histogram" and figure.legend:find("^top")) then
    figure.legend = "above"
  end
  if figure.legend == "none" then figure.legend = nil end
end

local function read_size(what, size, default)
  if not size then return default end
  local wh = data.list(size, what .. ": size")
  if #wh ~= 2 or not (wh[1] >= 50 and wh[2] >= 50) then
    fail("%s: size is {width, height} in pixels, at least 50", what)
  end
  return wh
end

local function new_figure(kind, options, size)
  local what = "plot." .. kind
  options_of.check(what, options, KNOWN[kind])
  return {
    kind = kind, series = {}, note = options.note, title = options.title,
    xlabel = options.xlabel, ylabel = options.ylabel,
    size = read_size(what, options.size, size or { 640, 420 }),
  }, what
end

-- ---- the kinds -----------------------------------------------------------

local function curves(kind, options)
  local figure, what = new_figure(kind, options)
  for i, item in ipairs(read_series(what, options, CURVE, "y")) do
    figure.series[i] = read_curve(what, i, item, options.x)
  end
  set_axes(figure, what, options)
  set_legend(figure, options)
  return figure
end

local function lines(options) return curves("lines", options) end
local function scatter(options) return curves("scatter", options) end

local function read_density(what, i, item)
  what = title_of(what, i, item)
  if item.grid == nil or item.density == nil then
    fail("%s: grid and density are needed", what)
  end
  local series = { name = item.name, color = item.color, fill = true }
  series.x = data.list(item.grid, what .. ": grid")
  series.y = data.list(item.density, what .. ": density")
  same_length(what, series.x, series.y, "grid", "density")
  if item.nodes then
    series.nodes = data.flat(item.nodes, what .. ": nodes")
    series.weights = data.flat(item.weights or {}, what .. ": weights")
    same_length(what, series.nodes, series.weights, "nodes", "weights")
  end
  return series
end

-- Gaussians decay to nothing: the axis stops eight decades below the peak.
local function density_range(figure, floor)
  local low, high = data.extent(gather(figure, { "y" }, {}), true)
  if not low then return { 1e-8, 1 } end
  floor = floor or math.max(low, high * 1e-8)
  return { math.min(floor, high / 10), high * 2 }
end

local function density(options)
  local figure, what = new_figure("density", options)
  for i, item in ipairs(read_series(what, options, DENSITY, "grid")) do
    figure.series[i] = read_density(what, i, item)
  end
  figure.xlabel = figure.xlabel or "eigenvalue"
  figure.ylabel = figure.ylabel or "density"
  local log = options.logy ~= false
  local range = log and density_range(figure, options.floor) or nil
  set_axes(figure, what, options_of.merge({ logy = log, yrange = range },
    options))
  set_legend(figure, options)
  return figure
end

local function read_labels(what, labels, n)
  local found = {}
  for i, label in ipairs(data.plain(labels or counting(n))) do
    found[i] = type(label) == "number" and ("%.6g"):format(label)
      or tostring(label)
  end
  if #found < n then
    fail("%s: %d labels for %d values", what, #found, n)
  end
  return found
end

local function read_bar(what, i, item)
  what = title_of(what, i, item)
  if item.values == nil then fail("%s has no values", what) end
  local series = { name = item.name, color = item.color }
  series.y = data.list(item.values, what .. ": values")
  series.x = counting(#series.y)
  read_band(what, item, series)
  return series
end

-- Bars stand on zero: it begins or ends the axis, or lies inside it.
local function from_zero(figure)
  local lists = gather(figure, { "y", "lo", "hi" }, figure.hlines)
  lists[#lists + 1] = { 0 }
  local low, high = data.extent(lists)
  local range = axes.around(lists, false, 0.05)
  figure.yrange = { low == 0 and 0 or range[1], high == 0 and 0 or range[2] }
  if low == high then figure.yrange = { 0, 1 } end
end

local function bars(options)
  local figure, what = new_figure("bars", options)
  local widest = 0
  for i, item in ipairs(read_series(what, options, MASS, "values")) do
    figure.series[i] = read_bar(what, i, item)
    widest = math.max(widest, #figure.series[i].y)
  end
  figure.labels = read_labels(what, options.labels, widest)
  set_axes(figure, what, options)
  figure.xrange = { 0.4, widest + 0.6 }
  if not options.yrange and not options.logy then from_zero(figure) end
  set_legend(figure, options)
  return figure
end

-- D. Freedman and P. Diaconis, 1981: width 2 IQR n^(-1/3).
local function bin_count(lists, low, high)
  local values = lists[1]
  for _, list in ipairs(lists) do
    if #list > #values then values = list end
  end
  if not data.quantile(values, 0.5) then return 1 end
  local n = #values
  local spread = data.quantile(values, 0.75) - data.quantile(values, 0.25)
  local width = 2 * spread * n ^ (-1 / 3)
  if width <= 0 then return math.ceil(math.log(n, 2)) + 1 end
  return math.max(5, math.min(100, math.ceil((high - low) / width)))
end

local function bin_edges(what, bins, lists)
  if bins and type(bins) ~= "number" then
    local edges = data.list(bins, what .. ": bins")
    if #edges < 2 then fail("%s: bins needs two edges or more", what) end
    for i = 2, #edges do
      local step = edges[i] - edges[i - 1]
      if step ~= step or step <= 0 then
        fail("%s: the edges in bins must increase", what)
      end
    end
    return edges
  end
  local low, high = data.extent(lists)
  if not low then return { 0, 1 } end
  if low == high then low, high = low - 0.5, high + 0.5 end
  local n = bins or bin_count(lists, low, high)
  if n < 1 or n > 1e6 then fail("%s: bins must be at least 1", what) end
  return data.linspace(low, high, math.floor(n) + 1)
end

-- The bin of a value, by bisection; the last bin includes its end.
local function bin_of(edges, value)
  if not (value >= edges[1] and value <= edges[#edges]) then return nil end
  local low, high = 1, #edges
  while high - low > 1 do
    local middle = (low + high) // 2
    if value >= edges[middle] then low = middle else high = middle end
  end
  return low
end

local function count(edges, values, as_density)
  local x, y, inside = {}, {}, 0
  for i = 1, #edges - 1 do x[i], y[i] = (edges[i] + edges[i + 1]) / 2, 0 end
  for _, value in ipairs(values) do
    local bin = bin_of(edges, value)
    if bin then y[bin], inside = y[bin] + 1, inside + 1 end
  end
  if as_density then
    for i = 1, #y do
      y[i] = y[i] / math.max(inside, 1) / (edges[i + 1] - edges[i])
    end
  end
  return x, y
end

local function histogram(options)
  local figure, what = new_figure("histogram", options)
  local lists = {}
  for i, item in ipairs(read_series(what, options, SAMPLE, "values")) do
    lists[i] = data.flat(item.values, title_of(what, i, item) .. ": values")
    figure.series[i] = { name = item.name, color = item.color }
  end
  local edges = bin_edges(what, options.bins, lists)
  for i, series in ipairs(figure.series) do
    series.x, series.y = count(edges, lists[i], options.density)
  end
  figure.edges = edges
  figure.ylabel = figure.ylabel or options.density and "density" or "count"
  set_axes(figure, what, options)
  figure.xrange = options.xrange or { edges[1], edges[#edges] }
  if not options.yrange and not options.logy then figure.yrange[1] = 0 end
  set_legend(figure, options)
  return figure
end

return {
  bars = bars,
  density = density,
  histogram = histogram,
  lines = lines,
  read_size = read_size,
  scatter = scatter,
}
