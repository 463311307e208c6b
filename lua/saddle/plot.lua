-- sd.plot: figures. Each function reads a table of options into a figure that
-- saves itself through gnuplot and shows itself in the terminal. Numbers may
-- come as tables or as tensors; not-a-number and infinities are gaps.

local curves = require "saddle.plot.curves"
local field = require "saddle.plot.field"
local figure = require "saddle.plot.figure"

---@alias saddle.plot.Numbers number[] | userdata a list or a tensor
---@alias saddle.plot.Matrix number[][] | userdata rows or a 2-D tensor

---@alias saddle.plot.Place "top right" | "top left" | "bottom right"
---| "bottom left" | "outside" | "above" | "none"

---@class saddle.plot.Mark a dashed line across the figure
---@field at number
---@field name? string

---@class saddle.plot.Common
---@field title? string
---@field xlabel? string
---@field ylabel? string
---@field size? number[] {width, height} in pixels of 1/96 inch
---@field note? string small print beneath

---@class saddle.plot.Axes: saddle.plot.Common
---@field logx? boolean
---@field logy? boolean
---@field xrange? number[] {from, to}
---@field yrange? number[] {from, to}
---@field legend? saddle.plot.Place the emptiest corner unless told
---@field hlines? number[] | saddle.plot.Mark[] thresholds across
---@field vlines? number[] | saddle.plot.Mark[] events

---@class saddle.plot.Curve
---@field y saddle.plot.Numbers
---@field x? saddle.plot.Numbers 1, 2, 3 ... or the figure's x unless given
---@field name? string its entry in the legend
---@field lo? saddle.plot.Numbers with hi: a band around the curve
---@field hi? saddle.plot.Numbers
---@field style? "line" | "dashed" | "points" | "both" | "steps"
---@field color? string "#0072B2"

---@class saddle.plot.Lines: saddle.plot.Axes, saddle.plot.Curve
---@field [integer] saddle.plot.Curve | saddle.plot.Numbers further curves

--- Curves over x: give one curve's `y` (and `x`) directly, or a list of them.
---
--- ```lua
--- local sd_plot = require "saddle.plot"
--- local fig = sd_plot.lines{
---   { y = { 1, 0.5, 0.25, 0.12 }, name = "SGD" },
---   { y = { 1, 0.3, 0.08, 0.02 }, name = "Adam" },
---   xlabel = "epoch", ylabel = "loss", logy = true,
--- }
--- print(fig)
--- ```
---@param options saddle.plot.Lines
---@return saddle.plot.Figure
local function lines(options)
  return figure.new(curves.lines(options))
end

--- Points; the options are those of `lines`.
---
--- ```lua
--- print(require("saddle.plot").scatter{ x = { 1, 2, 3 }, y = { 2, 1, 3 } })
--- ```
---@param options saddle.plot.Lines
---@return saddle.plot.Figure
local function scatter(options)
  return figure.new(curves.scatter(options))
end

---@class saddle.plot.Bar
---@field values saddle.plot.Numbers
---@field lo? saddle.plot.Numbers with hi: error bars
---@field hi? saddle.plot.Numbers
---@field name? string
---@field color? string

---@class saddle.plot.Bars: saddle.plot.Common, saddle.plot.Bar
---@field [integer] saddle.plot.Bar | saddle.plot.Numbers bars side by side
---@field labels? (string | number)[] a name beneath each bar
---@field logy? boolean
---@field yrange? number[]
---@field legend? saddle.plot.Place
---@field hlines? number[] | saddle.plot.Mark[]

--- Bars from zero, in groups when several lists of values are given.
---
--- ```lua
--- print(require("saddle.plot").bars{
---   labels = { "sgd", "adam", "lion" }, values = { 0.91, 0.94, 0.93 } })
--- ```
---@param options saddle.plot.Bars
---@return saddle.plot.Figure
local function bars(options)
  return figure.new(curves.bars(options))
end

---@class saddle.plot.Sample
---@field values saddle.plot.Numbers of any shape
---@field name? string
---@field color? string

---@class saddle.plot.Histogram: saddle.plot.Axes, saddle.plot.Sample
---@field [integer] saddle.plot.Sample | saddle.plot.Numbers samples overlaid
---@field bins? integer | number[] how many, or their edges; Freedman and
---Diaconis's rule unless told
---@field density? boolean areas of one instead of counts

--- How often values fall into each bin.
---
--- ```lua
--- print(require("saddle.plot").histogram{
---   values = { 1, 2, 2, 3, 3, 3, 4 }, bins = 4 })
--- ```
---@param options saddle.plot.Histogram
---@return saddle.plot.Figure
local function histogram(options)
  return figure.new(curves.histogram(options))
end

