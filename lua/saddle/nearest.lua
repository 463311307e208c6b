-- The known name nearest to a misspelt one, for error messages.

--- Edit distance, a swap of neighbours counting as one edit.
local function distance(a, b)
  local before, above = {}, {}
  for j = 0, #b do above[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local d = above[j - 1] + (same and 0 or 1)
      d = math.min(d, above[j] + 1, row[j - 1] + 1)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and
         a:byte(i - 1) == b:byte(j) then
        d = math.min(d, before[j - 2] + 1)
      end
      row[j] = d
    end
    before, above = above, row
  end
  return above[#b]
end

--- The name among known within a third of key's length, or nil.
---@param key string
---@param known string[]
---@return string?
return function(key, known)
  local best, least = nil, math.max(1, #key // 3) + 1
  for _, name in ipairs(known) do
    if type(name) == "string" then
      local d = distance(key, name)
      if d < least or d == least and best and name < best then
        best, least = name, d
      end
    end
  end
  return best
end
