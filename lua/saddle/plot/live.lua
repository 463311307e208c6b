-- A figure in the terminal that is drawn over its last state. Where output
-- goes to a file, only the final state is printed.

local function is_terminal()
  local ok, core = pcall(require, "saddle.core")
  return ok and core.is_terminal(1)
end

--- A function that draws a figure over the one it drew before; called with
--- `true` as well, the figure is final.
---
--- ```lua
--- local live = require "saddle.plot.live"
--- local draw = live()
--- draw(require "saddle.plot".lines{ y = { 3, 2, 1.5 } }, true)
--- ```
---@return fun(figure: saddle.plot.Figure, final?: boolean)
return function()
  local lines, terminal = 0, is_terminal()
  return function(figure, final)
    if not terminal and not final then return end
    local text = figure:text { color = terminal, height = 14 }
    if lines > 0 then io.write(("\27[%dA\27[J"):format(lines)) end
    if text:sub(-1) ~= "\n" then text = text .. "\n" end
    io.write(text)
    io.flush()
    lines = final and 0 or select(2, text:gsub("\n", ""))
  end
end
