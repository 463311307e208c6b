-- Colours on a terminal, when it wants them.

local channels = require("saddle.plot.palette").channels
local fs = require "saddle.fs"

local function env(name)
  local getenv = (rawget(_G, "os") or {}).getenv
  local value = getenv and getenv(name)
  return value ~= "" and value or nil
end

local function is_terminal()
  local found, core = pcall(require, "saddle.core")
  if found and type(core) == "table" and core.isatty then
    return core.isatty()
  end
  local ok, result = pcall(function()
    if io.stdout:seek() then return false end -- a file
    return fs.system("os", "execute")("test -t 1")
  end)
  return ok and result == true
end

--- Whether standard output is a terminal that shows colours; NO_COLOR and
--- TERM=dumb are respected.
---@return boolean
local function has_colours()
  local term = env("TERM")
  if env("NO_COLOR") or not term or term == "dumb" then return false end
  return is_terminal()
end

--- The width to draw in: $COLUMNS, or 80.
---@return integer
local function columns()
  local given = math.tointeger(tonumber(env("COLUMNS") or ""))
  return math.max(30, math.min(given or 80, 400))
end

local function level(c)
  return (c * 5 + 127) // 255
end

-- 24-bit colours where they are announced, the 6 x 6 x 6 cube elsewhere.
local function code(ground, r, g, b)
  local depth = env("COLORTERM")
  if depth == "truecolor" or depth == "24bit" then
    return ("\27[%d;2;%d;%d;%dm"):format(ground, r, g, b)
  end
  local cube = 16 + 36 * level(r) + 6 * level(g) + level(b)
  return ("\27[%d;5;%dm"):format(ground, cube)
end

--- A text in a colour such as "#0072B2"; black is left as it is, for it may
--- be the background.
---@param text string
---@param colour? string
---@return string
local function paint(text, colour)
  if not colour or colour == "#000000" then return text end
  return code(38, channels(colour)) .. text .. "\27[0m"
end

--- Two pixels, one above the other, in one character.
---@param top? integer[] red, green, blue
---@param bottom? integer[]
---@return string
local function pixels(top, bottom)
  if not top and not bottom then return " " end
  if not top then return code(38, table.unpack(bottom)) .. "▄\27[0m" end
  local back = bottom and code(48, table.unpack(bottom)) or ""
  return code(38, table.unpack(top)) .. back .. "▀\27[0m"
end

return {
  columns = columns,
  has_colours = has_colours,
  paint = paint,
  pixels = pixels,
}
