-- A figure: plain fields that were checked when it was made, and the methods
-- that show it. It never changes after that.

local data = require "saddle.plot.data"
local fail = require "saddle.fail"
local fs = require "saddle.fs"
local gnuplot = require "saddle.plot.gnuplot"
local options_of = require "saddle.plot.options"
local terminal = require "saddle.plot.terminal"

---@class saddle.plot.Figure
---@field kind string "lines", "surface" ...
---@field title? string
---@field size number[] width and height in pixels of 1/96 inch
local Figure = {}
Figure.__index = Figure
Figure.__name = "figure"

local TEXT = { width = "number", height = "number", color = "boolean" }

--- Draws the figure into a file through gnuplot. The script (`a.gp`) and its
--- data (`a.dat`) stay beside it: edit the script and run `gnuplot a.gp`.
---
--- ```lua
--- local fig = require("saddle.plot").lines{ y = { 3, 2, 1.5 } }
--- fig:save(os.tmpname() .. ".png")
--- ```
---@param path string ends in .png, .svg or .pdf
---@return saddle.plot.Figure self
function Figure:save(path)
  if type(path) ~= "string" then
    fail("plot: fig:save needs a path, got a %s", type(path))
  end
  gnuplot.save(self, path)
  return self
end

--- The figure drawn in characters: braille dots for curves, blocks for
--- fields.
---@param options? { width?: integer, height?: integer, color?: boolean }
---@return string
function Figure:text(options)
  options_of.check("fig:text", options or {}, TEXT)
  return terminal.render(self, options or {})
end

--- Prints the figure to the terminal, in colours when it is one.
---@param options? { width?: integer, height?: integer, color?: boolean }
---@return saddle.plot.Figure self
function Figure:show(options)
  options = options or {}
  options_of.check("fig:show", options, TEXT)
  local color = options.color
  if color == nil then color = terminal.has_colours() end
  print(terminal.render(self, options_of.merge(options, { color = color })))
  return self
end

local function without(path)
  for _, ending in ipairs{ "", ".gp", ".dat" } do
    fs.system("os", "remove")(path .. ending)
  end
end

--- The bytes of the figure's file, for reports.
---@param format "png" | "svg" | "pdf"
---@return string
function Figure:bytes(format)
  local base = fs.system("os", "tmpname")()
  local path = base .. "." .. format
  local ok, result = pcall(function()
    gnuplot.save(self, path)
    return fs.read(path)
  end)
  fs.system("os", "remove")(path)
  without(base)
  if not ok then error(result, 0) end
  return result
end

function Figure:__tostring()
  return terminal.render(self, {})
end

--- Whether a value is a figure.
---@param v any
---@return boolean
local function is_figure(v)
  return getmetatable(v) == Figure
end

local function new(fields)
  return setmetatable(fields, Figure)
end

-- The page holds every figure at the size of the largest.
local function grid_size(figures, columns, title)
  local w, h = 0, 0
  for _, figure in ipairs(figures) do
    w = math.max(w, figure.size[1])
    h = math.max(h, figure.size[2])
  end
  local rows = math.ceil(#figures / columns)
  return { w * columns, h * rows + (title and 30 or 0) }
end

--- Several figures as one.
---@param options table figures, and `columns`, `title`, `size`
---@return saddle.plot.Figure
local function grid(options)
  options_of.check("plot.grid", options, { columns = "number",
    title = "string", size = "data" })
  local figures = {}
  for i, figure in ipairs(options) do
    if not is_figure(figure) or figure.kind == "grid" then
      fail("plot.grid: entry %d is not a figure that fits in a grid", i)
    end
    figures[i] = figure
  end
  if #figures == 0 then fail("plot.grid: there are no figures") end
  if options.columns and options.columns < 1 then
    fail("plot.grid: columns must be at least 1")
  end
  local self = { kind = "grid", figures = figures, title = options.title,
    columns = options.columns and math.floor(options.columns) }
  local size = options.size and data.list(options.size, "plot.grid: size")
  self.size = size or grid_size(figures, gnuplot.columns_of(self),
    self.title)
  return new(self)
end

return { grid = grid, is_figure = is_figure, new = new }
