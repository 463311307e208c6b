-- Random probes: rows of random signs, or the columns the caller brings.

local sd = require "saddle.init"

return function(self, given, otherwise, seed)
  if sd.is_tensor(given) then return self:columns(given, "probes") end
  local count = given or otherwise
  if math.type(count) ~= "integer" or count < 1 then
    require "saddle.fail" (
      "probes: needs a count or a matrix of columns, not %s", tostring(count))
  end
  local g = sd.generator(seed or 1)
  local u = sd.randint(0, 1, { count, self.n }, { generator = g })
  return (u * 2 - 1):to(self.dtype)
end
