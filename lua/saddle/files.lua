-- Trees of tensors in files; the ending of the path says which form. A file
-- that is written replaces the old one at once or not at all.

local core = require "saddle.core"
local csv = require "saddle.data.csv"
local fail = require "saddle.fail"
local json = require "saddle.json"
local sd = require "saddle.init"

local forms = {}

local function only_tensor(value, path, other)
  if sd.is_tensor(value) then return value end
  fail("save: '%s' holds one tensor, not a %s%s", path, type(value), other)
end

-- ---- .npy ----------------------------------------------------------------

forms.npy = { options = {}, load_options = {} }

function forms.npy.save(path, value)
  core.write_npy(path, only_tensor(value, path, " (.npz holds trees)"))
end

function forms.npy.load(path) return core.read_npy(path) end

-- ---- .npz ----------------------------------------------------------------

-- An archive holds arrays only. The name of a string ends in ":text", its
-- array being the bytes as u8 {n}; that of an empty table ends in ":table",
-- its array being u8 {0}. Loading takes them back. Other arrays of such names
-- stay what they are.
local function is_marked(name)
  return name:find ":text$" or name:find ":table$"
end

local function bytes_of(text)
  if text == "" then return sd.zeros(0, { dtype = "u8" }) end
  local bytes = {}
  for i = 1, #text do bytes[i] = text:byte(i) end
  return sd.tensor(bytes, { dtype = "u8" })
end

local function text_of(x)
  local bytes = x:totable()
  for i, byte in ipairs(bytes) do bytes[i] = string.char(byte) end
  return table.concat(bytes)
end

-- The name and the value that a member stands for.
local function restored(name, x)
  local plain, kind = name:match "^(.*[^.]):(%l+)$"
  if not plain or x.dtype ~= "u8" or x.ndim ~= 1 then return name, x end
  if kind == "text" then return plain, text_of(x) end
  if kind == "table" and x:numel() == 0 then return plain, {} end
  return name, x
end

-- A key as a part of a name such as "1.weight", from which it comes back.
local function name_of(key, path)
  if math.type(key) == "integer" then return tostring(key) end
  if type(key) == "string" and key ~= "" and not key:find "[.%z]" and
     not key:find "^-?%d+$" and not is_marked(key) then
    return key
  end
  fail("save: '%s' cannot name the key %s '%s' (keys are whole numbers, or "
    .. "strings without dots that are no numbers and do not end in :text or "
    .. ":table)", path, type(key), tostring(key))
end

-- Numbers and booleans are tensors without dims in an archive.
local function as_tensor(value)
  if sd.is_tensor(value) then return value end
  if type(value) == "boolean" then
    return sd.tensor(value, { dtype = "bool" })
  elseif type(value) == "number" then
    local integer = math.type(value) == "integer"
    return sd.tensor(value, { dtype = integer and "i64" or "f64" })
  end
end

