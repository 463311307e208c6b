-- Finders of critical points. Each takes a problem and options and returns
-- the point reached, whether it is one, how many steps it took and why it
-- ended; p.reached holds the last step's point meanwhile.
--
-- A point counts as reached when |g| <= tol |H| max(|x|, 1), whatever the
-- scales of the loss and of the parameters.

local fail = require "saddle.fail"
local interrupt = require "saddle.interrupt"
local point = require "saddle.critical.classify"
local problem = require "saddle.critical.problem"
local sd = require "saddle.init"
local whole = interrupt.whole

local MODES = 3 -- eigenvectors of a minimum along which saddles are looked for

local function norm(v) return v:norm():item() end

local function is_finite(x) return x == x and math.abs(x) < math.huge end

-- ---- the spectrum at a point ------------------------------------------------

-- The dense spectrum: w (ascending), Q (columns), c = Q'g, all f64.
local function spectrum(p, x, g)
  local w, Q = sd.linalg.eigh(p.hessian(x))
  return { w = w, Q = Q, c = Q:transpose(1, 2):mv(g:to "f64"),
           most = w:abs():max():item() }
end

local function is_reached(x, g, most, tol)
  return norm(g) <= tol * most * math.max(norm(x), 1)
end

-- The step -sum c_i / (sign_i |w_i| + shift) q_i cut to the radius, by the
-- shift that does it (More and Sorensen 1983); signs: 1 downhill, -1 uphill.
local function shifted_step(s, signs, radius)
  local a = sd.maximum(s.w:abs(), 1e-14 * s.most)
  local function step(shift) return -(signs * s.c) / (a + shift) end
  local d = step(0)
  if norm(d) > radius then
    local low, high = 0, norm(s.c) / radius
    for _ = 1, 60 do
      local mid = (low + high) / 2
      d = step(mid)
      local size = norm(d)
      if math.abs(size - radius) <= 1e-2 * radius then break end
      if size > radius then low = mid else high = mid end
    end
  end
  local change = (s.c * d + s.w * d * d / 2):sum():item()
  return s.Q:mv(d), change
end

-- The step of conjugate gradients down the model g'd + d'Hd / 2 within radius,
-- and the change it foresees (Steihaug 1983): to where the model's gradient is
-- tol of g, or to the boundary when a step leads there or a direction has no
-- positive curvature. g must not be 0.
local function steihaug(H, g, radius, tol, steps)
  local d, r, p = sd.zeros_like(g), g, -g
  local rr, dp, dd = sd.dot(g, g):item(), 0, 0
  local pp, target = rr, tol ^ 2 * rr
  for _ = 1, steps do
    local Hp = H:matvec(p)
    local curve = sd.dot(p, Hp):item()
    local a = rr / curve
    local length = dd + 2 * a * dp + a * a * pp
    local leaves = not (curve > 0) or length >= radius ^ 2
    if leaves then -- d + a p on the sphere
      a = (math.sqrt(dp ^ 2 + pp * (radius ^ 2 - dd)) - dp) / pp
    end
    d, r = sd.eval(d + a * p, r + a * Hp)
    local new = sd.dot(r, r):item()
    if leaves or new <= target then break end
    local b = new / rr
    dd, rr, p = length, new, sd.eval(b * p - r)
    dp, pp = sd.dot(d, p):item(), sd.dot(p, p):item()
  end
  return d, (sd.dot(g, d) + sd.dot(r, d)):item() / 2
end

-- ---- minima: Newton in a trust region ---------------------------------------

-- A step down the model at x within radius, and the change it foresees.
local function descent(p, s, H, g, radius)
  if p.dense then
    local signs = sd.ones_like(s.w)
    local d, change = shifted_step(s, signs, radius)
    -- In the hard case the gradient has no part along negative curvature.
    local low = s.w[1]:item()
    local rest = radius ^ 2 - norm(d) ^ 2
    if low < -1e-10 * s.most and rest > 1e-4 * radius ^ 2 then
      local u = s.Q:narrow(2, 1, 1):reshape(-1)
      local sign = s.c[1]:item() > 0 and -1 or 1
      d = d + sign * math.sqrt(rest) * u
      local c = s.Q:transpose(1, 2):mv(d)
      change = (s.c * c + s.w * c * c / 2):sum():item()
    end
    return d, change
  end
  return steihaug(H, g, radius, 1e-3, 2 * p.n)
