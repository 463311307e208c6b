-- Contour lines of a field by marching squares: segments cell by cell, joined
-- into polylines. A field is h[i][j] over x[j], y[i]; a cell with a corner
-- that is not finite is a hole.

local ticks = require "saddle.plot.ticks"

-- An edge of the grid has a number: two for each node, the horizontal edge
-- to its right and the vertical edge above it.
local function edge_numbers(field, i, j)
  local nx = #field.x
  local node = 2 * ((i - 1) * nx + j)
  return node, node + 3, node + 2 * nx, node + 1 -- bottom right top left
end

local function crossing(field, edge, level)
  local nx, node = #field.x, edge // 2 - 1
  local i, j = node // nx + 1, node % nx + 1
  local vertical = edge % 2
  local i2, j2 = i + vertical, j + 1 - vertical
  local a, b = field.h[i][j], field.h[i2][j2]
  local t = (level - a) / (b - a)
  return field.x[j] + t * (field.x[j2] - field.x[j]),
    field.y[i] + t * (field.y[i2] - field.y[i])
end

-- Corners from the lower left, counter-clockwise; the sum of the bits of
-- those above the level selects the edges to join: 1 bottom, 2 right, 3 top,
-- 4 left. Cases 5 and 10 are saddles, decided by the mean of the corners.
local CASES = { { 4, 1 }, { 1, 2 }, { 4, 2 }, { 2, 3 }, { 4, 1, 2, 3 },
  { 1, 3 }, { 4, 3 }, { 3, 4 }, { 1, 3 }, { 1, 2, 3, 4 }, { 2, 3 },
  { 2, 4 }, { 1, 2 }, { 4, 1 } }

local function case_of(a, b, c, d, level)
  local bits = (a > level and 1 or 0) + (b > level and 2 or 0)
    + (c > level and 4 or 0) + (d > level and 8 or 0)
  local middle_above = (a + b + c + d) / 4 > level
  if (bits == 5 or bits == 10) and middle_above then bits = 15 - bits end
  return CASES[bits]
end

local function link(links, a, b)
  links[a] = links[a] or {}
  links[b] = links[b] or {}
  table.insert(links[a], b)
  table.insert(links[b], a)
end

local function link_cell(links, field, i, j, level)
  local h = field.h
  local a, b, c, d = h[i][j], h[i][j + 1], h[i + 1][j + 1], h[i + 1][j]
  local sum = a + b + c + d
  if sum - sum ~= 0 then return end -- not finite
  local case = case_of(a, b, c, d, level)
  if not case then return end
  local edges = { edge_numbers(field, i, j) }
  link(links, edges[case[1]], edges[case[2]])
  if case[3] then link(links, edges[case[3]], edges[case[4]]) end
end

local function unlink(links, a, b)
  for k, other in ipairs(links[a]) do
    if other == b then table.remove(links[a], k) break end
  end
end

-- Follows the links from one edge until they end, using each up.
local function follow(links, field, edge, level)
  local line = { x = {}, y = {} }
  while edge do
    local n = #line.x + 1
    line.x[n], line.y[n] = crossing(field, edge, level)
    local next_edge = links[edge][1]
    if next_edge then
      unlink(links, edge, next_edge)
      unlink(links, next_edge, edge)
    end
    edge = next_edge
  end
  return line
end

--- The lines along which a field has one value.
---@param field { x: number[], y: number[], h: number[][] }
---@param level number
---@return { x: number[], y: number[] }[]
local function trace(field, level)
  local links, lines, edges = {}, {}, {}
  for i = 1, #field.y - 1 do
    for j = 1, #field.x - 1 do link_cell(links, field, i, j, level) end
  end
  for edge in pairs(links) do edges[#edges + 1] = edge end
  table.sort(edges)
  for pass = 1, 2 do -- open lines from their ends, then closed ones
    for _, edge in ipairs(edges) do
      local count = #links[edge]
      if count == 1 or (pass == 2 and count == 2) then
        lines[#lines + 1] = follow(links, field, edge, level)
      end
    end
  end
  return lines
end

--- About n round levels strictly between two heights.
---@param low number
---@param high number
---@param n integer
---@return number[]
local function levels(low, high, n)
  local found, margin = {}, (high - low) * 1e-6
  for _, tick in ipairs(ticks.linear(low, high, n)) do
    if tick.at > low + margin and tick.at < high - margin then
      found[#found + 1] = tick.at
    end
  end
  return found
end

return { levels = levels, trace = trace }
