-- Checks that all makers of data share.

local fail = require "saddle.fail"
local sd = require "saddle.init"

local options = {}

--- A whole number of at least least; what names the option in errors.
function options.whole(value, default, least, what)
  if value == nil then value = default end
  local n = math.tointeger(value)
  if not n or n < least then
    fail("%s must be a whole number of at least %d, not %s", what, least,
         tostring(value))
  end
  return n
end

--- A number of at least least.
function options.number(value, default, least, what)
  if value == nil then value = default end
  if type(value) ~= "number" or value ~= value or
     value < least then
    fail("%s must be a number of at least %g, not %s", what, least,
         tostring(value))
  end
  return value
end

--- The options of the random functions, for one seed.
function options.source(seed)
  return { dtype = "f32", generator = sd.generator(seed or 1) }
end

function options.folder(dir, what)
  if type(dir) == "string" then return dir end
  fail("%s: the folder is a %s, not a string", what, type(dir))
end

return options
