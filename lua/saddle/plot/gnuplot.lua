-- Figures on disk: writes a figure's gnuplot script and data beside it and
-- runs gnuplot on them. `gnuplot name.gp` in that folder draws it again, so
-- a figure is restyled without computing anything anew.

local draw_curves = require "saddle.plot.draw_curves"
local draw_field = require "saddle.plot.draw_field"
local fail = require "saddle.fail"
local fs = require "saddle.fs"
local merge = require("saddle.plot.options").merge
local new_paper = require("saddle.plot.paper").new
local quote = require("saddle.plot.paper").quote

local DRAW = merge(draw_curves, draw_field)

local INSTALL = "install it, for example with `apt-get install gnuplot-nox` "
  .. "(Debian, Ubuntu), `dnf install gnuplot` or `brew install gnuplot`"

-- Sizes are in pixels of 1/96 inch; PNG has two dots to each of them.
local TERMINALS = {
  png = function(w, h)
    return ("pngcairo size %d, %d font 'Sans,11' fontscale 1.7 linewidth 2 "
      .. "pointscale 2 background '#FFFFFF'"):format(2 * w, 2 * h)
  end,
  svg = function(w, h)
    return ("svg size %d, %d dynamic font 'Helvetica,12' linewidth 1.2 "
      .. "background '#FFFFFF'"):format(w, h)
  end,
  pdf = function(w, h)
    return ("pdfcairo size %.3fin, %.3fin font 'Sans,11' fontscale 0.75 "
      .. "linewidth 1.2 pointscale 0.9"):format(w / 96, h / 96)
  end,
}

local function begin(paper, figure, format, name)
  paper.add("# Draws %s: gnuplot %s.gp", name .. "." .. format, name)
  paper.add("set encoding utf8")
  paper.add("set minussign")
  paper.add("set terminal %s", TERMINALS[format](figure.size[1],
    figure.size[2]))
  paper.add("if (!exists('saved')) saved = %s", quote(name .. "." .. format))
  paper.add("set output saved")
  paper.add("cell_x = 0; cell_y = 0; cell_w = 1; cell_h = 1")
end

local function columns_of(figure)
  local n = #figure.figures
  return math.min(n, figure.columns or math.ceil(math.sqrt(n)))
end

-- Places each figure of a grid by hand: `multiplot layout` would be undone
-- by the reset that keeps one figure's settings from the next.
local function draw_grid(paper, figure, format)
  local columns = columns_of(figure)
  local rows = math.ceil(#figure.figures / columns)
  local top = figure.title and 1 - 30 / figure.size[2] or 1
  paper.add("set multiplot")
  if figure.title then
    paper.add("set label 998 %s noenhanced at screen 0.5, %.4f center "
      .. "font ',13'", quote(figure.title), 1 - 18 / figure.size[2])
  end
  for i, cell in ipairs(figure.figures) do
    local column, row = (i - 1) % columns, (i - 1) // columns
    local x, y = column / columns, top * (1 - (row + 1) / rows)
    if i > 1 then paper.add("reset\nset encoding utf8\nset minussign") end
    paper.add("cell_x = %.5f; cell_y = %.5f", x, y)
    paper.add("cell_w = %.5f; cell_h = %.5f", 1 / columns, top / rows)
    paper.add("set origin cell_x, cell_y; set size cell_w, cell_h")
    DRAW[cell.kind](paper, cell, format)
  end
  paper.add("unset multiplot")
end

--- A figure's gnuplot script and data file, as texts.
---@param figure table
---@param format "png" | "svg" | "pdf"
---@param name string the figure's file name without folder and ending
---@return string script
---@return string data
local function script(figure, format, name)
  local paper = new_paper(name .. ".dat")
  begin(paper, figure, format, name)
  if figure.kind == "grid" then
    draw_grid(paper, figure, format)
  else
    DRAW[figure.kind](paper, figure, format)
  end
  paper.add("set output")
  return paper.script(), paper.data()
end

local function split(path)
  local base, format = path:match("^(.+)%.(%a+)$")
  format = format and format:lower()
  if not TERMINALS[format or ""] then
    fail("plot: cannot save %s: a figure ends in .png, .svg or .pdf", path)
  end
  return base:match("[^/]*$"), format
end

local function complain(path, program, output, code)
  if code == 127 then
    fail("plot: %s was not found, and figures need it: %s", program, INSTALL)
  end
  fail("plot: gnuplot could not draw %s (exit %d):\n%s", path, code,
    (output:gsub("%s+$", "")))
end

-- gnuplot draws into a temporary file; only a whole figure takes the name.
local function run(path, folder, name, format, program)
  local part = ("%s.part.%s"):format(name, format)
  local command = ("cd %s && %s -d -e %s %s"):format(fs.quote(folder),
    fs.quote(program), fs.quote("saved=" .. quote(part)),
    fs.quote(name .. ".gp"))
  local ok, output, code = fs.run(command)
  local drawn = folder .. "/" .. part
  if ok then
    ok, output = fs.system("os", "rename")(drawn, path)
    code = 1
  end
  if ok then return end
  fs.system("os", "remove")(drawn)
  complain(path, program, output or "no figure was written", code)
end

-- $SADDLE_GNUPLOT and not an option of fig:save: what a script passes there
-- must never choose the program that runs.
local function default_program()
  return fs.system("os", "getenv")("SADDLE_GNUPLOT") or "gnuplot"
end

--- Draws a figure into a file; the script and the data stay beside it.
---@param figure table
---@param path string ends in .png, .svg or .pdf
---@param program? string $SADDLE_GNUPLOT or "gnuplot" unless given
local function save(figure, path, program)
  local name, format = split(path)
  local folder = fs.folder(path)
  local commands, numbers = script(figure, format, name)
  fs.system("io", "popen")
  fs.mkdirs(folder)
  fs.write_atomic(folder .. "/" .. name .. ".dat", numbers)
  fs.write_atomic(folder .. "/" .. name .. ".gp", commands)
  run(path, folder, name, format, program or default_program())
end

return { columns_of = columns_of, save = save, script = script }
