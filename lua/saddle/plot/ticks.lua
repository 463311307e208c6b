-- Round numbers for axes, colour bars and contour levels.

--- The step from {1, 2, 2.5, 5} x 10^k that cuts a span into about n parts.
---@param span number above zero
---@param n integer
---@return number
local function nice_step(span, n)
  local raw = span / n
  local power = 10.0 ^ math.floor(math.log(raw, 10))
  for _, factor in ipairs{ 1, 2, 2.5, 5 } do
    if raw <= factor * power * 1.0001 then return factor * power end
  end
  return 10 * power
end

--- A short text for a number; `step` is the distance to its neighbours.
---@param x number
---@param step? number
---@return string
local function label(x, step)
  if step and math.abs(x) < step * 1e-6 then return "0" end
  local digits = step and math.ceil(math.log(math.abs(x) / step, 10)) + 2 or 4
  digits = math.max(4, math.min(15, digits))
  local text = ("%." .. digits .. "g"):format(x)
  if math.abs(x) < 1e-3 and x ~= 0 then
    text = ("%." .. digits - 1 .. "e"):format(x):gsub("%.?0*e", "e")
  end
  return (text:gsub("e([+-])0*(%d)", function(sign, digit)
    return "e" .. (sign == "-" and "-" or "") .. digit
  end))
end

--- Round values inside [low, high], with their labels.
---@param low number
---@param high number
---@param n? integer about how many, 5 unless told
---@return { at: number, label: string }[]
local function linear(low, high, n)
  local span = high - low
  if span <= 0 or span - span ~= 0 then
    return { { at = low, label = label(low) } }
  end
  local step, found = nice_step(span, n or 5), {}
  local first = math.ceil(low / step - 1e-9)
  local last = math.floor(high / step + 1e-9)
  for i = first, last do
    found[#found + 1] = { at = i * step, label = label(i * step, step) }
  end
  return found
end

-- The mantissas that give a handful of ticks over so many decades.
local function mantissas(decades)
  if decades < 1 then return { 1, 1.5, 2, 3, 4, 5, 7 } end
  if decades < 2 then return { 1, 2, 5 } end
  if decades < 4 then return { 1, 3 } end
  return { 1 }
end

--- Round values inside [low, high] for a logarithmic axis; `at` is the value
--- itself, not its logarithm.
---@param low number above zero
---@param high number
---@param n? integer about how many, 5 unless told
---@return { at: number, label: string }[]
local function log(low, high, n)
  local first, last = math.log(low, 10), math.log(high, 10)
  if last - first > 700 or last - first ~= last - first then return {} end
  local stride = math.max(1, math.ceil((last - first) / ((n or 5) + 2)))
  local found = {}
  for power = math.floor(first), math.ceil(last) do
    for _, m in ipairs(mantissas(last - first)) do
      local at = m * 10.0 ^ power
      if power % stride == 0 and at >= low * 0.9999 and at <= high * 1.0001
      then
        found[#found + 1] = { at = at, label = label(at) }
      end
    end
  end
  return found
end

return { label = label, linear = linear, log = log, nice_step = nice_step }