---@class saddle.plot.Spectrum
---@field grid saddle.plot.Numbers eigenvalues
---@field density saddle.plot.Numbers their density
---@field nodes? saddle.plot.Numbers quadrature nodes, drawn as stems
---@field weights? saddle.plot.Numbers their weights
---@field name? string
---@field color? string

---@class saddle.plot.Density: saddle.plot.Axes, saddle.plot.Spectrum
---@field [integer] saddle.plot.Spectrum
---@field floor? number least density shown; 1e-8 of the peak unless told

--- A density of eigenvalues over a logarithmic axis; takes the result of
--- `H:density{}` as it is.
---
--- ```lua
--- print(require("saddle.plot").density{
---   grid = { -1, 0, 1, 2 }, density = { 1e-3, 2, 0.1, 1e-2 } })
--- ```
---@param options saddle.plot.Density
---@return saddle.plot.Figure
local function density(options)
  return figure.new(curves.density(options))
end

---@class saddle.plot.Path
---@field x saddle.plot.Numbers
---@field y saddle.plot.Numbers
---@field name? string

---@class saddle.plot.Field: saddle.plot.Common
---@field z saddle.plot.Matrix z[i][j] lies at x[j], y[i]
---@field x? saddle.plot.Numbers
---@field y? saddle.plot.Numbers
---@field zlabel? string
---@field log? boolean colours and heights follow log10(z)
---@field clip? number a quantile of z, such as 0.95, to cut higher values at
---@field zrange? number[] values at the two ends of the colours
---@field palette? "coolwarm" | "viridis" | "gray"
---@field path? saddle.plot.Path an optimizer's way over the field

---@class saddle.plot.Heatmap: saddle.plot.Field
---@field x? (number | string)[] evenly spaced numbers, or names of columns
---@field y? (number | string)[] without it, and with names, row 1 is on top
---@field annotate? boolean values in the cells, when there are few of them

--- Cells coloured by value.
---
--- ```lua
--- print(require("saddle.plot").heatmap{
---   x = { "0.1", "0.01" }, y = { "sgd", "adam" },
---   z = { { 0.9, 0.8 }, { 0.7, 0.95 } } })
--- ```
---@param options saddle.plot.Heatmap
---@return saddle.plot.Figure
local function heatmap(options)
  return figure.new(field.heatmap(options))
end

---@class saddle.plot.Contour: saddle.plot.Field
---@field levels? integer | number[] about how many, 10 unless told, or which
---@field labels? boolean values on the lines, true unless told

--- Filled contours with labelled lines.
---
--- ```lua
--- print(require("saddle.plot").contour{
---   z = { { 2, 1, 2 }, { 1, 0, 1 }, { 2, 1, 2 } } })
--- ```
---@param options saddle.plot.Contour
---@return saddle.plot.Figure
local function contour(options)
  return figure.new(field.contour(options))
end

---@class saddle.plot.Surface: saddle.plot.Field
---@field levels? integer | number[]
---@field view? number[] {tilt, turn} in degrees

--- A lit surface over its contour lines.
---
--- ```lua
--- print(require("saddle.plot").surface{ log = true,
---   x = { -1, 0, 1 }, y = { -1, 0, 1 },
---   z = { { 20, 1, 2 }, { 1, 0.1, 1 }, { 2, 1, 20 } } })
--- ```
---@param options saddle.plot.Surface
---@return saddle.plot.Figure
local function surface(options)
  return figure.new(field.surface(options))
end

---@class saddle.plot.Image
---@field z saddle.plot.Matrix rows from the top, or 3 channels of them
---@field title? string
---@field size? number[]
---@field zrange? number[] values of black and white
---@field palette? "coolwarm" | "viridis" | "gray"
---@field note? string

--- A matrix as an image, its first row on top.
---
--- ```lua
--- print(require("saddle.plot").image{ z = { { 0, 1 }, { 1, 0 } } })
--- ```
---@param options saddle.plot.Image
---@return saddle.plot.Figure
local function image(options)
  return figure.new(field.image(options))
end

---@class saddle.plot.Grid
---@field [integer] saddle.plot.Figure
---@field columns? integer
---@field title? string
---@field size? number[]

--- Several figures side by side as one.
---
--- ```lua
--- local plot = require "saddle.plot"
--- local a, b = plot.lines{ y = { 1, 2 } }, plot.bars{ values = { 1, 2 } }
--- print(plot.grid{ a, b, columns = 2 })
--- ```
---@param options saddle.plot.Grid
---@return saddle.plot.Figure
local function grid(options)
  return figure.grid(options)
end

return require "saddle.module".strict("sd.plot", {
  live = require "saddle.plot.live",
  bars = bars,
  contour = contour,
  density = density,
  grid = grid,
  heatmap = heatmap,
  histogram = histogram,
  image = image,
  is_figure = figure.is_figure,
  lines = lines,
  scatter = scatter,
  surface = surface,
})
