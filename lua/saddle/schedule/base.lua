-- What a schedule is: a function of the step with arithmetic, and how one is
-- defined by its options.

local fail = require "saddle.fail"
local module = require "saddle.module"
local options = require "saddle.arguments".options

---@class saddle.Schedule
---@field length integer the step it has ended at, as far as it knows
---@operator call(integer): number
local Schedule = {}
local methods = {}

-- ---- options ---------------------------------------------------------------

-- An option's line is "name|alias:K", then "=value" when it may be left out or
-- "?" when it then stays nil. Kinds are those of saddle.arguments; R stands
-- for a finite number, P for one above 0, Z for a whole number from 0.
local ranges = {
  R = { "F", "a finite number", function(v)
    return v > -math.huge and v < math.huge
  end },
  P = { "F", "a finite number above 0", function(v)
    return v > 0 and v < math.huge
  end },
  Z = { "I", "a whole number from 0", function(v) return v >= 0 end },
}

local function default_of(text)
  if text == "true" or text == "false" then return text == "true" end
  return tonumber(text) or text
end

local function parse(line)
  local spec = {}
  for names, kind, rest in line:gmatch "([%w_|]+):(%u)(%S*)" do
    local row = { kind = kind, optional = rest ~= "",
                  default = rest:sub(1, 1) == "=" and default_of(rest:sub(2)) }
    if row.default == false and rest ~= "=false" then row.default = nil end
    for name in names:gmatch "[^|]+" do row[#row + 1] = name end
    spec[#spec + 1] = row
  end
  return spec
end

-- The option of a row under whichever of its names it was given.
local function pick(what, given, row)
  local value, named
  for _, name in ipairs(row) do
    local v = given[name]
    if v ~= nil and value ~= nil then
      fail("%s: %s and %s are two names of one option", what, named, name)
    end
    if v ~= nil then value, named = v, name end
  end
  local range = ranges[row.kind]
  if value ~= nil and range and not range[3](value) then
    fail("%s: %s must be %s, not %s", what, named, range[2], tostring(value))
  elseif value == nil and not row.optional then
    fail("%s: needs %s", what, table.concat(row, " or "))
  end
  if value == nil then value = row.default end
  return value
end

local function read(what, spec, given)
  local known = {}
  for _, row in ipairs(spec) do
    local range = ranges[row.kind]
    for _, name in ipairs(row) do
      known[#known + 1] = name .. ":" .. (range and range[1] or row.kind)
    end
  end
  options(given, known, what)
  local o = {}
  for _, row in ipairs(spec) do o[row[1]] = pick(what, given, row) end
  return o
end

-- ---- the object ------------------------------------------------------------

local function new(name, f, length, fields)
  local self = fields or {}
  self.name, self.f = name, f
  self.length = math.max(1, math.floor(length or 100))
  return setmetatable(self, Schedule)
end

-- The function schedule.name: make(o) gives the value as a function of
-- k = step - 1, then the step it has ended at and further fields.
local function define(name, line, make)
  local what, spec = "schedule." .. name, parse(line)
  return function(given)
    if type(given) == "number" and #spec == 1 then
      given = { [spec[1][1]] = given }
    end
    return new(name, make(read(what, spec, given or {}), what))
  end
end

function Schedule:__call(t)
  if type(t) ~= "number" or not (t >= 1) or t == math.huge then
    fail("schedule.%s: a step is a number from 1, not %s", self.name,
         type(t) == "number" and tostring(t) or type(t))
  end
  return self.f(t - 1)
end

function Schedule:__tostring()
  return ("schedule.%s: %.4g, ... %.4g at step %d"):format(
    self.name, self(1), self(self.length), self.length)
end

local function is_callable(v)
  local mt = getmetatable(v)
  return type(v) == "function" or
         type(v) == "table" and mt ~= nil and mt.__call ~= nil
end

local function as_function(v, what)
  if type(v) == "number" then return function() return v end end
  if not is_callable(v) then
    fail("%s: a %s is neither a number nor a function of the step", what,
         type(v))
  end
  return v
end

local function length_of(...)
  local most = 1
  for i = 1, select("#", ...) do
    local s = select(i, ...)
    if getmetatable(s) == Schedule then most = math.max(most, s.length) end
  end
  return most
end

local function arithmetic(sign, apply)
  return function(a, b)
    local what = ("schedule %s"):format(sign)
    local f, g = as_function(a, what), as_function(b, what)
    return new(sign, function(k) return apply(f(k + 1), g(k + 1)) end,
               length_of(a, b))
  end
end

Schedule.__add = arithmetic("+", function(a, b) return a + b end)
Schedule.__sub = arithmetic("-", function(a, b) return a - b end)
Schedule.__mul = arithmetic("*", function(a, b) return a * b end)
Schedule.__div = arithmetic("/", function(a, b) return a / b end)
Schedule.__pow = arithmetic("^", function(a, b) return a ^ b end)

function Schedule:__unm() return 0 - self end

--- The schedule f(value): schedule:map(math.sqrt).
---@param f fun(value: number): number
function methods:map(f)
  if not is_callable(f) then
    fail("schedule:map: expected a function, got %s", type(f))
  end
  return new("map", function(k) return f(self.f(k)) end, self.length)
end

--- The values at the steps 1 to n, a list.
---@param n? integer the schedule's own length unless told
function methods:values(n)
  n = n or self.length
  if math.type(n) ~= "integer" or n < 1 then
    fail("schedule:values: n must be a whole number above 0, not %s",
         tostring(n))
  end
  local list = {}
  for t = 1, n do list[t] = self(t) end
  return list
end

--- A figure of the schedule, saved when a path is given.
---@param path? string
---@param o? table steps, and what sd.plot.lines takes
---@return saddle.plot.Figure
function methods:plot(path, o)
  local lines = { xlabel = "step", ylabel = "value" }
  for k, v in pairs(o or {}) do lines[k] = v end
  lines.y, lines.steps = self:values(lines.steps), nil
  local figure = require "saddle.plot".lines(lines)
  return path and figure:save(path) or figure
end

Schedule.__index = module.fields("the schedule", methods, { momentum = true })

return { as_function = as_function, define = define, length_of = length_of,
         new = new, parse = parse, read = read }
