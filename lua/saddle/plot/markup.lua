-- A light markdown for reports: headings, paragraphs, lists, fenced code, and
-- in a line **strong**, *emphasis*, `code` and [links](https://...). All text
-- is escaped first, so no HTML passes through.

local escape = require("saddle.plot.html").escape

local function link(text, address)
  local safe = address:find("^https?://") or address:find("^[%w./#_-]+$")
  if not safe then return nil end
  return ("<a href=\"%s\">%s</a>"):format(address, text)
end

local function emphasis(text)
  return (text:gsub("%[([^%]]+)%]%(([^%s)]+)%)", link)
    :gsub("%*%*([^*]+)%*%*", "<strong>%1</strong>")
    :gsub("%*([^*%s][^*]*)%*", "<em>%1</em>"))
end

--- One line's marks as HTML; what stands in `code` is left as it is.
---@param text string
---@return string
local function inline(text)
  local out, from = {}, 1
  text = escape(text)
  for before, code, after in text:gmatch("()`([^`]+)`()") do
    out[#out + 1] = emphasis(text:sub(from, before - 1))
    out[#out + 1] = "<code>" .. code .. "</code>"
    from = after
  end
  out[#out + 1] = emphasis(text:sub(from))
  return table.concat(out)
end

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do lines[#lines + 1] = line end
  return lines
end

-- What a line begins: a fence, a heading, an item, nothing, or a paragraph.
local function kind_of(line)
  if line:find("^%s*```") then return "fence" end
  if line:find("^#+%s") then return "heading" end
  if line:find("^%s*[-*]%s") then return "ul" end
  if line:find("^%s*%d+[.)]%s") then return "ol" end
  if line:find("^%s*$") then return "empty" end
  return "p"
end

local function fence(lines, at)
  local code, i = {}, at + 1
  while lines[i] and kind_of(lines[i]) ~= "fence" do
    code[#code + 1] = escape(lines[i])
    i = i + 1
  end
  return "<pre><code>" .. table.concat(code, "\n") .. "</code></pre>\n", i + 1
end

local function heading(lines, at)
  local marks, text = lines[at]:match("^(#+)%s+(.-)%s*#*$")
  local level = math.min(#marks + 1, 4)
  return ("<h%d>%s</h%d>\n"):format(level, inline(text), level), at + 1
end

-- An item goes on over the indented lines after it.
local function list(lines, at, kind)
  local items, i = {}, at
  while lines[i] do
    if kind_of(lines[i]) == kind then
      items[#items + 1] = lines[i]:gsub("^%s*%S+%s+", "", 1)
    elseif kind_of(lines[i]) == "p" and lines[i]:find("^%s") then
      items[#items] = items[#items] .. " " .. lines[i]:gsub("^%s+", "")
    else
      break
    end
    i = i + 1
  end
  for k, item in ipairs(items) do items[k] = "<li>" .. inline(item) end
  return ("<%s>\n%s\n</%s>\n"):format(kind, table.concat(items, "\n"), kind),
    i
end

local function paragraph(lines, at)
  local i = at
  while lines[i] and kind_of(lines[i]) == "p" do i = i + 1 end
  return "<p>" .. inline(table.concat(lines, "\n", at, i - 1)) .. "</p>\n", i
end

local READ = { fence = fence, heading = heading, ul = list, ol = list,
  p = paragraph, empty = function(_, at) return "", at + 1 end }

--- A text's blocks as HTML.
---@param text string
---@return string
local function blocks(text)
  local lines, out, at = lines_of(text), {}, 1
  while lines[at] do
    local kind = kind_of(lines[at])
    out[#out + 1], at = READ[kind](lines, at, kind)
  end
  return table.concat(out)
end

return { blocks = blocks, inline = inline }
