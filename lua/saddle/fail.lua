-- Raises the library's errors where the user can mend them: the position is
-- that of the innermost Lua function outside the library. A function belongs
-- to the library when its chunk is embedded ("=saddle...") or lies in the
-- folder this file was read from.

-- A sandbox has no debug library; scripts may forbid undefined globals.
local debug = rawget(_G, "debug")

local function folder()
  local source = debug and debug.getinfo(1, "S").source or ""
  return source:match("^@(.*)[/\\]fail%.lua$")
end

local home = folder()

local function is_library(source)
  if source:sub(1, 7) == "=saddle" then return true end
  if not home or source:sub(1, #home + 1) ~= "@" .. home then return false end
  return source:find("^[/\\.]", #home + 2) ~= nil
end

local function position()
  if not debug then return "" end
  for level = 3, math.huge do
    local info = debug.getinfo(level, "Sl")
    if not info then return "" end
    if info.currentline > 0 and not is_library(info.source) then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
  end
end

--- Raises an error at the script's line that called into the library.
---
--- ```lua
--- local fail = require "saddle.fail"
--- print(pcall(fail, "matmul: inner dimensions differ: %d x %d", 784, 512))
--- ```
---@param format string a format string, or the message alone
---@param ... any its arguments
local function fail(format, ...)
  local message = select("#", ...) > 0 and format:format(...) or format
  error(position() .. message, 0)
end

return fail
