-- What kind of critical point is this, and how sure is the answer?

local chunks = require "saddle.curvature.chunks"
local fail = require "saddle.fail"
local models = require "saddle.curvature.models"
local sd = require "saddle.init"
local whole = require("saddle.interrupt").whole

-- Up to this many parameters the whole spectrum is taken.
local dense_limit = 500

-- The eigenvalues found, ascending, with residual bounds: values, residuals
-- (lists), vectors (columns), and for the whole spectrum w (a tensor).
local function eigenvalues(H, k)
  if H.n <= dense_limit then
    local D = H:symmetric "classify"
    local w, v = sd.linalg.eigh(D)
    local r = (D:matmul(v) - v * w):square():sum(1):sqrt()
    return { values = w:totable(), residuals = r:totable(), vectors = v,
             w = w, exact = true, converged = true }
  end
  k = math.min(k, H.n // 2)
  local low = whole(H:eigs { k = k, which = "smallest" })
  local high = whole(H:eigs { k = k, which = "largest" })
  return {
    values = sd.cat({ low.values, high.values:flip(1) }, 1):totable(),
    residuals = sd.cat({ low.residuals, high.residuals:flip(1) }, 1)
      :totable(),
    vectors = sd.cat({ low.vectors, high.vectors:flip(2) }, 2), low = k,
    exact = false, converged = low.converged and high.converged }
end

-- What a quadratic model says could still be gained: g' |H|^-1 g / 2, the
-- curvatures being at least floor. In the Krylov space of g beyond the sizes
-- where all eigenvalues are taken.
local function decrement(H, g, w, v, floor)
  local part
  if w then
    part = (v:transpose(1, 2):matmul(g:to "f64")) ^ 2
  else
    local l = whole(H:lanczos { steps = math.min(30, H.n), start = g })
    w, part = l.ritz:to "f64", l.weights:to "f64" * g:to("f64"):norm() ^ 2
  end
  return (part / sd.maximum(w:abs(), floor)):sum():item() / 2
end

-- Which of the eigenvalues beyond floor are not those of the critical point:
-- over the Newton step d that is left their curvature changes by a fifth, as
-- near a root of higher order, where the nearer the less. By one product at
-- params + d: a list of booleans.
local function unsettled(f, params, args, H, g, e, floor)
  local c = e.vectors:transpose(1, 2):mv(g:to "f64")
  c = sd.where(e.w:abs():gt(floor), c, 0)
  local step = -c / sd.maximum(e.w:abs(), floor) * e.w:sign()
  local d = e.vectors:mv(step):to(H.dtype)
  local there = sd.tree.axpy(1, H.unravel(d), params)
  local u = sd.curvature.hessian(f, there, table.unpack(args)):matvec(d)
  local change = e.vectors:transpose(1, 2):mv(u:to "f64") + c
  return change:abs():gt(0.2 * e.w:abs() * step:norm()):totable()
end

local function verdict(low, high, zero, critical_here)
  if not critical_here then return "not critical" end
  if low < -zero then return high > zero and "saddle" or "maximum" end
  if low <= zero then return "degenerate" end
  return "minimum"
end

local point = {}

-- The verdict in words, with the numbers behind it.
function point:__tostring()
  if not self.eigenvalues then
    return ("%s (%s): loss %.4g, |gradient| %.2g"):format(
      self.kind, self.reason, self.loss, self.gradient_norm)
  end
  local w, n = {}, #self.eigenvalues
  for i = n, math.max(1, n - 2), -1 do
    w[#w + 1] = ("%.3g"):format(self.eigenvalues[i])
  end
  local negative = ("%d%s negative, lowest %.3g"):format(
    self.index, (self.exact or self.certified) and "" or " or more",
    self.eigenvalues[1])
  return ("%s: loss %.4g, |gradient| %.2g, a Newton step could gain %.2g\n" ..
          "eigenvalues %s ... (%s)"):format(
    self.kind, self.loss, self.gradient_norm, self.gain,
    table.concat(w, " "), negative)
end

-- How many eigenvalues are negative: certainly, and possibly; and whether
-- that is about all of them. An eigenvalue lies within its residual of its
-- value; within zero of 0 it counts as 0.
local function count_negative(e, zero)
  local certain, possible = 0, 0
  for i, x in ipairs(e.values) do
    if x + e.residuals[i] < -zero then certain = certain + 1 end
    if x - e.residuals[i] < -zero then possible = possible + 1 end
  end
  return certain, possible, e.exact or (e.converged and possible < e.low)
end

-- A point of which there is no verdict, with what is known of it.
local function unknown(fields)
  fields.kind = "unknown"
  return setmetatable(fields, point)
end

--- What kind of critical point params is: { kind "minimum" | "maximum" |
--- "saddle" | "degenerate" | "not critical", index, gradient_norm, eigenvalues
--- (ascending) and residuals (each lies that near), certified (whether index is
--- certain and complete), zeros (eigenvalues that count as 0), direction (of
--- the most negative curvature, a tree), directions (of all that were found
--- negative, columns), exact, loss, gain }.
---
--- Scale-free: an eigenvalue counts as zero within zero times max|lambda|, and
--- the point as critical when what a Newton step could still gain, gain = g'
--- |H|^-1 g / 2, is within tol^2 of what the steepest curvature makes of a step
--- of the size of params (at least 1), max|lambda| size^2. A minimum or maximum
--- with zeros is degenerate: the higher derivatives decide. Where the gradient
--- is not quite 0, eigenvalues that change by a fifth over the Newton step that
--- is left count as zeros, too: near the minimum of x^4 they vanish there.
--- Beyond 500 parameters only the k eigenvalues at each end are found (exact =
--- false), and index counts the negative ones among them; with exact = true the
--- inertia is taken by factorisation, up to 5,000.
---@param f function of params, ...
---@param params any tree
---@param o? table tol (1e-4), zero (1e-5 in f32, 1e-8 in f64), k (5), exact,
---  args (f's further arguments, or { a data set in chunks }), scale (a
---  curvature, in the place of a smaller max|lambda|, that zero is relative to)
local function classify(f, params, o)
  models.callable(f, "classify", "f")
  o = sd.check_options(o, { "tol:F", "zero:F", "k:N", "args:L", "exact:B",
                            "scale:F" },
                       "classify")
  local args = o.args or {}
  models.check_leaves(params, "classify")
  local loss, g = chunks.value_and_grad(f, params, args)
  local gnorm, size = sd.tree.norm(g):item(), sd.tree.norm(params):item()
  if gnorm ~= gnorm or gnorm == math.huge then
    fail("classify: the gradient is not finite (|g| = %g, loss %g)", gnorm,
         loss:item())
  end
  local H = sd.curvature.hessian(f, params, table.unpack(args))
  local e = eigenvalues(H, o.k or 5)
  local w = e.values
  local most = math.max(math.abs(w[1]), math.abs(w[#w]))
  local zero = (o.zero or (H.dtype == "f32" and 1e-5 or 1e-8)) *
    math.max(most, o.scale or 0)
  local gain, here = gnorm == 0 and 0 or math.huge, gnorm == 0
  if gnorm > 0 and most > 0 then
    gain = decrement(H, (sd.tree.ravel(g)), e.w, e.exact and e.vectors, zero)
    here = gain <= ((o.tol or 1e-4) * math.max(size, 1)) ^ 2 * most
  end
  local moving = {}
  if here and gnorm > 0 and e.exact and zero > 0 then
    moving = unsettled(f, params, args, H, (sd.tree.ravel(g)), e, zero)
  end
  local index, zeros, low, high, down = 0, 0, math.huge, -math.huge, {}
  for i, x in ipairs(w) do
    if moving[i] then x = 0 end
    low, high = math.min(low, x), math.max(high, x)
    if x < -zero then
      index = index + 1
      if i <= (e.low or #w) then down[#down + 1] = i end
    elseif x <= zero then
      zeros = zeros + 1
    end
  end
  local certain, possible, complete = count_negative(e, zero)
  if o.exact and not e.exact then
    local inertia = H:inertia { method = "dense", zero = zero / most }
    index, zeros = inertia.negative, inertia.zero
    certain, possible, complete = index, index, true
  end
  local kind = verdict(low, high, zero, here)
  if kind == "maximum" and index < H.n then kind = "degenerate" end
  local directions = #down > 0 and
    e.vectors:index_select(2, sd.tensor(down, { dtype = "i64" })) or nil
  return setmetatable({
    kind = kind, index = index, zeros = zeros, gradient_norm = gnorm,
    eigenvalues = w, residuals = e.residuals, exact = e.exact,
    certified = certain == possible and complete and here and
                (o.exact or certain == index),
    loss = loss:item(), gain = gain,
    directions = directions,
    direction = directions and
      H.unravel(directions:narrow(2, 1, 1):reshape(-1):to(H.dtype)) or nil,
  }, point)
end

return { classify = classify, unknown = unknown }
