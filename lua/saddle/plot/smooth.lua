-- A finer grid through the points of a field, for drawing lit surfaces: linear
-- interpolation has creases that the light shows as rings. Catmull and Rom's
-- cubic passes through every given point.

local data = require "saddle.plot.data"

-- E. Catmull and R. Rom, 1974: through p1 at t = 0 and p2 at t = 1.
local function cubic(p0, p1, p2, p3, t)
  return p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3
    + t * (3 * (p1 - p2) + p3 - p0)))
end

local function linear(p1, p2, t)
  if t == 0 then return p1 elseif t == 1 then return p2 end
  return p1 + t * (p2 - p1)
end

-- Beyond the ends, and across holes, a point is continued linearly.
local function between(p, i, t)
  local p1, p2 = p[i], p[i + 1]
  if t == 0 or t == 1 then return linear(p1, p2, t) end
  local p0, p3 = p[i - 1] or 2 * p1 - p2, p[i + 2] or 2 * p2 - p1
  local y = cubic(p0, p1, p2, p3, t)
  return data.is_finite(y) and y or linear(p1, p2, t)
end

local function refine(p, k)
  local out = {}
  for i = 1, #p - 1 do
    for s = 0, k - 1 do out[#out + 1] = between(p, i, s / k) end
  end
  out[#out + 1] = p[#p]
  return out
end

local function refine_axis(p, k)
  local out = {}
  for i = 1, #p - 1 do
    for s = 0, k - 1 do out[#out + 1] = linear(p[i], p[i + 1], s / k) end
  end
  out[#out + 1] = p[#p]
  return out
end

local function transpose(rows)
  local out = {}
  for j = 1, #rows[1] do
    out[j] = {}
    for i = 1, #rows do out[j][i] = rows[i][j] end
  end
  return out
end

local function refine_rows(rows, k)
  local out = {}
  for i, row in ipairs(rows) do out[i] = refine(row, k) end
  return out
end

-- A cubic overshoots beside a cliff; a surface stays within its own range.
local function clamp(rows, range)
  for _, row in ipairs(rows) do
    for j, h in ipairs(row) do
      if h < range[1] then row[j] = range[1] end
      if h > range[2] then row[j] = range[2] end
    end
  end
end

--- A field with k cells for each of its own, along both axes.
---@param figure { x: number[], y: number[], h: number[][], hrange: number[] }
---@param k integer
---@return { x: number[], y: number[], h: number[][] }
local function field(figure, k)
  local rows = refine_rows(figure.h, k)
  local h = transpose(refine_rows(transpose(rows), k))
  clamp(h, figure.hrange)
  return { x = refine_axis(figure.x, k), y = refine_axis(figure.y, k), h = h }
end

return { field = field }