local function add_members(tree, prefix, path, list, depth)
  if depth > 100 then
    fail("save: the tree for '%s' is deeper than 100 tables (a cycle?)", path)
  end
  for key, value in pairs(tree) do
    local name = prefix .. name_of(key, path)
    if type(value) == "table" and next(value) ~= nil then
      add_members(value, name .. ".", path, list, depth + 1)
    elseif type(value) == "table" then
      list[#list + 1] = { name = name .. ":table", tensor = bytes_of "" }
    elseif type(value) == "string" then
      list[#list + 1] = { name = name .. ":text", tensor = bytes_of(value) }
    else
      local x = as_tensor(value) or
        fail("save: '%s' cannot hold %s, a %s", path, name, type(value))
      list[#list + 1] = { name = name, tensor = x }
    end
  end
end

-- As trees are walked: numbers first, in order.
local function before(a, b)
  local function ordered(name)
    return (("." .. name):gsub("%.(%d+)%f[.\0]", function(digits)
      return (".\1%020d"):format(math.tointeger(digits) or 0)
    end))
  end
  return ordered(a.name) < ordered(b.name)
end

forms.npz = { options = {}, load_options = {} }

function forms.npz.save(path, tree)
  if type(tree) ~= "table" then
    fail("save: '%s' holds a tree of tensors, not a %s%s", path,
         sd.is_tensor(tree) and "tensor" or type(tree),
         sd.is_tensor(tree) and " (.npy holds one)" or "")
  end
  local list, names, tensors = {}, {}, {}
  add_members(tree, "", path, list, 0)
  table.sort(list, before)
  for i, member in ipairs(list) do
    names[i], tensors[i] = member.name, member.tensor
  end
  core.write_npz(path, names, tensors)
end

local function key_of(name)
  return name:find "^-?%d+$" and math.tointeger(name) or name
end

local function place(tree, name, value, path)
  local parent, key = tree, nil
  for part in name:gmatch "[^.]+" do
    if key ~= nil then
      parent[key] = parent[key] or {}
      parent = parent[key]
      if type(parent) ~= "table" then
        fail("load: '%s' has both an array and a part called '%s'", path,
             name:sub(1, name:find(part, 1, true) - 2))
      end
    end
    key = key_of(part)
  end
  if key == nil or parent[key] ~= nil then
    fail("load: '%s' has a second thing called '%s'", path, name)
  end
  parent[key] = value
end

function forms.npz.load(path)
  local tree, names = {}, {}
  local members = core.read_npz(path)
  for name in pairs(members) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local plain, value = restored(name, members[name])
    place(tree, plain, value, path)
  end
  return tree
end

-- ---- .json ---------------------------------------------------------------

forms.json = { options = {}, load_options = {} }

function forms.json.save(path, value)
  core.write_atomic(path, json.encode(value) .. "\n")
end

-- One value of a list a line.
forms.jsonl = { options = {}, load_options = {} }

function forms.jsonl.save(path, list)
  local lines = {}
  for i, value in ipairs(list) do lines[i] = json.encode(value) .. "\n" end
  core.write_atomic(path, table.concat(lines))
end

function forms.jsonl.load(path)
  local list = {}
  for line in core.read_text(path):gmatch "[^\n]+" do
    list[#list + 1] = json.decode(line, { nonfinite = true })
  end
  return list
end

function forms.json.load(path)
  return json.decode(core.read_text(path), { nonfinite = true })
end

-- ---- .csv ----------------------------------------------------------------

-- The shortest text from which a number of a dtype comes back.
local function number_text(v, dtype)
  if math.type(v) == "integer" then return ("%d"):format(v) end
  if v == true or v == false then return v and "1" or "0" end
  if v ~= v then return "nan" end
  if v == math.huge or v == -math.huge then return v > 0 and "inf" or "-inf" end
  if dtype == "f64" then return (json.number(v):gsub("%.0$", "")) end
  for digits = 7, 9 do
    local text = ("%." .. digits .. "g"):format(v)
    if string.unpack("f", string.pack("f", tonumber(text))) == v then
      return text
    end
  end
end

local function header_line(header, columns)
  if type(header) ~= "table" or #header ~= columns then
    fail("save: header must be a list of %d names", columns)
  end
  local fields = {}
  for i, name in ipairs(header) do
    name = tostring(name)
    fields[i] = name:find '[",\r\n]' and '"' .. name:gsub('"', '""') .. '"'
      or name
  end
  return table.concat(fields, ",")
end

forms.csv = { options = { "header" }, load_options = { "header", "dtype" } }

function forms.csv.save(path, value, o)
  local x = only_tensor(value, path, "")
  if x.ndim < 1 or x.ndim > 2 then
    fail("save: '%s' holds a vector or a matrix, not shape {%s}", path,
         table.concat(x.shape, ", "))
  end
  if x.ndim == 1 then x = x:unsqueeze(2) end
  local lines, dtype = {}, x.dtype
  if o.header then lines[1] = header_line(o.header, x:size(2)) end
  for _, row in ipairs(x:totable()) do
    for k, v in ipairs(row) do row[k] = number_text(v, dtype) end
    lines[#lines + 1] = table.concat(row, ",")
  end
  core.write_atomic(path, table.concat(lines, "\n") .. "\n")
end

function forms.csv.load(path, o) return csv.matrix(path, o.header, o.dtype) end

-- ---- by ending -----------------------------------------------------------

local function form_of(path, what)
  if type(path) ~= "string" then
    fail("%s: the path is a %s, not a string", what, type(path))
  end
  local ending = path:match "%.([%w_]+)$"
  local form = ending and forms[ending:lower()]
  if form then return form end
  local known = {}
  for name in pairs(forms) do known[#known + 1] = "." .. name end
  table.sort(known)
  fail("%s: '%s' must end in one of %s", what, path,
       table.concat(known, ", "))
end

local files = {}

--- Writes a tree of tensors. `.npy` holds one tensor; `.npz` a tree, with
--- names such as "1.weight" (numbers and booleans become tensors without
--- dims; strings and empty tables come back as they are); `.json` any tree,
--- tensors as nested lists; `.csv` a vector or a matrix, under a header if one
--- is given.
---
--- ```lua
--- sd.save("net.npz", { { weight = sd.randn(3, 2), bias = sd.zeros(3) } })
--- print(sd.load("net.npz")[1].weight)
--- os.remove "net.npz"
--- ```
---@param path string
---@param tree any
---@param o? { header: string[] } of a .csv file
function files.save(path, tree, o)
  local form = form_of(path, "save")
  form.save(path, tree, sd.check_options(o, form.options, "save"))
end

--- Reads what save, NumPy or others wrote. Of `.npz`, keys that are whole
--- numbers become integers; of `.json`, lists stay tables of numbers; of
--- `.csv`, the header's names are a second result.
---@param path string
---@param o? { header: boolean, dtype: string } of a .csv file
---@return any tree
---@return string[]? header
function files.load(path, o)
  local form = form_of(path, "load")
  return form.load(path, sd.check_options(o, form.load_options, "load"))
end

return files
