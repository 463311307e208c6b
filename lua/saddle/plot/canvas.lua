-- A sheet of braille characters: two by four dots to a character, a colour to
-- each character, and text over the dots. Dots count from 0 at the top left.

-- The bits of a character's dots, by column and row.
local BITS = { [0] = { [0] = 0x01, 0x02, 0x04, 0x40 },
  { [0] = 0x08, 0x10, 0x20, 0x80 } }

-- Cohen and Sutherland would do; Liang and Barsky's is shorter.
local function clip_side(t, p, q)
  if p == 0 then return q >= 0 end
  local r = q / p
  if p < 0 then
    t[1] = math.max(t[1], r)
  else
    t[2] = math.min(t[2], r)
  end
  return t[1] <= t[2]
end

--- The part of a segment inside [0, w] x [0, h]; nil when there is none.
---@param w number
---@param h number
---@return number? x0
---@return number? y0
---@return number? x1
---@return number? y1
local function clip(w, h, x0, y0, x1, y1)
  local dx, dy, t = x1 - x0, y1 - y0, { 0, 1 }
  local seen = clip_side(t, -dx, x0) and clip_side(t, dx, w - x0)
    and clip_side(t, -dy, y0) and clip_side(t, dy, h - y0)
  if not seen then return nil end
  return x0 + t[1] * dx, y0 + t[1] * dy, x0 + t[2] * dx, y0 + t[2] * dy
end

--- A sheet of so many characters.
---@param columns integer
---@param rows integer
---@return table
local function new(columns, rows)
  local dots, colours, words = {}, {}, {}
  local width, height = 2 * columns, 4 * rows
  local canvas = { width = width, height = height }

  --- Sets a dot.
  function canvas.dot(x, y, colour)
    local seen = x >= 0 and y >= 0 and x < width and y < height
    if not seen then return end -- nor is a place that is not a number
    local at = (y // 4) * columns + x // 2
    dots[at] = (dots[at] or 0) | BITS[x % 2][y % 4]
    colours[at] = colour
  end

  --- Draws a segment between points given in dots, clipped to the sheet.
  function canvas.line(ax, ay, bx, by, colour)
    local x0, y0, x1, y1 = clip(width - 1, height - 1, ax, ay, bx, by)
    if not x0 then return end
    local far = math.max(math.abs(x1 - x0), math.abs(y1 - y0))
    local steps = math.max(1, math.ceil(far))
    for k = 0, steps do
      local t = k / steps
      canvas.dot(math.floor(x0 + t * (x1 - x0) + 0.5),
        math.floor(y0 + t * (y1 - y0) + 0.5), colour)
    end
  end

  --- Puts one character at a place given in characters.
  function canvas.put(column, row, char, colour)
    if column < 0 or row < 0 or column >= columns or row >= rows then
      return
    end
    local at = row * columns + column
    words[at], colours[at] = char, colour
  end

  local function char_at(at)
    if words[at] then return words[at] end
    return dots[at] and utf8.char(0x2800 + dots[at]) or " "
  end

  --- The sheet as lines; `paint` colours a character.
  function canvas.lines(paint)
    local lines = {}
    for row = 0, rows - 1 do
      local chars = {}
      for column = 0, columns - 1 do
        local at = row * columns + column
        chars[#chars + 1] = paint(char_at(at), colours[at])
      end
      lines[#lines + 1] = table.concat(chars)
    end
    return lines
  end

  return canvas
end

return { new = new }
