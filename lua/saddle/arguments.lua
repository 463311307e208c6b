-- Arguments of the functions that are written in Lua, checked against the
-- line that describes them in help, as the core's are against theirs:
--
--   "x dim:I? keepdim=false"
--
-- a name, a kind, `?` or `=default` where it may be left out. Without a
-- kind what must be given is a tensor, and the rest is the function's
-- business. A table of options may stand in the place of D, and of what has
-- no default. Options are checked against a list of "name:kind".

local fail = require "saddle.fail"
local module = require "saddle.module"
local is_tensor = require "saddle.core".is_tensor
local math_type = math.type

local function is_list_of_integers(v)
  if type(v) ~= "table" then return false end
  for _, e in ipairs(v) do
    if math_type(e) ~= "integer" then return false end
  end
  return true
end

local function is_integer(v)
  return math_type(v) ~= nil and math.tointeger(v) ~= nil
end

local function is_callable(v)
  local mt = getmetatable(v)
  return type(v) == "function" or type(mt) == "table" and mt.__call ~= nil
end

local kinds = {
  X = { "a tensor", is_tensor },
  T = { "a tensor or number",
        function(v) return type(v) == "number" or is_tensor(v) end },
  F = { "a number", function(v) return type(v) == "number" and v == v end },
  I = { "a whole number", is_integer },
  N = { "a whole number above 0",
        function(v) return is_integer(v) and v > 0 end },
  D = { "whole numbers",
        function(v) return is_integer(v) or is_list_of_integers(v) end },
  L = { "a list", function(v) return type(v) == "table" end },
  B = { "true or false", function(v) return type(v) == "boolean" end },
  S = { "a string", function(v) return type(v) == "string" end },
  C = { "a function", is_callable },
}

local function show(v)
  if v == nil then return "nothing" end
  if is_tensor(v) then return "tensor" end
  if type(v) == "number" or type(v) == "boolean" then return tostring(v) end
  return type(v) == "string" and ("'%s'"):format(v) or type(v)
end

local function refuse(what, name, kind, v)
  fail("%s: %s: expected %s, got %s", what, name, kind[1], show(v))
end

local function is_options(v)
  return type(v) == "table" and v[1] == nil
end

local function check(what, name, kind, rest)
  local good = kind[2]
  local optional = rest ~= ""
  local options = rest == "?" or optional and kind == kinds.D
  return function(v)
    if good(v) or optional and v == nil or options and is_options(v) then
      return
    end
    refuse(what, name, kind, v)
  end
end

local function ignore() end

local arguments = {}

--- f, refusing arguments that are not what the line says.
function arguments.checked(what, line, f)
  local checks = {}
  for name, kind, rest in line:gmatch "([%w_]+):?(%u?)([^%s]*)" do
    if kind == "" and rest == "" then kind = "X" end
    checks[#checks + 1] = kinds[kind] and
                          check(what, name, kinds[kind], rest) or ignore
  end
  local c1, c2 = checks[1] or ignore, checks[2] or ignore
  local c3, c4 = checks[3] or ignore, checks[4] or ignore
  return function(a, b, c, d, ...)
    c1(a)
    c2(b)
    c3(c)
    c4(d)
    return f(a, b, c, d, ...)
  end
end

local function unknown(what, name, known)
  local names = {}
  for i, entry in ipairs(known) do names[i] = entry:match "^[^:]*" end
  fail("%s: unknown option '%s'%s", what, tostring(name),
       module.hint(name, names,
                   (" (it takes %s)"):format(table.concat(names, ", "))))
end

--- t, a table of options or nil, whose entries known must name:
--- { "keepdim:B", "dtype" }, a kind where the value has one.
function arguments.options(t, known, what)
  if t == nil then return {} end
  if type(t) ~= "table" then
    fail("%s: options must be a table, not %s", what, show(t))
  end
  for name, v in pairs(t) do
    local kind
    for _, entry in ipairs(known) do
      if entry == name then kind = kinds.any break end
      local k = entry:match "^(.*):" == name and entry:match ".$"
      if k then kind = kinds[k] break end
    end
    if not kind then unknown(what, name, known) end
    if not kind[2](v) then refuse(what, name, kind, v) end
  end
  return t
end

kinds.any = { "anything", function() return true end }

return arguments
