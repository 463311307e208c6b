-- sd.report: an HTML report in one file, with its figures inside, that opens
-- offline. A report is a list of pieces of HTML in order; saving joins them.

local data = require "saddle.plot.data"
local escape = require("saddle.plot.html").escape
local fail = require "saddle.fail"
local fs = require "saddle.fs"
local html = require "saddle.plot.html"
local markup = require "saddle.plot.markup"
local options_of = require "saddle.plot.options"
local plot = require "saddle.plot"

local STYLE = [[
:root { color-scheme: light dark; --ink: #222; --soft: #666; --line: #ddd;
  --page: #fff; --card: #f6f7f8; --link: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #dcdfe3; --soft: #9aa0a8;
  --line: #33373d; --page: #16181b; --card: #1f2226; --link: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 17px/1.6 "Charter", "Georgia", serif; }
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1, h2, h3, h4, table, figcaption, .subtitle { line-height: 1.3;
  font-family: system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 2rem; margin: 0 0 0.3rem; letter-spacing: -0.01em; }
h2 { font-size: 1.35rem; margin: 2.6rem 0 0.6rem; }
h3 { font-size: 1.1rem; margin: 2rem 0 0.4rem; }
h4 { font-size: 1rem; margin: 1.6rem 0 0.3rem; }
.subtitle { color: var(--soft); margin: 0 0 2rem; }
a { color: var(--link); }
code, pre { font: 0.85em/1.5 ui-monospace, "DejaVu Sans Mono", monospace;
  background: var(--card); border-radius: 4px; }
code { padding: 0.1em 0.3em; }
pre { padding: 0.9rem 1rem; overflow-x: auto; }
pre code { padding: 0; font-size: 1em; }
.wide { overflow-x: auto; margin: 1.4rem 0; }
table { border-collapse: collapse; font-size: 0.85rem; margin: 0 auto;
  border-top: 2px solid var(--ink); border-bottom: 2px solid var(--ink); }
caption { caption-side: bottom; padding-top: 0.6rem; color: var(--soft); }
th { font-weight: 600; text-align: left;
  border-bottom: 1px solid var(--ink); }
th, td { padding: 0.35rem 0.9rem; white-space: nowrap; }
tbody tr + tr td { border-top: 1px solid var(--line); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1.8rem 0; text-align: center; }
figure img { max-width: 100%; height: auto; background: #fff;
  border-radius: 6px; }
figcaption { color: var(--soft); font-size: 0.85rem; margin-top: 0.6rem; }
@media print { main { max-width: none; padding: 0; } }
]]

-- ---- pieces --------------------------------------------------------------

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
  .. "0123456789+/"

local function six_bits(word, shift)
  local at = ((word >> shift) & 63) + 1
  return ALPHABET:sub(at, at)
end

local function encode_group(a, b, c)
  local x, y, z = a:byte(), b:byte() or 0, c:byte() or 0
  local word = x << 16 | y << 8 | z
  return six_bits(word, 18) .. six_bits(word, 12)
    .. (b == "" and "=" or six_bits(word, 6))
    .. (c == "" and "=" or six_bits(word, 0))
end

local function base64(bytes)
  return (bytes:gsub("(.)(.?)(.?)", encode_group))
end

local MIME = { svg = "image/svg+xml", png = "image/png" }

-- Fields have too many shapes for SVG to be the smaller file.
local SMALL_AS_SVG = { lines = true, scatter = true, bars = true,
  histogram = true, density = true }

local function points_of(figure)
  local n = 0
  for _, series in ipairs(figure.series or {}) do n = n + #series.y end
  return n
end

local function format_of(figure)
  local small = SMALL_AS_SVG[figure.kind] and points_of(figure) <= 5000
  return small and "svg" or "png"
end

local function caption_html(caption)
  if not caption then return "" end
  return "<figcaption>" .. markup.inline(caption) .. "</figcaption>\n"
end

local function figure_html(figure, caption, format)
  local image = ("<img alt=\"%s\" width=\"%d\" height=\"%d\" src=\"data:%s;"
    .. "base64,%s\">"):format(escape(caption or figure.title or "figure"),
    figure.size[1], figure.size[2], MIME[format],
    base64(figure:bytes(format)))
  return "<figure>\n" .. image .. "\n" .. caption_html(caption)
    .. "</figure>\n"
end

local function cell_text(v)
  if v == nil then return "" end
  if data.is_tensor(v) then v = data.number(v, "report: a table's cell") end
  if math.type(v) == "float" then return ("%.4g"):format(v) end
  return tostring(v)
end

local function is_number(v)
  return type(v) == "number" or data.is_tensor(v)
end

local function cell_html(tag, v, as_number)
  local class = as_number and " class=\"number\"" or ""
  return ("<%s%s>%s</%s>"):format(tag, class, escape(cell_text(v)), tag)
end

-- A column is set as numbers when each of its cells is one, or empty.
local function is_number_column(rows, key, k)
  local numbers = 0
  for _, row in ipairs(rows) do
    local v = row[k]
    if v == nil then v = row[key] end
    if v ~= nil and not is_number(v) then return false end
    if v ~= nil then numbers = numbers + 1 end
  end
  return numbers > 0
end

local function row_html(row, columns, numeric)
  local cells = {}
  for k, key in ipairs(columns) do
    local v = row[k]
    if v == nil then v = row[key] end
    cells[k] = cell_html("td", v, numeric[k])
  end
  return "<tr>" .. table.concat(cells) .. "</tr>\n"
end

local function table_html(columns, rows, caption)
  local numeric, heads, lines = {}, {}, {}
  for k, key in ipairs(columns) do
    numeric[k] = is_number_column(rows, key, k)
    heads[k] = cell_html("th", key, numeric[k])
  end
  for i, row in ipairs(rows) do
    lines[i] = row_html(row, columns, numeric)
  end
  local foot = caption and "<caption>" .. markup.inline(caption)
    .. "</caption>\n" or ""
  return "<div class=\"wide\">\n<table>\n" .. foot .. "<thead><tr>"
    .. table.concat(heads) .. "</tr></thead>\n<tbody>\n"
    .. table.concat(lines) .. "</tbody>\n</table>\n</div>\n"
end

-- ---- the report ----------------------------------------------------------

---@class saddle.Report
---@field title string
local Report = {}
Report.__index = Report
Report.__name = "report"

local function add(self, piece)
  self.pieces[#self.pieces + 1] = piece
  return self
end

local function want_string(what, v)
  if type(v) ~= "string" then
    fail("report:%s needs a string, got a %s", what, type(v))
  end
  return v
end

--- Adds a heading.
---@param text string
---@param level? integer 1, the default, to 3
---@return saddle.Report self
function Report:heading(text, level)
  level = level or 1
  if level ~= 1 and level ~= 2 and level ~= 3 then
    fail("report:heading: the level is 1, 2 or 3")
  end
  return add(self, ("<h%d>%s</h%d>\n"):format(level + 1,
    escape(want_string("heading", text)), level + 1))
end

--- Adds text in a light markdown: paragraphs, `- ` and `1. ` lists, fenced
--- code, # headings, **strong**, *emphasis*, `code`, [links](https://...).
---@param text string
---@return saddle.Report self
function Report:text(text)
  return add(self, markup.blocks(want_string("text", text)))
end

local TABLE = { columns = "table", rows = "table", caption = "string" }

--- Adds a table; numbers are set with four digits and aligned.
---
--- ```lua
--- local report = require "saddle.report"
--- local r = report{ title = "Sweep" }:table{ columns = { "lr", "loss" },
---   rows = { { 0.1, 2.3 }, { lr = 0.01, loss = 0.4 } } }
--- print(#r:html() > 1000)
--- ```
---@param options { columns: string[], rows: table[], caption?: string } a row
---is a list in the columns' order, or has fields of their names
---@return saddle.Report self
function Report:table(options)
  options_of.check("report:table", options, TABLE)
  if not options.columns or not options.rows then
    fail("report:table: columns and rows are needed")
  end
  for i, row in ipairs(options.rows) do
    if type(row) ~= "table" then
      fail("report:table: row %d is a %s, not a table", i, type(row))
    end
  end
  return add(self, table_html(options.columns, options.rows,
    options.caption))
end

local FORMATS = { svg = true, png = true }

--- Draws a figure of sd.plot into the report.
---@param figure saddle.plot.Figure
---@param caption? string
---@param format? "svg" | "png" SVG for curves, PNG for fields unless told
---@return saddle.Report self
function Report:figure(figure, caption, format)
  if not plot.is_figure(figure) then
    fail("report:figure needs a figure of sd.plot, got a %s", type(figure))
  end
  if format and not FORMATS[format] then
    fail("report:figure: the format is svg or png")
  end
  return add(self, figure_html(figure, caption, format or format_of(figure)))
end

--- Adds a surface to turn with the mouse.
---@param options saddle.plot.Surface | saddle.plot.Figure
---@param caption? string the surface's title and note unless given
---@return saddle.Report self
function Report:surface(options, caption)
  local figure = plot.is_figure(options) and options
    or plot.surface(options)
  local words = { caption or figure.title, figure.note }
  if not words[1] then words = { figure.note } end
  self.has_surface = true
  return add(self, "<figure>\n" .. html.surface(figure)
    .. caption_html(#words > 0 and table.concat(words, "; ") or nil)
    .. "</figure>\n")
end

--- The whole report as a text.
---@return string
function Report:html()
  local subtitle = self.subtitle and "<p class=\"subtitle\">"
    .. escape(self.subtitle) .. "</p>\n" or ""
  return table.concat{ "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n",
    "<meta charset=\"utf-8\">\n<meta name=\"viewport\" ",
    "content=\"width=device-width, initial-scale=1\">\n<title>",
    escape(self.title), "</title>\n<style>\n", STYLE, "</style>\n",
    self.has_surface and html.head() or "", "</head>\n<body>\n<main>\n<h1>",
    escape(self.title), "</h1>\n", subtitle, table.concat(self.pieces),
    "</main>\n</body>\n</html>\n" }
end

--- Saves the report as one file, whole or not at all.
---@param path string
---@return saddle.Report self
function Report:save(path)
  fs.write_atomic(want_string("save", path), self:html())
  return self
end

-- An entry of the constructor: a text, a figure, or the name of a method
-- with its argument.
local ENTRIES = { heading = "string", text = "string", table = "table",
  figure = "table", surface = "table", caption = "string", format = "string" }

local function add_entry(self, i, entry)
  if type(entry) == "string" then return self:text(entry) end
  if plot.is_figure(entry) then return self:figure(entry) end
  options_of.check(("report: entry %d"):format(i), entry, ENTRIES)
  if entry.heading then self:heading(entry.heading) end
  if entry.text then self:text(entry.text) end
  if entry.table then self:table(entry.table) end
  if entry.figure then
    self:figure(entry.figure, entry.caption, entry.format)
  end
  if entry.surface then self:surface(entry.surface, entry.caption) end
end

--- A report; what it holds may be given at once, or added by its methods.
---
--- ```lua
--- local report = require "saddle.report"
--- local r = report{ title = "LeNet on digits",
---   { heading = "Setting" }, "Trained with **SGD**, `lr = 0.1`." }
--- r:text "Nothing diverged."
--- print(r:html():match("<title>(.-)</title>"))
--- ```
---@param options { title: string, subtitle?: string, [integer]: any }
---@return saddle.Report
local function new(options)
  options_of.check("report", options, { title = "string",
    subtitle = "string" })
  local self = setmetatable({ title = options.title or "Report",
    subtitle = options.subtitle, pieces = {} }, Report)
  for i, entry in ipairs(options) do add_entry(self, i, entry) end
  return self
end

return setmetatable({ new = new }, {
  __call = function(_, options) return new(options) end,
})
