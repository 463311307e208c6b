-- JSON text from Lua values and back. The text is deterministic: keys in
-- order, every number the shortest text that reads back as the same number.
-- JSON has no NaN or infinity: they are written as the strings "NaN",
-- "Infinity" and "-Infinity", which Python's float() and JavaScript's
-- Number() turn back into numbers, as decode does when asked.

local fail = require "saddle.fail"

local DEPTH = 200
local null = setmetatable({}, { __tostring = function() return "null" end })
local array_mark = {}

---@alias saddle.json.Nonfinite "string" | "null"

-- ---- numbers -------------------------------------------------------------

local NONFINITE = { NaN = 0 / 0, Infinity = 1 / 0, ["-Infinity"] = -1 / 0 }

local function nonfinite_name(x)
  if x ~= x then return "NaN" end
  return x > 0 and "Infinity" or "-Infinity"
end

local function shortest(x)
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(x)
    if tonumber(text) == x then return text end
  end
end

--- The shortest text that reads back as the same number and subtype.
---@param x number a finite number
---@return string
local function number(x)
  if math.type(x) == "integer" then return ("%d"):format(x) end
  local text = shortest(x)
  return text:find("[.e]") and text or text .. ".0"
end

-- ---- encoding ------------------------------------------------------------

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n",
  ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b", ["\f"] = "\\f" }

local function escape(char)
  return ESCAPES[char] or ("\\u%04x"):format(char:byte())
end

-- Text that is not UTF-8 is read as Latin-1, so that no byte is lost.
local function encode_string(s)
  local pattern = utf8.len(s) and '[%c"\\\127]' or '[%c"\\\127-\255]'
  return '"' .. s:gsub(pattern, escape) .. '"'
end

