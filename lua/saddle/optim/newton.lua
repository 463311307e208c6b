-- Rules that use the whole curvature: Newton's and those that mend it, on
-- dense matrices for few parameters, on products for many.

local fail = require "saddle.fail"
local search = require "saddle.optim.line_search"
local sd = require "saddle.init"
local dot = search.dot

local most_dense = 5000

local function matrix(c, name)
  if c.n > most_dense then
    fail("%s: the whole Hessian of %d parameters is too much (at most %d)",
         name, c.n, most_dense)
  end
  return c:matrix()
end

local function norm(x) return dot(x, x) ^ 0.5 end

local function identity(n) return sd.eye(n, { dtype = "f64" }) end

-- x + d, or with line_search as far along d as Armijo's condition lets, d
-- going down.
local function move(c, d, h)
  d = d:to(c.x.dtype)
  if not h.line_search then return c:done(c.x + h.lr * d) end
  local slope = dot(c.gradient, d)
  if slope > 0 then d, slope = -d, -slope end
  local t = search.armijo(c, d, h.lr, slope, { c1 = 1e-4, beta = 0.5 })
  return c:done(t and c.x + t * d or c.x)
end

-- The root of a decreasing function between low and high.
local function bisect(f, low, high)
  for _ = 1, 200 do
    local mid = (low + high) / 2
    if mid <= low or mid >= high then break end
    if f(mid) > 0 then low = mid else high = mid end
  end
  return (low + high) / 2
end

-- The least of g's + s'Hs / 2 + M |s|^3 / 6, from the eigenvalues w (rising)
-- and c = Q'g: coefficients in Q, and the value (Nesterov and Polyak 2006).
local function cubic_step(w, c, M)
  local n, low = #w, math.max(0, -2 * w[1] / M)
  local function step(r)
    local s, square = {}, 0
    for i = 1, n do
      local b = w[i] + M * r / 2
      s[i] = b > 0 and -c[i] / b or 0
      square = square + s[i] * s[i]
    end
    return s, square ^ 0.5
  end
  local high = math.max(1e-12, 2 * low)
  while select(2, step(high)) > high do high = 2 * high end
  local tiny = 1e-14 * math.max(1, low)
  local r = bisect(function(x) return select(2, step(x)) - x end,
                   low + tiny, high)
  local s, size = step(r)
  if w[1] < 0 and size < low then -- the hard case: along the first vector
    s[1] = s[1] + (c[1] > 0 and -1 or 1) * (low ^ 2 - size ^ 2) ^ 0.5
  end
  local value, square = 0, 0
  for i = 1, n do
    value = value + c[i] * s[i] + w[i] * s[i] ^ 2 / 2
    square = square + s[i] ^ 2
  end
  return s, value + M / 6 * square ^ 1.5
end

-- The least of g's + s'Hs / 2 within |s| <= radius, by conjugate gradients
-- that stop at the border and at negative curvature (Steihaug 1983): s, the
-- value, and whether it lies on the border.
local function steihaug(c, g, radius, tol, max_iter)
  local s, r = sd.zeros_like(g), g
  local d, rr = -g, dot(g, g)
  local least, Hs = tol * rr ^ 0.5, sd.zeros_like(g)
  local function border(Hd)
    local dd, sd_, ss = dot(d, d), dot(s, d), dot(s, s)
    local t = (-sd_ + (sd_ ^ 2 + dd * math.max(0, radius ^ 2 - ss)) ^ 0.5) / dd
    s, Hs = s + t * d, Hs + t * Hd
    return s, dot(g, s) + dot(s, Hs) / 2, true
  end
  for _ = 1, max_iter do
    local Hd = c:hvp(d)
    local curvature = dot(d, Hd)
    if curvature <= 0 then return border(Hd) end
    local a = rr / curvature
    if norm(s + a * d) >= radius then return border(Hd) end
    s, Hs, r = s + a * d, Hs + a * Hd, r + a * Hd
    sd.eval(s, Hs, r)
    local new = dot(r, r)
    if new ^ 0.5 <= least then break end
    d = sd.eval(new / rr * d - r)
    rr = new
  end
  return s, dot(g, s) + dot(s, Hs) / 2, false