end

-- |H|, the search for it beginning where the last one ended.
local function largest(p, H, s)
  if p.dense then return s.most end
  local e = whole(H:eigs { k = 1, which = "magnitude", tol = 1e-2,
                           start = p.top, verify = false })
  p.top = e.vectors
  return e.norm
end

-- The lowest curvature at x where the gradient is zero, and its direction.
local function lowest(H, s)
  if s then return s.w[1]:item(), s.Q:narrow(2, 1, 1):reshape(-1) end
  local e = whole(H:eigs { k = 1, which = "smallest", tol = 1e-4 })
  return e.values:item(), e.vectors:reshape(-1)
end

-- Off a saddle: the lower of the two points at radius along u.
local function leave(p, x, u, radius)
  local up, down = x + radius * u, x - radius * u
  return (p.slope(up)) < (p.slope(down)) and up or down
end

local function newton(p, o)
  local x = p.x
  local loss, g = p.slope(x)
  local radius = o.radius or 0.1 * math.max(norm(x), 1)
  for step = 1, o.max_iter do
    p.reach(x, loss, g, step - 1)
    local s = p.dense and spectrum(p, x, g)
    local H = not p.dense and p.hessian(x)
    local most = largest(p, H, s)
    if is_reached(x, g, most, o.tol) then
      local low, u = lowest(H, s)
      if low >= -1e-8 * most then return x, true, step - 1, "converged" end
      x = sd.eval(leave(p, x, u:to(x.dtype), radius))
      loss, g = p.slope(x)
      goto continue
    end
    repeat
      local d, foreseen = descent(p, s, H, g, radius)
      local y = x + d:to(x.dtype)
      local new, slope = p.slope(y)
      local ratio = (new - loss) / foreseen
      local rounding = 1e-13 * math.max(math.abs(loss), 1e-300)
      local good = is_finite(new) and is_finite(norm(slope)) and
        (ratio > 1e-4 or math.abs(foreseen) <= rounding and
         norm(slope) < norm(g))
      if not good or ratio < 0.25 then radius = radius / 4 end
      if good and ratio > 0.75 then
        radius = math.max(radius, 2 * norm(d))
      end
      if good then x, loss, g = y, new, slope end
      if radius < 1e-15 * math.max(norm(x), 1) then
        return x, is_reached(x, g, most, 1e3 * o.tol), step,
               "the trust region vanished"
      end
    until good
    ::continue::
  end
  return x, false, o.max_iter, "max_iter reached"
end

-- ---- any: the gradient's norm -----------------------------------------------

-- Whether |g|^2 cannot tell points apart: those whose H g is less than that.
local function is_flat(x, g, Hg, most)
  return norm(Hg) <= (x.dtype == "f32" and 3e-3 or 1e-7) * most * norm(g)
end

-- The steps of Levenberg and Marquardt on |g|^2 / 2, whose gradient is H g and
-- whose Gauss-Newton matrix is H^2: s being the spectrum at x, the first that
-- reduces |g| or the step that would follow from it with the same H, which
-- curved valleys do not mislead (Deuflhard 2004, section 3.3), or nil; and the
-- damping to go on with.
local function damped_step(p, x, g, s, damping)
  repeat
    local scale = s.w / (s.w * s.w + damping)
    local step = s.c * scale
    local y = x - s.Q:mv(step):to(x.dtype)
    local new, slope = p.slope(y)
    local again = is_finite(new) and
      s.Q:transpose(1, 2):mv(slope:to "f64") * scale
    if again and (norm(slope) < norm(g) or norm(again) < norm(step)) then
      return y, new, slope, math.max(damping / 5, 1e-30 * s.most ^ 2)
    end
    damping = damping * 4
  until damping > 1e12 * s.most ^ 2
end

-- The same without a matrix: along the least-squares solution of H d = -g, the
-- residual being at most tol of |g| (Roosta et al. 2018, Newton-MR). Full steps
-- ask for smaller residuals, short ones for larger.
local function residual_step(p, x, g, H, tol)
  local d = whole(H:solve(-g, { method = "minres", tol = tol,
                                max_iter = 2 * p.n })).x
  local length = 1
  repeat
    local y = x + length * d
    local new, slope = p.slope(y)
    if is_finite(new) and norm(slope) < (1 - 1e-4 * length) * norm(g) then
      return y, new, slope, length == 1 and math.max(tol / 3, 1e-4) or
                            length < 0.2 and math.min(2 * tol, 0.5) or tol
    end
    length = length / 2
  until length < 1e-12