local function key_before(a, b)
  if type(a) == type(b) then return a < b end
  return type(a) == "number"
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do
    local kind = type(key)
    if kind ~= "string" and kind ~= "number" then
      fail("json: a table key is a %s; keys are strings or numbers", kind)
    end
    if kind == "number" and t[tostring(key)] ~= nil then
      fail("json: the keys %s and \"%s\" would be the same", key, key)
    end
    keys[#keys + 1] = key
  end
  table.sort(keys, key_before)
  return keys
end

local function is_array(t)
  if getmetatable(t) == array_mark then return true end
  local count = 0
  for _ in pairs(t) do count = count + 1 end
  return count > 0 and count == #t
end

local function is_tensor(v)
  local found, method = pcall(function() return v.totable end)
  return found and type(method) == "function"
end

local encode_value

local function encode_array(t, depth, options)
  local parts = {}
  for i = 1, #t do parts[i] = encode_value(t[i], depth + 1, options) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_object(t, depth, options)
  local parts = {}
  for i, key in ipairs(sorted_keys(t)) do
    parts[i] = encode_string(tostring(key)) .. ":"
      .. encode_value(t[key], depth + 1, options)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function encode_number(x, _, options)
  if x == x and math.abs(x) < 1 / 0 then return number(x) end
  if options.nonfinite == "null" then return "null" end
  return '"' .. nonfinite_name(x) .. '"'
end

local function encode_table(t, depth, options)
  if t == null then return "null" end
  if is_tensor(t) then return encode_value(t:totable(), depth, options) end
  local encode = is_array(t) and encode_array or encode_object
  return encode(t, depth, options)
end

local ENCODERS = {
  ["nil"] = function() return "null" end,
  boolean = tostring,
  number = encode_number,
  string = encode_string,
  table = encode_table,
}

function encode_value(v, depth, options)
  if depth > DEPTH then
    fail("json: deeper than %d levels (does a table contain itself?)", DEPTH)
  end
  local encode = ENCODERS[type(v)]
  if encode then return encode(v, depth, options) end
  if is_tensor(v) then return encode_value(v:totable(), depth, options) end
  fail("json: a %s cannot be written", type(v))
end

--- One line of JSON for a Lua value. A table with the keys 1 to n is an
--- array, any other an object (so an empty table is `{}`; see `array`);
--- number keys become strings; a tensor is written as nested arrays.
---
--- ```lua
--- local json = require "saddle.json"
--- print(json.encode{ step = 10, loss = 0.1, lr = { 1e-3, 3e-4 } })
--- ```
---@param value any
---@param options? { nonfinite: saddle.json.Nonfinite } NaN and infinities as
---strings, the default, or as null
---@return string
local function encode(value, options)
  return encode_value(value, 0, options or {})
end

--- Marks a table as an array even when it is empty.
---@param t table
---@return table t the same table
local function array(t)
  return setmetatable(t, array_mark)
end

-- ---- decoding ------------------------------------------------------------

local UNESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local WORDS = { ["true"] = true, ["false"] = false, ["null"] = null }

local function bad(s, at, what)
  local _, lines = s:sub(1, at - 1):gsub("\n", "")
  fail("json: %s at line %d, byte %d", what, lines + 1, at)
end

local function skip(s, at)
  return s:find("[^ \t\r\n]", at) or #s + 1
end

-- Two \u halves of a pair make one character above U+FFFF.
local function unicode(s, at)
  local code = tonumber(s:match("^\\u(%x%x%x%x)", at) or bad(s, at,
    "a broken \\u escape"), 16)
  local low = tonumber(s:match("^\\u([dD][c-fC-F]%x%x)", at + 6) or "", 16)
  if code >= 0xD800 and code < 0xDC00 and low then
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
    return utf8.char(code), at + 12
  end
  return utf8.char(code), at + 6
end

local function decode_escape(s, at)
  local char = s:sub(at + 1, at + 1)
  if char == "u" then return unicode(s, at) end
  return UNESCAPES[char] or bad(s, at, "an unknown escape"), at + 2
end

local function decode_string(s, at)
  local parts, from = {}, at + 1
  while true do
    local stop = s:find('["\\%c]', from) or bad(s, at, "an unfinished string")
    parts[#parts + 1] = s:sub(from, stop - 1)
    local char = s:sub(stop, stop)
    if char == '"' then return table.concat(parts), stop + 1 end
    if char ~= "\\" and char ~= "\127" then
      bad(s, stop, "a control character in a string")
    end
    if char == "\127" then
      parts[#parts + 1], from = char, stop + 1
    else
      parts[#parts + 1], from = decode_escape(s, stop)
    end
  end
end

local function decode_number(s, at)
  local text = s:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local value = text and not text:find("^-?0%d") and not text:find("%.$")
    and not text:find("%.[eE]") and tonumber(text)
  if not value then bad(s, at, "a value was expected") end
  return value, at + #text
end

local function decode_word(s, at)
  local word = s:match("^%a+", at)
  if WORDS[word] == nil then bad(s, at, "a value was expected") end
  return WORDS[word], at + #word
end

local decode_value

local function decode_array(s, at, depth, options)
  local list = array{}
  at = skip(s, at + 1)
  if s:sub(at, at) == "]" then return list, at + 1 end
  while true do
    list[#list + 1], at = decode_value(s, at, depth, options)
    at = skip(s, at)
    local char = s:sub(at, at)
    if char == "]" then return list, at + 1 end
    if char ~= "," then bad(s, at, "',' or ']' was expected") end
    at = at + 1
  end
end

local function decode_pair(s, at, depth, options)
  at = skip(s, at)
  if s:sub(at, at) ~= '"' then bad(s, at, "a key was expected") end
  local key, value
  key, at = decode_string(s, at)
  at = skip(s, at)
  if s:sub(at, at) ~= ":" then bad(s, at, "':' was expected") end
  value, at = decode_value(s, at + 1, depth, options)
  return key, value, at
end

local function decode_object(s, at, depth, options)
  local object = {}
  at = skip(s, at + 1)
  if s:sub(at, at) == "}" then return object, at + 1 end
  while true do
    local key, value, after = decode_pair(s, at, depth, options)
    object[key] = value
    at = skip(s, after)
    local char = s:sub(at, at)
    if char == "}" then return object, at + 1 end
    if char ~= "," then bad(s, at, "',' or '}' was expected") end
    at = at + 1
  end
end

local function decode_text(s, at, options)
  local text, after = decode_string(s, at)
  return options.nonfinite and NONFINITE[text] or text, after
end

function decode_value(s, at, depth, options)
  if depth > DEPTH then bad(s, at, "too many levels") end
  at = skip(s, at)
  local char = s:sub(at, at)
  if char == "{" then return decode_object(s, at, depth + 1, options) end
  if char == "[" then return decode_array(s, at, depth + 1, options) end
  if char == '"' then return decode_text(s, at, options) end
  if char:find("%a") then return decode_word(s, at) end
  return decode_number(s, at)
end

--- The Lua value of a JSON text. `null` is `json.null`, so that arrays keep
--- their length; arrays are marked, so that an empty one is written as one.
---
--- ```lua
--- local json = require "saddle.json"
--- print(json.decode('{"loss": [0.5, 0.25]}').loss[2])
--- ```
---@param text string
---@param options? { nonfinite: boolean } true: the strings "NaN", "Infinity"
---and "-Infinity" become numbers
---@return any
local function decode(text, options)
  local value, at = decode_value(text, 1, 0, options or {})
  at = skip(text, at)
  if at <= #text then bad(text, at, "text after the value") end
  return value
end

return {
  array = array,
  decode = decode,
  encode = encode,
  null = null,
  number = number,
}
