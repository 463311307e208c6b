-- Surfaces to turn with the mouse: fragments of HTML for reports, and pages
-- that stand alone. Nothing is loaded from anywhere: the viewer is inside.

local data = require "saddle.plot.data"
local field = require "saddle.plot.field"
local json = require "saddle.json"
local palette = require "saddle.plot.palette"
local ticks = require "saddle.plot.ticks"
local viewer = require "saddle.plot.viewer"

local STYLE = [[
.saddle-surface { position: relative; width: 100%; height: 30rem;
  max-height: 80vh; color: #333; font: 12px system-ui, sans-serif; }
.saddle-surface canvas { position: absolute; inset: 0; width: 100%;
  height: 100%; outline-offset: 2px; }
.saddle-surface .gl { touch-action: none; cursor: grab; }
.saddle-surface .gl:active { cursor: grabbing; }
.saddle-surface .tip { position: absolute; pointer-events: none;
  transform: translate(12px, -130%); padding: 3px 8px; border-radius: 4px;
  background: rgba(20, 20, 20, 0.85); color: #fff; white-space: nowrap; }
.saddle-surface .tip.left { transform: translate(calc(-100% - 12px), -130%); }
.saddle-surface .dot { position: absolute; pointer-events: none; width: 8px;
  height: 8px; margin: -5px 0 0 -5px; border-radius: 50%; background: #fff;
  border: 1px solid #111; }
.saddle-surface [hidden] { display: none; }
@media (prefers-color-scheme: dark) { .saddle-surface { color: #ccc; } }
]]

local PAGE_STYLE = [[
:root { color-scheme: light dark; }
body { margin: 0; font: 16px system-ui, sans-serif; background: #fff;
  color: #222; }
main { max-width: 70rem; margin: 0 auto; padding: 1rem; }
main .saddle-surface { height: 80vh; max-height: none; }
h1 { font-size: 1.2rem; font-weight: 600; text-align: center; margin: 0; }
p { text-align: center; color: #888; font-size: 0.8rem; }
@media (prefers-color-scheme: dark) { body { background: #16181b;
  color: #ddd; } }
]]

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
  ['"'] = "&quot;", ["'"] = "&#39;" }

--- A text as HTML shows it.
---@param text string
---@return string
local function escape(text)
  return (tostring(text):gsub("[&<>\"']", ENTITIES))
end

local function colours(name)
  local bytes = {}
  for _, colour in ipairs(palette.maps[name]) do
    local r, g, b = palette.channels(colour)
    table.move({ r, g, b }, 1, 3, #bytes + 1, bytes)
  end
  return bytes
end

-- Six digits show no difference and keep the page small; holes are null.
local function rounded(list)
  local out = json.array{}
  for i, x in ipairs(list) do
    out[i] = data.is_finite(x) and tonumber(("%.6g"):format(x)) or json.null
  end
  return out
end

local function rounded_rows(matrix)
  local out = {}
  for i, row in ipairs(matrix) do out[i] = rounded(row) end
  return out
end

local function path_of(figure)
  local path = figure.path
  if not path then return nil end
  return { x = rounded(path.x), y = rounded(path.y), h = rounded(path.h) }
end

-- What the viewer needs of a surface figure.
local function payload(figure)
  local x, y = figure.xrange, figure.yrange
  return {
    x = rounded(figure.x), y = rounded(figure.y), h = rounded_rows(figure.h),
    range = figure.hrange, step = figure.step, log = figure.log or false,
    colors = colours(figure.palette), path = path_of(figure),
    xlabel = figure.xlabel or "x", ylabel = figure.ylabel or "y",
    zlabel = figure.zlabel or "z",
    xticks = json.array(ticks.linear(x[1], x[2], 5)),
    yticks = json.array(ticks.linear(y[1], y[2], 5)),
    zticks = json.array(field.height_ticks(figure, 5)),
  }
end

-- "</script>" inside a text must not end the script around it.
local function script_json(value)
  return (json.encode(value, { nonfinite = "null" }):gsub("<", "\\u003c"))
end

local FRAGMENT = [[
<div class="saddle-surface" role="img" aria-label="%s">
<canvas class="axes"></canvas><canvas class="gl" tabindex="0"></canvas>
<div class="dot" hidden></div><div class="tip" hidden></div>
<script>saddleSurface(document.currentScript.parentNode, %s);</script>
</div>
]]

--- A fragment of HTML that shows a surface; its page must hold `head()` once
--- before it. Several fit on one page.
---@param options saddle.plot.Surface | saddle.plot.Figure options of
---plot.surface, or a figure it made
---@return string
local function surface(options)
  local ready = type(options) == "table" and options.kind == "surface"
  local figure = ready and options or field.surface(options)
  return FRAGMENT:format(escape(figure.title or "surface"),
    (script_json(payload(figure))))
end

--- The style and the viewer: goes into a page's head once.
---@return string
local function head()
  return "<style>\n" .. STYLE .. "</style>\n<script>\n" .. viewer
    .. "</script>\n"
end

local HELP = "Drag to turn, wheel to zoom, double-click to reset."

--- A complete page with one surface, in one file that opens offline.
---
--- ```lua
--- local html = require "saddle.plot.html"
--- local page = html.page{ title = "A bowl", zlabel = "loss",
---   x = { -1, 0, 1 }, y = { -1, 0, 1 },
---   z = { { 2, 1, 2 }, { 1, 0, 1 }, { 2, 1, 2 } } }
--- print(#page > 5000)
--- ```
---@param options saddle.plot.Surface | saddle.plot.Figure
---@return string
local function page(options)
  local fragment = surface(options)
  local title = escape(options.title or "Surface")
  local note = options.note and escape(options.note) .. ". " or ""
  return table.concat{ "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n",
    "<meta charset=\"utf-8\">\n<meta name=\"viewport\" ",
    "content=\"width=device-width, initial-scale=1\">\n<title>", title,
    "</title>\n<style>\n", PAGE_STYLE, "</style>\n", head(),
    "</head>\n<body>\n<main>\n<h1>", title, "</h1>\n", fragment, "<p>",
    note, HELP, "</p>\n</main>\n</body>\n</html>\n" }
end

return { escape = escape, head = head, page = page, surface = surface }
