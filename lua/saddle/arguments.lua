-- Arguments of the functions that are written in Lua, checked against the
-- line that describes them in help, as the core's are against theirs:
--
--   "x dim:I? keepdim=false"
--
-- a name, a kind, `?` or `=default` where it may be left out. Without a
-- kind what must be given is a tensor, and the rest is the function's
-- business. T: tensor or number. I: whole number. D: a whole number or a
-- list of them. L: a list. A table of options may stand in the place of D,
-- and of what has no default.

local fail = require "saddle.fail"
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

local kinds = {
  X = { "a tensor", is_tensor },
  T = { "a tensor or number",
        function(v) return type(v) == "number" or is_tensor(v) end },
  I = { "a whole number", is_integer },
  D = { "whole numbers",
        function(v) return is_integer(v) or is_list_of_integers(v) end },
  L = { "a list", function(v) return type(v) == "table" end },
}

local function is_options(v)
  return type(v) == "table" and v[1] == nil
end

local function check(what, name, kind, rest)
  local expected, good = kind[1], kind[2]
  local optional = rest ~= ""
  local options = rest == "?" or optional and kind == kinds.D
  return function(v)
    if good(v) or optional and v == nil or options and is_options(v) then
      return
    end
    fail("%s: %s: expected %s, got %s", what, name, expected,
         v == nil and "nothing" or is_tensor(v) and "tensor" or type(v))
  end
end

local function ignore() end

--- f, refusing arguments that are not what the line says.
return function(what, line, f)
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