end

local function gradient_norm(p, o)
  local x, control = p.x, nil -- the damping, or the tolerance
  local loss, g = p.slope(x)
  for step = 1, o.max_iter do
    p.reach(x, loss, g, step - 1)
    local s = p.dense and spectrum(p, x, g)
    local H = not p.dense and p.hessian(x)
    local most = largest(p, H, s)
    if most == 0 then
      return x, norm(g) == 0, step, norm(g) == 0 and "converged" or
             "the Hessian is zero and the gradient is not"
    end
    if is_reached(x, g, most, o.tol) then
      return x, true, step - 1, "converged"
    elseif is_flat(x, g, p.product(x, g), most) then
      return x, false, step, ("gradient-flat: |g| = %.3g but H g = 0")
        :format(norm(g))
    end
    local y, new, slope
    if s then
      y, new, slope, control = damped_step(p, x, g, s,
                                           control or 1e-10 * most ^ 2)
    else
      y, new, slope, control = residual_step(p, x, g, H, control or 0.1)
    end
    if not y then
      return x, false, step, ("stalled at |g| = %.3g"):format(norm(g))
    end
    x, loss, g = y, new, slope
  end
  return x, false, o.max_iter, "max_iter reached"
end

-- ---- saddles: following eigenvectors ----------------------------------------

-- 1 for each eigenvector and -1 for those to go up along: the index lowest; or,
-- while so many curvatures are not negative yet, those that are most what was
-- followed so far, columns of before. And the columns of those.
local function followed(s, index, before)
  local n, chosen, signs = s.w:numel(), {}, {}
  for i = 1, n do chosen[i], signs[i] = i, 1 end
  if before and s.w[index]:item() >= 0 then
    local share = s.Q:transpose(1, 2):matmul(before):square():sum(2):totable()
    table.sort(chosen, function(i, j)
      return share[i] > share[j] or share[i] == share[j] and i < j
    end)
  end
  for k = 1, index do signs[chosen[k]] = -1 end
  local columns = sd.tensor(chosen, { dtype = "i64" }):narrow(1, 1, index)
  return sd.tensor(signs, { dtype = "f64" }), s.Q:index_select(2, columns)
end

-- Uphill along the index lowest eigenvectors, downhill along the others: where
-- that ends is a critical point of this index (Cerjan and Miller 1981). From x,
-- following modes, columns, if they are given.
local function climb(p, o, x, modes)
  local loss, g = p.slope(x)
  local follows = modes ~= nil
  local radius = o.radius or 0.1 * math.max(norm(x), 1)
  local smallest = 1e-12 * radius
  for step = 1, o.max_iter do
    p.reach(x, loss, g, step - 1)
    local d, foreseen, most, right
    if p.dense then
      local s = spectrum(p, x, g)
      local signs, up = followed(s, o.index, modes)
      if follows then modes = up end
      most = s.most
      right = s.w[o.index]:item() < 0 and
              (o.index == p.n or s.w[o.index + 1]:item() > -1e-8 * most)
      if is_reached(x, g, most, o.tol) and right then
        return x, true, step - 1, "converged"
      end
      if is_reached(x, g, most, o.tol) then
        -- A critical point of another index: leave it along the next mode.
        s.c = s.c + 1e-3 * radius * most
      end
      d, foreseen = shifted_step(s, signs, radius)
    else
      local H = p.hessian(x)
      local e = whole(H:eigs { k = o.index, which = "smallest", start = modes,
                               tol = 1e-4, verify = o.index > 1 })
      modes, most = e.vectors:narrow(2, 1, 1):reshape(-1), e.norm
      if is_reached(x, g, most, o.tol) and e.values:max():item() < 0 then
        return x, true, step - 1, "converged"
      end
      local c = e.vectors:transpose(1, 2):mv(g)
      local curve = sd.maximum(e.values:abs(), 1e-8 * most):to(x.dtype)
      local up = e.vectors:mv(c / curve)
      local rest = g - e.vectors:mv(c)
      local down = steihaug(H:deflated(e), rest, radius, 1e-4, 2 * p.n)
      d = up + down
      if norm(d) > radius then d = d * (radius / norm(d)) end
      foreseen = (sd.dot(g, d) + sd.dot(d, H:matvec(d)) / 2):item()
    end
    local y = x + d:to(x.dtype)
    local new, slope = p.slope(y)
    local ratio = (new - loss) / foreseen
    local tiny = math.abs(foreseen) <= 1e-12 * math.max(math.abs(loss), 1e-300)
    local good = is_finite(new) and (tiny or math.abs(ratio - 1) < 0.75)
    if good and (tiny or math.abs(ratio - 1) < 0.25) then
      radius = math.max(radius, 2 * norm(d))
    elseif not good then
      radius = math.min(radius, norm(d)) / 4
    end
    if good then x, loss, g = y, new, slope end
    if radius < smallest then
      return x, false, step, ("stalled at |g| = %.3g"):format(norm(g))
    end
  end
  return x, false, o.max_iter, "max_iter reached"
