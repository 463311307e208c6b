-- What a gnuplot script is written on: lines of commands, and blocks of
-- numbers for the data file beside it, addressed by their index.

local data = require "saddle.plot.data"

--- A text as gnuplot's single-quoted literal, in which nothing expands.
---@param text string
---@return string
local function quote(text)
  local quoted = "'" .. text:gsub("'", "''") .. "'"
  return (quoted:gsub("\r?\n", "'.\"\\n\".'"))
end

local function number(x)
  if not data.is_finite(x) then return "NaN" end
  return ("%.9g"):format(x)
end

local function row_text(row)
  local parts = {}
  for i = 1, #row do parts[i] = number(row[i]) end
  return table.concat(parts, " ")
end

-- A row that is `false` is an empty line: the curve breaks, or the next row
-- of a grid begins. Two in a row would begin a new block.
local function block_text(rows)
  local lines, gap = {}, true
  for _, row in ipairs(rows) do
    if row then
      lines[#lines + 1], gap = row_text(row), false
    elseif not gap then
      lines[#lines + 1], gap = "", true
    end
  end
  if #lines == 0 then lines[1] = "NaN NaN NaN NaN" end
  if lines[#lines] == "" then lines[#lines] = nil end
  return table.concat(lines, "\n")
end

--- An empty sheet for one script and its data file.
---@param data_name string the data file's name, as the script gives it
---@return table
local function new(data_name)
  local commands, blocks = {}, {}
  local paper = {}

  --- Adds a line of the script.
  function paper.add(format, ...)
    local text = select("#", ...) > 0 and format:format(...) or format
    commands[#commands + 1] = text
  end

  --- Adds a block of data under a comment; gives its address for `plot`.
  function paper.block(comment, rows)
    local head = "# " .. comment:gsub("%s", " ")
    blocks[#blocks + 1] = head .. "\n" .. block_text(rows)
    return ("%s index %d"):format(quote(data_name), #blocks - 1)
  end

  --- Adds one plot command of several parts.
  function paper.plot(command, parts)
    if #parts == 0 then parts = { "1/0 notitle" } end
    paper.add("%s %s", command, table.concat(parts, ", \\\n  "))
  end

  function paper.script() return table.concat(commands, "\n") .. "\n" end

  function paper.data() return table.concat(blocks, "\n\n\n") .. "\n" end

  return paper
end

return { new = new, number = number, quote = quote }
