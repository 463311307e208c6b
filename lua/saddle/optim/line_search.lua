-- Line searches along d from x: phi(t) = f(x + t d).
--
-- Points of a search are { t =, f =, g = (the gradient, a vector), slope =
-- phi'(t) }.

local sd = require "saddle.init"

local search = {}

local function dot(a, b) return sd.dot(a, b):item() end
search.dot = dot

-- Whether a lies no higher than b, which may be no number.
local function lower(a, b) return a.f <= b.f or b.f ~= b.f end

-- The point at t.
local function at(c, d, t)
  local f, g = c:slope(c.x + t * d)
  return { t = t, f = f, g = g, slope = dot(g, d) }
end

-- Where the cubic through values and slopes of two points is least, within
-- low .. high; the middle where it has no minimum.
local function cubic(a, b, low, high)
  if a.t > b.t then a, b = b, a end
  low, high = low or a.t, high or b.t
  local m = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
  local square = m * m - a.slope * b.slope
  local t
  if square >= 0 then
    local root = square ^ 0.5
    t = b.t - (b.t - a.t) * (b.slope + root - m) /
        (b.slope - a.slope + 2 * root)
  end
  if not t or t ~= t then return (low + high) / 2 end
  return math.max(low, math.min(high, t))
end

-- First phase: steps grow until an interval holds a point that satisfies both
-- conditions. The interval's ends, or one such point alone; the points tried.
local function bracket(c, d, start, t, o)
  local last, tried = start, 0
  while true do
    local p = at(c, d, t)
    tried = tried + 1
    if not (p.f <= start.f + o.c1 * t * start.slope) or
       tried > 2 and p.f >= last.f then
      return last, p, tried
    elseif math.abs(p.slope) <= -o.c2 * start.slope then
      return p, nil, tried
    elseif p.slope >= 0 then
      return last, p, tried
    elseif tried > o.most then
      return start, p, tried
    end
    t = cubic(last, p, t + 0.01 * (t - last.t), 10 * t)
    last = p
  end
end

--- A step that satisfies the strong Wolfe conditions (Nocedal and Wright 2006,
--- algorithms 3.5 and 3.6, with cubic interpolation as in PyTorch's L-BFGS):
--- phi(t) <= phi(0) + c1 t phi'(0) and |phi'(t)| <= c2 |phi'(0)|. The point,
--- and the number of evaluations.
---@param c table a context
---@param d any the direction, a vector
---@param start table the point at 0
---@param t number the first step to try
---@param o? table c1 (1e-4), c2 (0.9), most (25 evaluations), least (1e-9: the
---  shortest interval, as a change of the largest element)
function search.strong_wolfe(c, d, start, t, o)
  o = o or {}
  o = { c1 = o.c1 or 1e-4, c2 = o.c2 or 0.9, most = o.most or 25,
        least = o.least or 1e-9 }
  local a, b, tried = bracket(c, d, start, t, o)
  if not b then return a, tried end
  local largest = d:abs():max():item()
  local best, other = a, b
  if not lower(a, b) then best, other = b, a end
  local stuck = false
  while tried <= o.most do
    local low, high = math.min(best.t, other.t), math.max(best.t, other.t)
    if (high - low) * largest < o.least then break end
    local u = cubic(best, other)
    local edge = 0.1 * (high - low)
    if math.min(high - u, u - low) < edge then
      if stuck or u >= high or u <= low then
        u = high - u < u - low and high - edge or low + edge
        stuck = false
      else
        stuck = true
      end
    else
      stuck = false
    end
    local p = at(c, d, u)
    tried = tried + 1
    if not (p.f <= start.f + o.c1 * u * start.slope) or p.f >= best.f then
      other = p
      if not lower(best, other) then best, other = other, best end
    else
      if math.abs(p.slope) <= -o.c2 * start.slope then return p, tried end
      if p.slope * (other.t - best.t) >= 0 then other = best end
      best = p
    end
  end
  return best, tried
end

--- The first of t, beta t, beta^2 t .. whose loss is at most f + c1 t slope
--- (Armijo 1966), slope = g' d: t and the loss there, or nil after most tries.
function search.armijo(c, d, t, slope, o)
  for _ = 1, o.most or 60 do
    local f = c:value(c.x + t * d)
    if f <= c.loss + o.c1 * t * slope then return t, f end
    t = o.beta * t
  end
end

return search