end

-- Among positive curvatures the lowest one may change at every step, and a
-- search go to and fro, or up to where there is no saddle. Then again from the
-- minimum nearby, both ways along its lowest eigenvectors, which are followed.
local function eigenvector(p, o)
  local x, good, steps, why = climb(p, o, p.x)
  if good or not p.dense or o.index > 1 then return x, good, steps, why end
  local low, is_minimum, more = newton(p, o)
  steps = steps + more
  if not is_minimum then return x, good, steps, why end
  local s = spectrum(p, low, select(2, p.slope(low)))
  local radius = o.radius or 0.1 * math.max(norm(low), 1)
  for i = 1, math.min(p.n, MODES) do
    local u = s.Q:narrow(2, i, 1)
    for sign = -1, 1, 2 do
      local from = sd.eval(low + sign * radius * u:reshape(-1):to(low.dtype))
      local y, found, further = climb(p, o, from, u)
      steps = steps + further
      if found then return y, true, steps, "converged" end
    end
  end
  return x, false, steps, why
end

-- ---- saddles: the dimer -----------------------------------------------------

-- The lower of two orthonormal directions' Ritz vectors, given H u and H v.
local function lower(u, Hu, v, Hv)
  local a, b, c = sd.dot(u, Hu):item(), sd.dot(u, Hv):item(),
                  sd.dot(v, Hv):item()
  local t = math.atan(2 * b, a - c) / 2
  local best, value
  for _, angle in ipairs { t, t + math.pi / 2 } do
    local x, y = math.cos(angle), math.sin(angle)
    local q = a * x * x + 2 * b * x * y + c * y * y
    if not value or q < value then best, value = { x, y }, q end
  end
  return best[1] * u + best[2] * v, best[1] * Hu + best[2] * Hv, value
end

-- Gradients alone (Henkelman and Jonsson 1999): H v is a difference of two,
-- the direction turns to the lowest curvature by Rayleigh quotients in planes,
-- and the point moves with the gradient's part along it reversed. Finds
-- saddles of index 1.
local function dimer(p, o)
  local x = p.x
  local loss, g = p.slope(x)
  local generator = sd.generator(o.seed or 1)
  local v = sd.randn(p.n, { dtype = x.dtype, generator = generator })
  v = v / v:norm()
  local move = o.radius or 0.1 * math.max(norm(x), 1)
  local function difference(u)
    local h = (x.dtype == "f32" and 1e-3 or 1e-6) * math.max(norm(x), 1)
    local _, plus = p.slope(x + h * u)
    local _, minus = p.slope(x - h * u)
    return (plus - minus) / (2 * h)
  end
  local most = 0
  for step = 1, o.max_iter do
    p.reach(x, loss, g, step - 1)
    local Hv = difference(v)
    local curvature = sd.dot(v, Hv):item()
    for _ = 1, 8 do
      local r = Hv - curvature * v
      most = math.max(most, norm(Hv))
      if p.n == 1 or norm(r) <= 1e-3 * most then break end
      local u = r - sd.dot(r, v) * v
      u = u / u:norm()
      v, Hv, curvature = lower(v, Hv, u, difference(u))
      local size = v:norm()
      v, Hv = v / size, Hv / size
    end
    if is_reached(x, g, most, o.tol) and curvature < 0 then
      return x, true, step - 1, "converged"
    end
    local along = sd.dot(g, v) * v
    local force = curvature < 0 and 2 * along - g or along
    if norm(force) == 0 then force = 1e-3 * move * most * v end
    local u = force / force:norm()
    -- A Newton step along the force, in the reflected surface.
    local bend = math.abs(sd.dot(u, difference(u)):item())
    local length = norm(force) / math.max(bend, 1e-8 * most)
    x = sd.eval(x + math.min(length, move) * u)
    loss, g = p.slope(x)
    if not is_finite(loss) then
      return x, false, step, "the loss is not finite"
    end
  end
  return x, false, o.max_iter, "max_iter reached"
