-- Numbers out of tables and tensors, checked: lists and matrices of plain Lua
-- floats. Not-a-number and infinities pass; whoever draws leaves gaps there.

local fail = require "saddle.fail"

local function lookup(v) return v.totable end

--- Whether a value has the method `totable`, as tensors do.
---@param v any
---@return boolean
local function is_tensor(v)
  if type(v) ~= "table" and type(v) ~= "userdata" then return false end
  local found, method = pcall(lookup, v)
  return found and type(method) == "function"
end

local function plain(v)
  if is_tensor(v) then return v:totable() end
  return v
end

--- A number, or the number in a one-element tensor.
---@param v any
---@param what string how error messages name it
---@return number
local function number(v, what)
  local x = plain(v)
  while type(x) == "table" and #x == 1 do x = x[1] end
  if x == true then return 1 elseif x == false then return 0 end
  if type(x) ~= "number" then
    fail("%s is a %s, a number was expected", what, type(x))
  end
  return x
end

--- A list of numbers from a sequence or a one-dimensional tensor.
---@param v any
---@param what string
---@return number[]
local function list(v, what)
  local t, out = plain(v), {}
  if type(t) ~= "table" then
    fail("%s is a %s, a list of numbers was expected", what, type(t))
  end
  for i = 1, #t do
    local x = t[i]
    if type(x) ~= "number" then x = number(x, what .. "[" .. i .. "]") end
    out[i] = x
  end
  return out
end

local function append_all(v, what, out)
  local t = plain(v)
  if type(t) ~= "table" then
    out[#out + 1] = number(t, what)
    return out
  end
  for i = 1, #t do append_all(t[i], what, out) end
  return out
end

--- All the numbers of nested tables and tensors of any depth, in order.
---@param v any
---@param what string
---@return number[]
local function flat(v, what)
  return append_all(v, what, {})
end

-- Strips leading dims of extent one down to the wanted depth.
local function squeeze(t, depth)
  local function levels(u)
    return type(u) == "table" and 1 + levels(u[1]) or 0
  end
  while #t == 1 and levels(t) > depth do t = plain(t[1]) end
  return t
end

--- A matrix of numbers: a list of rows of one length.
---@param v any
---@param what string
---@return number[][]
local function matrix(v, what)
  local t = plain(v)
  if type(t) ~= "table" or type(plain(t[1])) ~= "table" then
    fail("%s must be a matrix: a table of rows or a tensor of two dims", what)
  end
  local rows = {}
  for i, row in ipairs(squeeze(t, 2)) do
    rows[i] = list(row, ("%s[%d]"):format(what, i))
    if #rows[i] ~= #rows[1] then
      fail("%s: row %d has %d numbers, row 1 has %d", what, i, #rows[i],
        #rows[1])
    end
  end
  if #rows[1] == 0 then fail("%s has no columns", what) end
  return rows
end

--- Whether a number is neither NaN nor infinite.
---@param x number
---@return boolean
local function is_finite(x)
  return x == x and x > -math.huge and x < math.huge
end

--- Least and largest of the finite numbers of some lists; nil when none.
---@param lists number[][]
---@param positive? boolean look at numbers above zero only
---@return number? least
---@return number? largest
local function extent(lists, positive)
  local least, largest
  for _, xs in ipairs(lists) do
    for i = 1, #xs do
      local x = xs[i]
      if is_finite(x) and (x > 0 or not positive) then
        if not least or x < least then least = x end
        if not largest or x > largest then largest = x end
      end
    end
  end
  return least, largest
end

--- The q-quantile of the finite numbers, linear between order statistics.
---@param xs number[]
---@param q number in [0, 1]
---@return number? nil when there are none
local function quantile(xs, q)
  local sorted = {}
  for _, x in ipairs(xs) do
    if is_finite(x) then sorted[#sorted + 1] = x end
  end
  if #sorted == 0 then return nil end
  table.sort(sorted)
  local at = 1 + q * (#sorted - 1)
  local low = math.floor(at)
  local high = math.min(low + 1, #sorted)
  return sorted[low] + (at - low) * (sorted[high] - sorted[low])
end

--- The numbers from..to in n equal steps.
---@param from number
---@param to number
---@param n integer
---@return number[]
local function linspace(from, to, n)
  local xs = {}
  for i = 1, n do
    xs[i] = n == 1 and from or from + (to - from) * (i - 1) / (n - 1)
  end
  return xs
end

return {
  extent = extent,
  flat = flat,
  is_finite = is_finite,
  is_tensor = is_tensor,
  linspace = linspace,
  list = list,
  matrix = matrix,
  number = number,
  plain = plain,
  quantile = quantile,
  squeeze = squeeze,
}
