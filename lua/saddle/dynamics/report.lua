-- A monitor's record in words. Each rule of thumb below looks at the record's
-- second half and says what it found, with the numbers.

local sd = require "saddle.init"

local report = {}

function report:__tostring()
  if #self == 0 then return "nothing is wrong" end
  local lines = {}
  for i, f in ipairs(self) do lines[i] = f.kind .. ": " .. f.text end
  return table.concat(lines, "\n")
end

local function median(list)
  local sorted = {}
  for _, v in ipairs(list) do
    if v == v then sorted[#sorted + 1] = v end
  end
  table.sort(sorted)
  local n = #sorted
  if n == 0 then return 0 / 0 end
  return (sorted[(n + 1) // 2] + sorted[n // 2 + 1]) / 2
end

-- The entries of the second half, and the values get gives for them.
local function late(record)
  return table.move(record, #record // 2 + 1, #record, 1, {})
end

local function over(entries, get)
  local list = {}
  for _, e in ipairs(entries) do
    local v = get(e)
    if v ~= nil then list[#list + 1] = v end
  end
  return list
end

local function finite(v) return v == v and math.abs(v) ~= math.huge end

local rules = {}

function rules.not_finite(m, add)
  for _, e in ipairs(m.record) do
    if not finite(e.loss) or not finite(e.grad_norm) then
      local where = {}
      for i, v in ipairs(e.grad_norms) do
        if not finite(v) then where[#where + 1] = m.paths[i] end
      end
      local place = #where == 0 and "in the loss alone" or
                    #where == #m.paths and "in every gradient" or
                    "in the gradients of " .. table.concat(where, ", ")
      add("not finite", where[1],
          ("loss %g at step %d, not finite %s"):format(e.loss, e.step, place))
      return true
    end
  end
end

-- Root mean squares of the matrices' gradients, first to last.
local function by_depth(m, entries)
  local paths, sizes = {}, {}
  for i, path in ipairs(m.paths) do
    if m.matrix[i] then
      paths[#paths + 1] = path
      sizes[#sizes + 1] = median(over(entries, function(e)
        return e.grad_norms[i] / math.sqrt(m.counts[i])
      end))
    end
  end
  return paths, sizes
end

-- The first layer's gradient beside the last one's.
function rules.depth(m, add, entries)
  local paths, sizes = by_depth(m, entries)
  local n = #sizes
  if n < 3 or sizes[n] == 0 then return end
  local ratio = sizes[1] / sizes[n]
  local each = ratio ^ (1 / (n - 1))
  local words = "the gradient at %s is %.2g of that at %s (rms %.2g and " ..
                "%.2g), a factor %.2g per layer"
  local text = words:format(paths[1], ratio, paths[n], sizes[1], sizes[n],
                            each)
  if ratio < 1e-2 then
    add("vanishing", paths[1], text .. "; try another activation or " ..
        "initialisation, normalisation, or skip connections", ratio)
  elseif ratio > 1e2 then
    add("exploding", paths[1], text .. "; try a smaller initialisation, " ..
        "normalisation, or clipping", ratio)
  end
end

-- Gradients that burst now and then, or a loss that has risen for good.
function rules.bursts(m, add)
  local all = over(m.record, function(e) return e.grad_norm end)
  local middle, most, at = median(all), 0, nil
  for i, v in ipairs(all) do if v > most then most, at = v, i end end
  if #all >= 8 and most > 50 * middle and middle > 0 then
    local e = m.record[at]
    local where, size = m.paths[1], 0
    for i, v in ipairs(e.grad_norms) do
      if v > size then where, size = m.paths[i], v end
    end
    local place = #m.paths > 1 and ", most of it in " .. where or ""
    add("exploding", where, ("|gradient| %.3g at step %d, %.0f times its " ..
      "median %.3g%s; try clipping (sd.dynamics.clip.norm) at a few times " ..
      "the median"):format(most, e.step, most / middle, middle, place),
      most / middle)
  end
  local first, last = m.record[1].loss, m.record[#m.record].loss
  if #m.record >= 3 and last > 2 * math.abs(first) + 1e-12 then
    add("exploding", nil, ("the loss rose from %.3g to %.3g; lower the " ..
      "learning rate"):format(first, last), last / first)
  end
end

local function layers(add, entries, field, limit, kind, text)
  local sample = entries[#entries].activations or {}
  for i, a in ipairs(sample) do
    local share = median(over(entries, function(e)
      return e.activations and e.activations[i][field]
    end))
    if share > limit then
      add(kind, a.path, text:format(100 * share, a.path, a.name), share)
    end
  end
end

function rules.dead(_, add, entries)
  layers(add, entries, "dead", 0.25, "dead",
         "%.0f %% of the units after layer %s (%s) are 0 for whole batches; " ..
         "try a smaller learning rate or leaky_relu")
end

function rules.saturated(_, add, entries)
  layers(add, entries, "saturated", 0.5, "saturated",
         "%.0f %% of the values after layer %s (%s) lie in the outer " ..
         "twentieths of its range; try smaller initial weights")
end

function rules.edge(_, add, entries)
  local ratios = over(entries, function(e) return e.edge end)
  local ratio = median(ratios)
  if #ratios == 0 or ratio <= 1.05 then return end
  local e = entries[#entries]
  local name = e.preconditioned_sharpness and "preconditioned sharpness" or
               "sharpness"
  local sharpness = e.preconditioned_sharpness or e.sharpness
  add("rate above the edge", nil, ("learning rate %.3g, %s %.3g: %.2f times " ..
    "the threshold %.3g / %s = %.3g; what is quadratic around here grows")
    :format(e.lr, name, sharpness, ratio, e.threshold, name,
            e.threshold / sharpness), ratio)
end

function rules.oscillation(_, add, entries)
  local list = over(entries, function(e) return e.alignment end)
  local cosine = median(list)
  if #list >= 3 and cosine < -0.5 then
    add("oscillation", nil, ("steps are undone by the next (cosine of step " ..
      "and next descent %.2f, median of %d); lower the learning rate, or it " ..
      "trains at the edge of stability"):format(cosine, #list), cosine)
  end
end

function rules.updates(_, add, entries)
  local list = over(entries, function(e) return e.update_ratio end)
  local ratio = median(list)
  if #list == 0 then return end
  if ratio > 0.1 then
    add("large updates", nil, ("a step changes the weights by %.2g of " ..
      "their size; about 1e-3 is usual"):format(ratio), ratio)
  elseif ratio < 1e-6 then
    add("small updates", nil, ("a step changes the weights by %.2g of " ..
      "their size; about 1e-3 is usual: raise the learning rate, unless it " ..
      "has converged"):format(ratio), ratio)
  end
end

-- A loss that stands still: is there a way down that the gradient hides?
function rules.plateau(m, add, entries)
  local first, last = entries[1].loss, entries[#entries].loss
  local spread = math.abs(first - last)
  if #entries < 5 or spread > 0.01 * math.abs(last) or not m.last then return
  end
  local at = m.last
  local H = sd.curvature.hessian(at.loss, at.params,
                                 table.unpack(at.args, 1, at.args.n))
  local low = H:eigs { k = 1, which = "smallest", tol = 1e-2 }
  local high = H:eigs { k = 1, which = "largest", tol = 1e-2 }
  low, high = low.values:item(), high.values:item()
  if not (low < -1e-3 * math.abs(high)) then return end
  local words = ("the loss stands at %.4g (changed by %.1g in %d steps), " ..
    "with curvatures from %.2g to %.2g: "):format(last, spread,
      entries[#entries].step - entries[1].step, low, high)
  if high > -1e-3 * low then
    add("saddle", nil, words .. "a saddle; sd.critical.escape leads on", low)
  else
    add("plateau", nil, words .. "no minimum, but too flat to leave; start " ..
        "elsewhere or take larger steps", low)
  end
end

local order = { "depth", "bursts", "dead", "saturated", "edge",
                "oscillation", "updates", "plateau" }

return function(m)
  local found = setmetatable({}, report)
  if #m.record == 0 then return found end
  local function add(kind, where, text, value)
    found[#found + 1] = { kind = kind, where = where, text = text,
                          value = value }
  end
  if rules.not_finite(m, add) then return found end
  local entries = late(m.record)
  for _, name in ipairs(order) do rules[name](m, add, entries) end
  return found
end