end

return function(optim)
  --- Newton's method: w <- w - lr (H + damping I)^-1 g with the whole Hessian;
  --- it goes to saddles and maxima as well. A singular matrix is an error.
  ---@param o? table lr (1), damping (0), line_search (false: backtracking)
  optim.newton = optim.rule {
    name = "newton",
    defaults = { lr = 1, damping = 0, line_search = false },
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local H = matrix(c, "newton") + c.h.damping * identity(c.n)
      local good, d = pcall(function()
        return sd.eval(sd.linalg.solve(H, -c.gradient:to "f64"))
      end)
      if not good then
        local singular = tostring(d):match "singular.*"
        if not singular then error(d, 0) end
        fail("newton: the Hessian is %s; damping above 0 helps", singular)
      end
      return move(c, d, c.h)
    end,
  }

  --- Saddle-free Newton (Dauphin et al. 2014): w <- w - lr (|H| + damping I)^-1
  --- g, |H| having the absolute eigenvalues.
  ---@param o? table lr (1), damping (1e-3), line_search (false)
  optim.saddle_free_newton = optim.rule {
    name = "saddle_free_newton",
    defaults = { lr = 1, damping = 1e-3, line_search = false },
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local w, Q = sd.linalg.eigh(matrix(c, "saddle_free_newton"))
      local own = Q:T():mv(c.gradient:to "f64")
      local d = -Q:mv(own / sd.maximum(w:abs() + c.h.damping, 1e-300))
      return move(c, d, c.h)
    end,
  }

  --- Newton-CG: H d = -g (+ damping d) by conjugate gradients to a residual of
  --- min(tol, sqrt |g|) |g|, then Armijo's search; where the curvature along
  --- the way is negative, down that way (Nocedal and Wright 2006, ch. 7).
  ---@param o? table lr (1), damping (0), tol (0.5), max_iter (250), line_search
  ---  (true)
  optim.newton_cg = optim.rule {
    name = "newton_cg",
    defaults = { lr = 1, damping = 0, tol = 0.5, max_iter = 250,
                 line_search = true },
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local h, g = c.h, c.gradient
      local size = norm(g)
      if size == 0 then return c:done(c.x) end
      local r = c:hessian():solve(-g, {
        damping = h.damping, max_iter = math.tointeger(h.max_iter),
        tol = math.max(1e-12, math.min(h.tol, size ^ 0.5)) })
      local d = r.x
      if r.direction and not (dot(d, g) < 0) then
        d = r.direction
        d = -d * ((dot(d, g) < 0 and -1 or 1) * size)
      end
      return move(c, d, h)
    end,
  }

  --- Trust region (Steihaug 1983; Nocedal and Wright 2006, alg. 4.1): the model
  --- g's + s'Hs / 2 is made small within |s| <= radius; a step is taken when it
  --- gains eta of what the model foresaw, and the radius follows that share.
  ---@param o? table radius (1), max_radius (1000), eta (0.1), tol (1e-2),
  ---  max_iter (250)
  optim.trust_region = optim.rule {
    name = "trust_region",
    defaults = { radius = 1, max_radius = 1000, eta = 0.1, tol = 1e-2,
                 max_iter = 250 },
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local h, g, radius = c.h, c.gradient, c.state.radius or c.h.radius
      local size = norm(g)
      if size == 0 then return c:done(c.x) end
      local s, foreseen, on_border = steihaug(
        c, g, radius, math.min(h.tol, size ^ 0.5), h.max_iter)
      local new = c:value(c.x + s)
      local noise = 1e-15 * math.max(1, math.abs(c.loss))
      local share = (c.loss - new + noise) / (noise - foreseen)
      if not (share >= 0.25) then
        radius = radius / 4
      elseif share > 0.75 and on_border then
        radius = math.min(2 * radius, h.max_radius)
      end
      c.state.radius = radius
      return c:done(share > h.eta and c.x + s or c.x)
    end,
  }

  --- Newton with cubic regularization (Nesterov and Polyak 2006): the least of
  --- g's + s'Hs / 2 + M |s|^3 / 6, exact by the eigenvectors of H. M follows
  --- the share of the foreseen gain (Cartis, Gould and Toint 2011).
  ---@param o? table M (1: the Hessian's Lipschitz constant, or a guess), adapt
  ---  (true)
  optim.cubic_newton = optim.rule {
    name = "cubic_newton", defaults = { M = 1, adapt = true },
    check = function(h)
      if h.M == 0 then fail "cubic_newton: M must be above 0, not 0" end
    end,
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local M = c.state.M or c.h.M
      local w, Q = sd.linalg.eigh(matrix(c, "cubic_newton"))
      local own = Q:T():mv(c.gradient:to "f64")
      local s, foreseen = cubic_step(w:totable(), own:totable(), M)
      local x = c.x + Q:mv(sd.tensor(s, { dtype = "f64" })):to(c.x.dtype)
      if not c.h.adapt then return c:done(x) end
      local noise = 1e-15 * math.max(1, math.abs(c.loss))
      local share = (c.loss - c:value(x) + noise) / (noise - foreseen)
      if not (share >= 0.1) then c.state.M = 2 * M
      elseif share > 0.9 then c.state.M = math.max(M / 2, 1e-8)
      else c.state.M = M end
      return c:done(share >= 0.1 and x or c.x)
    end,
  }

  --- Levenberg and Marquardt, for a loss that is half the sum of squares of
  --- residuals(params, ...): (J'J + damping diag(J'J)) d = -J'r, damping being
  --- divided by 10 after a step that gains and grown by 10 until one does
  --- (Marquardt 1963).
  ---@param o table residuals, damping (1e-2), most (30 attempts)
  optim.levenberg_marquardt = optim.rule {
    name = "levenberg_marquardt", defaults = { damping = 1e-2, most = 30 },
    takes = { residuals = true },
    check = function(h)
      if h.residuals == nil then
        fail "levenberg_marquardt: needs residuals, a function of params, ..."
      end
    end,
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local args = table.pack(...)
      local function residuals(x)
        local r = c.h.residuals(c.unravel(x), table.unpack(args, 1, args.n))
        if not sd.is_tensor(r) then
          fail("levenberg_marquardt: residuals returned a %s, not a tensor",
               type(r))
        end
        return r:reshape(-1):to "f64"
      end
      local function half_square(x)
        return (residuals(x):square():sum() / 2):item()
      end
      local r = residuals(c.x)
      local J = sd.jacobian(residuals)(c.x):to "f64"
      local A, b = J:T():matmul(J), J:T():mv(r)
      local scale = sd.diag(sd.maximum(sd.diag(A), 1e-30))
      local now, damping = half_square(c.x), c.state.damping or c.h.damping
      for _ = 1, c.h.most do
        local d = sd.linalg.solve(A + damping * scale, -b)
        local x = sd.eval(c.x + d:to(c.x.dtype))
        if half_square(x) <= now then
          c.state.damping = math.max(damping / 10, 1e-15)
          return c:done(x)
        end
        damping = damping * 10
      end
      c.state.damping = damping
      return c:done(c.x)
    end,
  }

  --- Gauss-Newton by conjugate gradients (Martens 2010): (G + damping I) d = -g
  --- with G = J'H J of loss(model(params, x), y); damping falls by 2/3 where
  --- the loss follows the model (share above 3/4), grows by 3/2 where it does
  --- not (below 1/4); then backtracking. The step's function is given x and y.
  ---@param o table model, loss, damping (1), tol (1e-3), max_iter (100), lr (1)
  optim.gauss_newton_cg = optim.rule {
    name = "gauss_newton_cg",
    defaults = { damping = 1, tol = 1e-3, max_iter = 100, lr = 1 },
    takes = { model = true, loss = true },
    check = function(h)
      if h.model == nil or h.loss == nil then
        fail("gauss_newton_cg: needs model, a function of params and x, and " ..
             "loss, of its outputs and y")
      end
    end,
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local h, g, x, y = c.h, c.gradient, ...
      if dot(g, g) == 0 then return c:done(c.x) end
      local damping = c.state.damping or h.damping
      local G = sd.curvature.ggn(h.model, h.loss, params, x, y)
      local d = G:solve(-g, { damping = damping, tol = h.tol,
                              max_iter = math.tointeger(h.max_iter) }).x
      local foreseen = dot(g, d) + dot(d, G:matvec(d)) / 2
      local share = (c.loss - c:value(c.x + d)) / -foreseen
      if share > 0.75 then damping = damping * 2 / 3
      elseif not (share >= 0.25) then damping = damping * 3 / 2 end
      c.state.damping = damping
      return move(c, d, { lr = h.lr, line_search = true })
    end,
  }

  --- K-FAC (Martens and Grosse 2015): w <- w - lr (K + damping I)^-1 g with the
  --- Kronecker factors K of the Fisher matrix of net (see sd.curvature.kfac),
  --- on the batch that is the first further argument of the step. clip scales
  --- the step so that lr^2 d'g is at most clip (Ba et al. 2017; 0: never).
  ---@param o table net, likelihood ("categorical"), lr (1), damping (1e-2),
  ---  clip (1e-2), corrected (false: EKFAC's eigenvalues)
  optim.kfac = optim.rule {
    name = "kfac",
    defaults = { likelihood = "categorical", lr = 1, damping = 1e-2,
                 clip = 1e-2, corrected = false },
    takes = { net = true },
    check = function(h)
      if h.net == nil then fail "kfac: needs net, a chain of dense layers" end
    end,
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local h, x = c.h, ...
      if not sd.is_tensor(x) then
        fail("kfac: the step's first argument after the parameters must be " ..
             "the batch, not a %s", type(x))
      end
      local K = sd.curvature.kfac(h.net, params, x, {
        likelihood = h.likelihood, corrected = h.corrected })
      local d = K.inverse(h.damping):matvec(c.gradient)
      local size = h.lr ^ 2 * dot(d, c.gradient)
      local rate = h.lr
      if h.clip > 0 and size > h.clip then
        rate = rate * (h.clip / size) ^ 0.5
      end
      return c:done(c.x - rate * d)
    end,
  }

  --- Perturbed gradient descent (Jin et al. 2017): where |g| <= threshold, and
  --- no noise came for interval steps, the parameters first move to a uniform
  --- draw from the ball of this radius, so that saddles are left.
  ---@param o? table lr (0.01), radius (1e-2), threshold (1e-3), interval (50),
  ---  seed (1)
  optim.perturbed_gd = optim.rule {
    name = "perturbed_gd",
    defaults = { lr = 0.01, radius = 1e-2, threshold = 1e-3, interval = 50,
                 seed = 1 },
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local h, g, x, s = c.h, c.gradient, c.x, c.state
      if norm(g) <= h.threshold and c.t - (s.last or -math.huge) > h.interval
      then
        local o = { dtype = x.dtype, generator = h.generator }
        local u = sd.randn({ c.n }, o)
        local size = sd.rand({}, o) ^ (1 / c.n) * h.radius
        x = sd.eval(x + u * (size / u:norm()))
        s.last = c.t
        local _
        _, g = c:slope(x)
      end
      return c:done(x - h.lr * g)
    end,
  }
end
