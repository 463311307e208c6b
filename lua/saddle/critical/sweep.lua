-- All critical points of a function of two variables in a box.

local classify = require("saddle.critical.classify").classify
local core = require "saddle.core"
local fail = require "saddle.fail"
local interrupt = require "saddle.interrupt"
local models = require "saddle.curvature.models"
local sd = require "saddle.init"

local function interval(v, what)
  if type(v) ~= "table" or type(v[1]) ~= "number" or
     type(v[2]) ~= "number" or not (v[1] < v[2]) then
    fail("sweep: the box's %s must be { from, to }, from below to", what)
  end
  return v[1], v[2]
end

-- A grid of starts {n n, 2}, slightly off the lines of symmetry.
local function starts(x1, x2, y1, y2, n)
  local o = { dtype = "f64" }
  local a = sd.linspace(x1, x2, n, o) + 0.0137 * (x2 - x1) / n
  local b = sd.linspace(y1, y2, n, o) - 0.0171 * (y2 - y1) / n
  local X = a:unsqueeze(2):expand(n, n):reshape(-1)
  local Y = b:unsqueeze(1):expand(n, n):reshape(-1)
  return sd.stack({ X, Y }, 2)
end

-- From all starts at once: Levenberg and Marquardt on the gradient's norm,
-- with a damping for each, the 2 x 2 systems (H^2 + m) d = -H g in closed
-- form. The points, gradients and Hessians where that ends, the median
-- curvature where it began, and whether all steps were taken.
local function descend(f, start, steps)
  local slope = core.jit(sd.vmap(function(w) return (sd.grad(f)(w)) end))
  local whole = core.jit(sd.vmap(function(w) return sd.hessian(f)(w) end))
  local scale
  local function advance(s)
    local W, G, m = s[1], s[2], s[3]
    local H = whole(W)
    local function entry(i, j)
      return H:narrow(2, i, 1):narrow(3, j, 1):reshape(-1)
    end
    local a, b, c = entry(1, 1), entry(1, 2), entry(2, 2)
    local p, q = G:narrow(2, 1, 1):reshape(-1), G:narrow(2, 2, 1):reshape(-1)
    local size = a * a + 2 * b * b + c * c
    m = m or 1e-2 * size
    scale = scale or size:sqrt():median():item()
    local floor = 1e-14 * size + 1e-290
    local A, B, C = a * a + b * b + m + floor, b * (a + c),
                    b * b + c * c + m + floor
    local u, v = -(a * p + b * q), -(b * p + c * q)
    local det = A * C - B * B
    local d = sd.stack({ (C * u - B * v) / det, (A * v - B * u) / det }, 2)
    local V = W + d
    local F = slope(V)
    local better = F:square():sum(2):lt(G:square():sum(2))
    return { sd.eval(sd.where(better:unsqueeze(2), V, W),
                     sd.where(better:unsqueeze(2), F, G),
                     sd.where(better, m / 6, m * 4)) }
  end
  local s, good = interrupt.steps(steps, { start, slope(start) }, advance)
  return s[1], s[2], whole(s[1]), scale, good
end

-- The points that differ from each other by more than gap, best first.
local function distinct(W, quality, gap)
  local order = {}
  for i = 1, #quality do order[i] = i end
  table.sort(order, function(i, j)
    if quality[i] ~= quality[j] then return quality[i] < quality[j] end
    return i < j
  end)
  local found = {}
  for _, i in ipairs(order) do
    local w, new = W[i], true
    for _, u in ipairs(found) do
      if math.abs(u[1] - w[1]) <= gap[1] and
         math.abs(u[2] - w[2]) <= gap[2] then
        new = false
        break
      end
    end
    if new then found[#found + 1] = w end
  end
  return found
end

--- All critical points of f (of a vector of two) in a box that the search from
--- a grid of starts reaches: a list of what classify says, each with at =
--- {x, y}, by loss. Eigenvalues below 1e-6 of the box's median curvature count
--- as zero. A line of them gives several points, all degenerate; points
--- closer than 1e-4 of the box count as one. After Ctrl-C the list holds those
--- found so far, reason = "interrupted".
---
--- ```lua
--- local function f(w) -- Himmelblau's
---   return (w[1] ^ 2 + w[2] - 11) ^ 2 + (w[1] + w[2] ^ 2 - 7) ^ 2
--- end
--- for _, c in ipairs(sd.critical.sweep(f, { { -5, 5 }, { -5, 5 } })) do
---   print(c.kind, c.at[1], c.at[2], c.loss)
--- end
--- ```
---@param f function of a vector of two
---@param box table { { from, to }, { from, to } }, or { x =, y = }
---@param o? table n (21: starts along each side), steps (60), tol (1e-8)
return function(f, box, o)
  o = sd.check_options(o, { "n:N", "steps:N", "tol:F" }, "sweep")
  models.callable(f, "sweep", "f")
  if type(box) ~= "table" then
    fail("sweep: needs a box { x = {from, to}, y = {from, to} }, not a %s",
         type(box))
  end
  local x1, x2 = interval(box.x or box[1], "x")
  local y1, y2 = interval(box.y or box[2], "y")
  if o.tol and not (o.tol > 0) then
    fail("sweep: tol must be above 0, not %g", o.tol)
  end
  local function at(w) return (f(w)) end
  local W, G, H, scale, good = descend(
    at, starts(x1, x2, y1, y2, o.n or 21), o.steps or 60)
  local size = math.max(x2 - x1, y2 - y1)
  -- Reached: |g| small beside |H| times the box, or beside all gradients.
  local curve = H:reshape(-1, 4):square():sum(2):sqrt()
  local quality = (G:square():sum(2):sqrt() /
                   sd.maximum(curve * size, 1e-300)):totable()
  local points, qualities = {}, {}
  local tol = o.tol or 1e-8
  for i, w in ipairs(W:totable()) do
    local inside = w[1] >= x1 - 1e-9 * size and w[1] <= x2 + 1e-9 * size and
                   w[2] >= y1 - 1e-9 * size and w[2] <= y2 + 1e-9 * size
    if inside and quality[i] <= tol then
      points[#points + 1], qualities[#qualities + 1] = w, quality[i]
    end
  end
  local apart = distinct(points, qualities, { 1e-4 * (x2 - x1),
                                              1e-4 * (y2 - y1) })
  local list, all = interrupt.steps(#apart, {}, function(list, i)
    local c = classify(at, sd.tensor(apart[i], { dtype = "f64" }),
                       { scale = scale, zero = 1e-6 })
    c.at = apart[i]
    list[i] = c
    return list
  end)
  if not (good and all) then interrupt.partial(list) end
  table.sort(list, function(a, b) return a.loss < b.loss end)
  return list
end
