-- Checks tables of options against the table that lists them: a misspelt name
-- is an error that suggests the nearest known one, a value of the wrong type
-- an error that says which was expected.

local fail = require "saddle.fail"
local module = require "saddle.module"

local function is_range(v)
  return type(v) == "table" and #v == 2 and type(v[1]) == "number"
    and type(v[2]) == "number" and v[1] < v[2]
end

local function is_colour(v)
  return type(v) == "string" and v:find("^#%x%x%x%x%x%x$") ~= nil
end

-- A type is a name that type() gives, one of these, or a list of words.
local TYPES = {
  any = { "anything", function() return true end },
  colour = { "a colour such as \"#0072B2\"", is_colour },
  range = { "a range {from, to} with from < to", is_range },
  data = { "a table of numbers or a tensor", function(v)
    return type(v) == "table" or type(v) == "userdata"
  end },
}

local function words(list)
  return '"' .. table.concat(list, '", "') .. '"'
end

local function one_of(list, value)
  for _, word in ipairs(list) do
    if word == value then return true end
  end
  return false
end

local function expected(kind, value)
  if type(kind) == "table" then
    return not one_of(kind, value) and "one of " .. words(kind)
  end
  local custom = TYPES[kind]
  if custom then return not custom[2](value) and custom[1] end
  return type(value) ~= kind and "a " .. kind
end

local function show(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "number" then return tostring(value) end
  return "a " .. type(value)
end

local function unknown(what, name, known)
  local names = {}
  for candidate in pairs(known) do names[#names + 1] = candidate end
  table.sort(names)
  fail("%s: unknown option '%s'%s", what, tostring(name),
       module.hint(name, names,
                   (" (it takes %s)"):format(table.concat(names, ", "))))
end

--- Checks a table of options; positional entries are left to the caller.
---@param what string the function, as its error messages begin
---@param given any the options
---@param known table<string, string | string[]> name to type
local function check(what, given, known)
  if type(given) ~= "table" then
    fail("%s: a table of options was expected, got %s", what, show(given))
  end
  for name, value in pairs(given) do
    if math.type(name) ~= "integer" then
      local kind = known[name] or unknown(what, name, known)
      local wanted = expected(kind, value)
      if wanted then
        fail("%s: %s must be %s, got %s", what, name, wanted, show(value))
      end
    end
  end
end

--- A table with the entries of several.
---@param ... table<string, any>
---@return table<string, any>
local function merge(...)
  local all = {}
  for _, t in ipairs{ ... } do
    for name, value in pairs(t) do all[name] = value end
  end
  return all
end

return { check = check, merge = merge }
