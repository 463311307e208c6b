-- Tables whose unknown fields are errors that suggest the nearest name.

local fail = require "saddle.fail"

local module = {}

--- " (did you mean 'x'?)" with the name in known that is nearest to key, or
--- otherwise, "" when that is not given.
function module.hint(key, known, otherwise)
  local near = require "saddle.nearest" (tostring(key), known)
  return near and (" (did you mean '%s'?)"):format(near) or otherwise or ""
end

local function add_names(t, list)
  for k in next, t do
    if type(k) == "string" and k:sub(1, 2) ~= "__" then list[#list + 1] = k end
  end
end

--- An __index for objects with these methods. Fields whose names are keys of
--- optional may be nil, and so may what is no string: whoever walks a tree
--- asks for [1].
function module.fields(name, methods, optional)
  optional = optional or {}
  return function(self, key)
    local method = rawget(methods, key)
    if method ~= nil or type(key) ~= "string" or optional[key] then
      return method
    end
    local known = {}
    add_names(self, known)
    add_names(methods, known)
    add_names(optional, known)
    fail("%s has no '%s'%s", name, key, module.hint(key, known))
  end
end

--- t, from now on strict about its fields.
function module.strict(name, t)
  return setmetatable(t, { __index = module.fields(name, {}) })
end

return module
