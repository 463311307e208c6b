-- A monitor's record as figures side by side.

local fail = require "saddle.fail"
local plot = require "saddle.plot"

local function column(record, get)
  local x, y = {}, {}
  for _, e in ipairs(record) do
    local v = get(e)
    if v ~= nil then x[#x + 1], y[#y + 1] = e.step, v end
  end
  return x, y
end

-- Whether a logarithmic axis suits the lists: most values are above 0. Those
-- that are not become gaps.
local function above_zero(lists)
  local above, count = 0, 0
  for _, list in ipairs(lists) do
    for _, v in ipairs(list) do
      count = count + 1
      if v > 0 then above = above + 1 end
    end
  end
  if above <= count / 2 then return false end
  for _, list in ipairs(lists) do
    for i, v in ipairs(list) do
      if not (v > 0) then list[i] = 0 / 0 end
    end
  end
  return true
end

local function one(record, title, get, more)
  local x, y = column(record, get)
  if #y == 0 then return nil end
  local lines = { x = x, y = y, title = title, xlabel = "step",
                  legend = "none" }
  for k, v in pairs(more or {}) do lines[k] = v end
  if lines.logy == nil then lines.logy = above_zero { y } end
  return plot.lines(lines)
end

-- At most six curves, evenly chosen: first to last layer.
local function chosen(n)
  local list, most = {}, math.min(n, 6)
  for k = 1, most do
    list[k] = math.floor((k - 1) * (n - 1) / math.max(most - 1, 1) + 1.5)
  end
  return list
end

-- Curves over the layers which(i) holds of.
local function layered(m, title, field, which)
  local places = {}
  for i in ipairs(m.paths) do
    if which(i) then places[#places + 1] = i end
  end
  local lines = { title = title, xlabel = "step", legend = "outside" }
  local all = {}
  for _, k in ipairs(chosen(#places)) do
    local i = places[k]
    local x, y = column(m.record, function(e)
      return e[field] and e[field][i]
    end)
    all[#all + 1] = y
    if #y > 0 then
      lines[#lines + 1] = { x = x, y = y, name = m.paths[i] }
    end
  end
  if #lines == 0 then return nil end
  lines.logy = above_zero(all)
  return plot.lines(lines)
end

local function shares(m, title, field)
  local last = m.record[#m.record]
  local lines = { title = title, xlabel = "step", legend = "outside",
                  yrange = { 0, 1 } }
  local shown = {}
  local function values(i)
    return column(m.record, function(e) return e.activations[i][field] end)
  end
  for i in ipairs(last.activations or {}) do
    local _, y = values(i)
    local most = 0
    for _, v in ipairs(y) do most = math.max(most, v) end
    if most > 0 then shown[#shown + 1] = i end
  end
  for _, k in ipairs(chosen(#shown)) do
    local i = shown[k]
    local a = last.activations[i]
    local x, y = values(i)
    lines[#lines + 1] = { x = x, y = y, name = a.path .. " " .. a.name }
  end
  return #lines > 0 and plot.lines(lines) or nil
end

return function(m)
  if #m.record == 0 then
    fail "monitor:plot: nothing has been recorded"
  end
  local r, figures = m.record, {}
  local function add(figure) figures[#figures + 1] = figure end
  local function matrix(i) return m.matrix[i] end
  add(one(r, "loss", function(e) return e.loss end))
  add(layered(m, "|gradient|, by parameter", "grad_norms", matrix))
  add(layered(m, "|step| / |weights|", "update_ratios", matrix))
  add(one(r, "cosine of the last step and descent",
          function(e) return e.alignment end,
          { yrange = { -1, 1 }, hlines = { 0 }, logy = false }))
  add(shares(m, "share of dead units", "dead"))
  add(shares(m, "share of saturated values", "saturated"))
  add(one(r, "sharpness", function(e) return e.sharpness end))
  add(one(r, "preconditioned sharpness",
          function(e) return e.preconditioned_sharpness end))
  add(one(r, "lr times sharpness over its threshold",
          function(e) return e.edge end, { hlines = { 1 }, logy = false }))
  add(one(r, "quality of the step: 0 ends at the minimum",
          function(e) return e.step_quality end,
          { hlines = { -1, 0, 1 }, logy = false }))
  add(one(r, "curvature along the gradient",
          function(e) return e.curvature end))
  add(one(r, "distance from the start", function(e) return e.distance end))
  add(one(r, "standard error of the gradient over its norm",
          function(e) return e.norm_test end))
  local signal, noise = 0, 0
  add(one(r, "gradient noise scale, running mean", function(e)
    if not e.noise then return nil end
    signal, noise = 0.9 * signal + e.signal, 0.9 * noise + e.noise
    return signal > 0 and noise / signal or 0 / 0
  end))
  figures.columns = #figures > 1 and 2 or 1
  return plot.grid(figures)
end
