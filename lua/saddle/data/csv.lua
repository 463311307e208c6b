-- Tables of comma-separated values (RFC 4180): quoted fields may hold
-- commas, line ends and doubled quotes. Spaces around unquoted fields, empty
-- lines and a byte order mark are skipped; the first row is a header when a
-- field of it is no number.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

local csv = {}

local WORDS = { nan = 0 / 0, inf = 1 / 0, infinity = 1 / 0 }

-- A field as a float; an empty one is missing: NaN.
local function number(field)
  local value = tonumber(field)
  if value and not field:find "[xX]" then return value + 0.0 end
  if field == "" then return 0 / 0 end
  local sign, word = field:match "^([+-]?)(%a+)$"
  value = word and WORDS[word:lower()]
  return value and (sign == "-" and -value or value)
end

-- The quoted field whose opening quote is at i, and where it ends.
local function quoted(text, i, path, line)
  local from = i + 1
  while true do
    local stop = text:find('"', from, true)
    if not stop then
      fail("'%s', line %d: a quote is not closed", path, line)
    end
    if text:byte(stop + 1) ~= 34 then
      return text:sub(i + 1, stop - 1):gsub('""', '"'), stop + 1
    end
    from = stop + 2
  end
end

-- The rows of a text that has quotes, field by field.
local function quoted_rows(text, path)
  local rows, row, i, line = {}, {}, 1, 1
  while i <= #text do
    local field
    local at = text:match("^[ \t]*()", i)
    if text:byte(at) == 34 then
      field, i = quoted(text, at, path, line)
      i = text:match("^[ \t]*()", i)
    else
      field, i = text:match("^[ \t]*([^,\r\n]-)[ \t]*()%f[,\r\n\0]", i)
    end
    row[#row + 1] = field
    local stop = text:match("^\r?\n()", i) or i > #text and i
    if stop then
      row.line = line
      if #row > 1 or row[1] ~= "" then rows[#rows + 1] = row end
      line = line + 1 + select(2, field:gsub("\n", ""))
      row, i = {}, stop
    elseif text:byte(i) == 44 then
      i = i + 1
      if i > #text then row[#row + 1] = "" end
    else
      fail("'%s', line %d: text after a closing quote", path, line)
    end
  end
  if #row > 0 then rows[#rows + 1] = row end
  return rows
end

local function plain_rows(text)
  local rows, line = {}, 0
  for s in text:gmatch "([^\n]*)\n?" do
    line = line + 1
    if s:find "[^%s]" then
      local row, k = { line = line }, 0
      for field in (s .. ","):gmatch "[ \t\r]*([^,]-)[ \t\r]*," do
        k = k + 1
        row[k] = field
      end
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function check_widths(rows, path)
  for _, row in ipairs(rows) do
    if #row ~= #rows[1] then
      fail("'%s', line %d: %d fields, the first line has %d", path,
           row.line, #row, #rows[1])
    end
  end
end

local function is_header(row)
  for _, field in ipairs(row) do
    if not number(field) then return true end
  end
  return false
end

--- The rows of a file as lists of strings, and the header or nil. header
--- says whether there is one; nil: when a field of the first row is no
--- number.
---@return string[][] rows, string[]? header
function csv.rows(path, header)
  local text = core.read_text(path):gsub("^\239\187\191", "")
  local rows = text:find('"', 1, true) and quoted_rows(text, path) or
               plain_rows(text)
  if #rows == 0 then fail("'%s': no rows", path) end
  check_widths(rows, path)
  if header == nil then header = is_header(rows[1]) end
  return rows, header and table.remove(rows, 1) or nil
end

-- The numbers of some columns as a list of rows.
local function numbers(rows, columns, path)
  local out = {}
  for i, row in ipairs(rows) do
    local r = {}
    for k, c in ipairs(columns) do
      r[k] = number(row[c]) or
        fail("'%s', line %d, field %d: '%s' is no number", path, row.line, c,
             row[c])
    end
    out[i] = r
  end
  return out
end

-- The tensor of some columns (all by default).
local function tensor(rows, columns, path, dtype)
  if #rows == 0 then
    return sd.zeros({ 0, #columns }, { dtype = dtype })
  end
  return sd.tensor(numbers(rows, columns, path), { dtype = dtype })
end

local function all_columns(rows, header)
  local columns = {}
  for c = 1, #(rows[1] or header) do columns[c] = c end
  return columns
end

--- A file's numbers {rows, columns}, and its header's names or nil.
function csv.matrix(path, header, dtype)
  local rows, names = csv.rows(path, header)
  dtype = dtype or sd.default_dtype()
  return tensor(rows, all_columns(rows, names), path, dtype), names
end

-- ---- data sets -----------------------------------------------------------

-- The place of a column given by name or number.
local function place(column, count, header, path)
  if math.type(column) == "integer" then
    local c = column < 0 and column + count + 1 or column
    if c >= 1 and c <= count then return c end
    fail("csv: '%s' has %d columns, none numbered %d", path, count, column)
  end
  for c, name in ipairs(header or {}) do
    if name == column then return c end
  end
  fail("csv: '%s' has no column '%s'%s", path, tostring(column),
       module.hint(column, header or {}))
end

-- Labels 1 .. of the distinct texts of a column, in order: numbers by
-- value, then texts.
local function classes(rows, c)
  local names, label = {}, {}
  for _, row in ipairs(rows) do
    if not label[row[c]] then
      label[row[c]] = 0
      names[#names + 1] = row[c]
    end
  end
  table.sort(names, function(a, b)
    local x, y = tonumber(a), tonumber(b)
    if x and y and x ~= y then return x < y end
    if (x == nil) ~= (y == nil) then return x ~= nil end
    return a < b
  end)
  for i, name in ipairs(names) do label[name] = i end
  local y = {}
  for i, row in ipairs(rows) do y[i] = label[row[c]] end
  return y, names
end

--- A data set from a file: x f32 {rows, columns}, and the columns' names
--- when there is a header. The column called labels (a name or a number)
--- becomes y, class labels from 1, with names and classes; the column
--- called target becomes y {rows, 1}, numbers.
---
--- ```lua
--- sd.save("t.csv", sd.rand(5, 3), { header = { "a", "b", "c" } })
--- print(sd.data.csv("t.csv", { target = "c" }).x)
--- os.remove "t.csv"
--- ```
---@param path string
---@param o? table labels, target, header (true or false; seen by itself)
---@return table { x =, y =, columns =, classes =, names = }
function csv.read(path, o)
  o = sd.check_options(o, { "labels", "target", "header" }, "csv")
  if o.labels ~= nil and o.target ~= nil then
    fail "csv: give labels (classes) or target (numbers), not both"
  end
  local rows, header = csv.rows(path, o.header)
  if #rows == 0 then fail("csv: '%s' has no rows below its header", path) end
  local columns, out = all_columns(rows), {}
  local chosen = o.labels == nil and o.target or o.labels
  if chosen ~= nil then
    chosen = place(chosen, #columns, header, path)
    table.remove(columns, chosen)
    if o.labels ~= nil then
      local y, names = classes(rows, chosen)
      out.y = sd.tensor(y, { dtype = "i64" })
      out.names, out.classes = names, #names
    else
      out.y = tensor(rows, { chosen }, path, "f32")
    end
  end
  out.x = tensor(rows, columns, path, "f32")
  if header then
    out.columns = {}
    for k, c in ipairs(columns) do out.columns[k] = header[c] end
  end
  return out
end

return csv
