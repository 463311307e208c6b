-- The ranges of a figure's axes and the corner its legend goes to. Computed
-- once, so that gnuplot and the terminal show the same window.

local data = require "saddle.plot.data"

local LEAST, MOST = 5e-324, 1.7976931348623157e308

local function padded(low, high, is_log, pad)
  if is_log then
    local factor = (high / low) ^ pad
    if high == low then factor = 2 end
    return { math.max(low / factor, LEAST), math.min(high * factor, MOST) }
  end
  local extra = (high - low) * pad
  if high == low then extra = math.max(math.abs(low) * 0.1, 0.5) end
  return { math.max(low - extra, -MOST), math.min(high + extra, MOST) }
end

--- A range around the finite numbers of some lists.
---@param lists number[][]
---@param is_log? boolean numbers above zero only, padded by a factor
---@param pad? number share of the range added on both sides
---@return number[] range {from, to}
local function around(lists, is_log, pad)
  local low, high = data.extent(lists, is_log)
  if not low then return is_log and { 1, 10 } or { 0, 1 } end
  return padded(low, high, is_log, pad or 0)
end

--- Where a value lies in a range: 0 at its start, 1 at its end.
---@param value number
---@param range number[]
---@param is_log? boolean
---@return number share NaN when a logarithmic axis cannot show it
local function share(value, range, is_log)
  if not is_log then return (value - range[1]) / (range[2] - range[1]) end
  if value <= 0 then return 0 / 0 end
  return math.log(value / range[1]) / math.log(range[2] / range[1])
end

--- Calls visit(u, v) with points along a curve, in shares of the two axes,
--- close enough together to see which places the curve crosses.
---@param figure table with xrange, yrange, logx, logy
---@param xs number[]
---@param ys number[]
---@param visit fun(u: number, v: number)
local function walk(figure, xs, ys, visit)
  local last_u, last_v
  for i = 1, #xs do
    local u = share(xs[i], figure.xrange, figure.logx)
    local v = share(ys[i], figure.yrange, figure.logy)
    local pieces = 1
    if last_u and u == u and v == v and last_v == last_v then
      local far = math.max(math.abs(u - last_u), math.abs(v - last_v))
      pieces = math.max(1, math.min(20, math.ceil(far * 20)))
    end
    for k = 1, pieces do
      local t = k / pieces
      visit(pieces == 1 and u or last_u + t * (u - last_u),
        pieces == 1 and v or last_v + t * (v - last_v))
    end
    last_u, last_v = u, v
  end
end

local function key_extent(figure)
  local longest, count = 0, 0
  for _, series in ipairs(figure.series) do
    if series.name then
      longest = math.max(longest, utf8.len(series.name) or #series.name)
      count = count + 1
    end
  end
  local width = 60 + 7 * longest
  return width / (figure.size[1] - 80), (14 + 17 * count) /
    (figure.size[2] - 90), count
end

local CORNERS = { { "top right", 1, 1 }, { "top left", 0, 1 },
  { "bottom right", 1, 0 }, { "bottom left", 0, 0 } }

local function crowd(figure, corner, width, height)
  local inside, all = 0, 0
  for _, series in ipairs(figure.series) do
    for _, ys in ipairs{ series.y, series.lo, series.hi } do
      walk(figure, series.x, ys, function(u, v)
        local in_x = math.abs(u - corner[2]) < width
        local in_y = math.abs(v - corner[3]) < height
        if in_x and in_y then inside = inside + 1 end
        all = all + 1
      end)
    end
  end
  return inside / math.max(all, 1)
end

--- The emptiest corner for the legend; "outside" when all are crowded, nil
--- when nothing has a name.
---@param figure table
---@return string?
local function legend_place(figure)
  local width, height, count = key_extent(figure)
  if count == 0 then return nil end
  if width > 0.7 or height > 0.7 then return "outside" end
  local best, least = "outside", 0.04
  for _, corner in ipairs(CORNERS) do
    local share_inside = crowd(figure, corner, width, height)
    if share_inside < least then best, least = corner[1], share_inside end
  end
  return best
end

return {
  around = around,
  legend_place = legend_place,
  share = share,
  walk = walk,
}
