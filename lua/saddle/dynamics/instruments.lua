-- What a monitor measures at a cost of its own, beside the step: of one loss,
-- at parameters w with the gradient g of the batch. Most are those of Cockpit
-- (Schneider, Dangel and Hennig 2021).

local fail = require "saddle.fail"
local interrupt = require "saddle.interrupt"
local sd = require "saddle.init"

local function dot(a, b) return sd.tree.dot(a, b):to "f64" end

-- The number of examples, and which of the arguments are tensors of so many:
-- as many as the first tensor has.
local function batch(args, what)
  local count, places = nil, {}
  for i = 1, args.n do
    local x = args[i]
    if sd.is_tensor(x) and x.ndim > 0 then
      count = count or #x
      if #x == count then places[#places + 1] = i end
    end
  end
  if not count or count < 2 then
    fail("monitor: %s needs a batch of at least two examples", what)
  end
  return count, places
end

-- The arguments of n examples from the first-th on.
local function some(args, places, first, n)
  local part = table.move(args, 1, args.n, 1, {})
  for _, i in ipairs(places) do part[i] = args[i]:narrow(1, first, n) end
  return table.unpack(part, 1, args.n)
end

-- ---- the step's quality ----------------------------------------------------

-- Where a step from 0 to 1 ends on the parabola a + b s + c s^2 that fits
-- losses f0, f1 and slopes d0, d1 at its ends best in least squares: -1 where
-- it starts, 0 at the least loss, 1 as high as the start. -1, as Cockpit has
-- it, where the parabola has no minimum.
local function quality(f0, f1, d0, d1)
  local twice_c = d1 - d0
  local b = (f1 - f0 + 2 * d0 + 2 * d1) / 5 - twice_c / 2
  if not (twice_c > 0) then return -1 end
  return -twice_c / b - 1
end

-- ---- tests of the gradient -------------------------------------------------

-- sum |g_i|^2, sum g_i' g and sum (g_i' g)^2 over the examples' own gradients.
local function sums(loss, places)
  return sd.jit(function(params, g, ...)
    local args, rows = table.pack(...), {}
    for k, i in ipairs(places) do rows[k] = args[i] end
    local squares, products = sd.vmap(function(...)
      local one = { table.unpack(args, 1, args.n) }
      for k, i in ipairs(places) do one[i] = (select(k, ...)):unsqueeze(1) end
      local own = (sd.grad(loss)(params, table.unpack(one, 1, args.n)))
      return dot(own, own), dot(own, g)
    end)(table.unpack(rows))
    return sd.stack { squares:sum(), products:sum(), products:square():sum() }
  end)
end

-- The tests' left sides over their right sides without the factor: the least
-- theta (nu for the last) with which the batch passes. Byrd et al. 2012, (3.9);
-- Bollapragada, Byrd and Nocedal 2018, (2.6) and (3.3).
local function least(n, S, Q, g2)
  local function root(v) return math.sqrt(math.max(0, v) / (n - 1) / n) end
  return { norm_test = root(S / g2 - n), inner_product_test =
           root(Q / g2 ^ 2 - n), orthogonality_test =
           root(S / g2 - Q / g2 ^ 2) }
end

-- ---- of one loss -----------------------------------------------------------

--- The instruments of a loss: functions of (w, its loss and gradient, the
--- parameters after the step, the loss's arguments) that give fields of the
--- record (see saddle.dynamics.monitor).
---@param loss function
return function(loss)
  local own, each = {}, nil

  local ends = sd.jit(function(w, g, after, ...)
    local f, there = sd.value_and_grad(loss)(after, ...)
    local step = sd.tree.axpy(-1, w, after)
    return sd.stack { f:to "f64", dot(step, g), dot(step, there) }
  end)
  function own.step_quality(w, f, g, after, ...)
    local v = ends(w, g, after, ...):totable()
    return { step_quality = quality(f, v[1], v[2], v[3]) }
  end

  local along = sd.jit(function(w, g, ...)
    return dot(g, (sd.hvp(loss, w, g, ...))) / dot(g, g)
  end)
  function own.curvature(w, _, g, _, ...)
    return { curvature = along(w, g, ...):item() }
  end

  function own.gradient_tests(w, _, g, _, ...)
    local args = table.pack(...)
    local n, places = batch(args, "gradient_tests")
    each = each or sums(loss, places)
    local size = math.max(1, math.min(256, 2 ^ 23 // sd.tree.numel(w)))
    local v = { 0, 0, 0 }
    for first = 1, n, size do
      local count = math.min(size, n - first + 1)
      local s = each(w, g, some(args, places, first, count)):totable()
      for k = 1, 3 do v[k] = v[k] + s[k] end
    end
    local g2 = dot(g, g):item()
    if math.abs(v[2] - n * g2) > 1e-3 * n * g2 then
      fail("monitor: gradient_tests needs a loss that is the mean of its " ..
           "examples' own; along its gradient they slope by %.4g of it",
           v[2] / (n * g2))
    end
    return least(n, v[1], v[3], g2)
  end

  -- McCandlish et al. 2018: |G|^2 and the trace S of the gradient's covariance
  -- from the gradients of a batch and of its half.
  local half = sd.jit(function(w, ...)
    local g = (sd.grad(loss)(w, ...))
    return dot(g, g)
  end)
  function own.grad_noise(w, _, g, _, ...)
    local args = table.pack(...)
    local n, places = batch(args, "grad_noise")
    local few, big = n // 2, dot(g, g):item()
    local small = half(w, some(args, places, 1, few)):item()
    return { signal = (n * big - few * small) / (n - few),
             noise = (small - big) / (1 / few - 1 / n) }
  end

  function own.sharpness(w, _, _, _, ...)
    local value, _, _, cut = sd.curvature.sharpness(loss, w, ...)
    if cut then interrupt.raise() end
    return { sharpness = value }
  end
  return own
end