end

-- ---- the face ---------------------------------------------------------------

local methods = { newton = newton, gradient_norm = gradient_norm,
                  eigenvector = eigenvector, dimer = dimer }
local default = { any = "gradient_norm", saddle = "eigenvector",
                  minimum = "newton" }

local function check(o, n)
  if not default[o.kind] then
    fail("find: kind must be 'any', 'saddle' or 'minimum', not '%s'", o.kind)
  elseif not methods[o.method] then
    fail("find: method must be newton, gradient_norm, eigenvector or dimer, " ..
         "not '%s'", o.method)
  elseif o.index < 1 or o.index > n then
    fail("find: a saddle of index %d in %d dimensions", o.index, n)
  elseif not (o.tol >= 0) or o.radius and not (o.radius > 0) then
    fail("find: tol must be 0 or above, the radius above 0, not %g and %s",
         o.tol, tostring(o.radius))
  elseif o.method == "dimer" and o.index ~= 1 then
    fail("find: the dimer finds saddles of index 1, not %d", o.index)
  end
end

-- What Ctrl-C leaves of a search.
local function unfinished(p)
  local r = p.reached
  if not r then interrupt.raise() end
  return p.unravel(r.x), point.unknown(interrupt.partial {
    iterations = r.step, loss = r.loss, gradient_norm = norm(r.g) })
end

--- A critical point near start: the parameters, and what classify says of
--- them, with converged, iterations and reason. A minimum by Newton steps in a
--- trust region; a saddle of the wanted index by following eigenvectors, from
--- start or, up to 500 parameters, else from the minimum nearby, or with
--- gradients alone by the dimer; any point by minimising the gradient's
--- norm, which may end where it is flat and not zero: reason says so. Ctrl-C
--- returns the point reached so far, kind "unknown", reason "interrupted".
---
--- ```lua
--- local f = function(p) return p[1] ^ 2 - p[2] ^ 2 + p[2] ^ 4 end
--- local start = sd.tensor{ .5, .2 }
--- local at, info = sd.critical.find(f, start, { kind = "saddle" })
--- print(at, info)
--- ```
---@param f function of params, ...
---@param start any tree
---@param o? table kind "any" | "saddle" | "minimum" ("any"), method "newton" |
---  "gradient_norm" | "eigenvector" | "dimer", index (1), tol (1e-10 in f64,
---  1e-5 in f32), max_iter (200, of each search), radius (of the first
---  steps), seed, args
return function(f, start, o)
  o = sd.check_options(o, {
    "kind:S", "method:S", "index:I", "tol:F", "max_iter:N", "radius:F",
    "seed:I", "args:L" }, "find")
  local p = problem(f, start, o.args, "find")
  local kind = o.kind or (o.index and "saddle" or "any")
  local c = { kind = kind, method = o.method or default[kind] or "",
              index = o.index or 1, max_iter = o.max_iter or 200,
              tol = o.tol or (p.x.dtype == "f32" and 1e-5 or 1e-10),
              radius = o.radius, seed = o.seed }
  check(c, p.n)
  local loss, g = p.slope(p.x)
  if not is_finite(loss) or not is_finite(norm(g)) then
    fail("find: at the start the loss is %g and |gradient| %g", loss, norm(g))
  end
  local function search()
    local x, converged, iterations, reason = methods[c.method](p, c)
    local at = p.unravel(sd.eval(x))
    return at, point.classify(f, at, { args = o.args }), converged,
           iterations, reason
  end
  local good, at, info, converged, iterations, reason =
    interrupt.attempt(search)
  if not good then return unfinished(p) end
  if converged and info.kind == "not critical" then
    converged = false
    reason = ("%s, but a Newton step could gain %.2g"):format(reason, info.gain)
  end
  info.converged, info.iterations, info.reason = converged, iterations, reason
  return at, info
end
