-- Quasi-Newton and conjugate directions.

local fail = require "saddle.fail"
local hyper = require "saddle.optim.hyper"
local search = require "saddle.optim.line_search"
local sd = require "saddle.init"
local dot = search.dot

local function whole(h, name, least)
  local v = h[name]
  if hyper.callable(v) then return end
  if not (math.tointeger(v) and v >= least) then
    fail("lbfgs: %s must be a whole number, %d or more, not %s", name, least,
         tostring(v))
  end
end

local function copy(list) return table.move(list, 1, #list, 1, {}) end

-- ---- L-BFGS ----------------------------------------------------------------

-- -H g by the two loops of Nocedal (1980), H starting from scale I.
local function direction(g, s)
  local q, a = -g, {}
  for i = #s.changes, 1, -1 do
    a[i] = s.rho[i] * dot(s.steps[i], q)
    q = q - a[i] * s.changes[i]
  end
  q = q * s.scale
  for i = 1, #s.changes do
    q = q + (a[i] - s.rho[i] * dot(s.changes[i], q)) * s.steps[i]
  end
  return sd.eval(q)
end

-- Takes the pair of the last step into the memory, if it curves upwards.
local function remember(s, g, history)
  local y, step = g - s.gradient, s.direction * s.t
  local curvature = dot(y, step)
  if curvature <= 1e-10 then return end
  if #s.changes == history then
    for _, list in ipairs { s.changes, s.steps, s.rho } do
      table.remove(list, 1)
    end
  end
  local n = #s.changes + 1
  s.changes[n], s.steps[n] = sd.eval(y), sd.eval(step)
  s.rho[n] = 1 / curvature
  s.scale = curvature / dot(y, y)
end

local function largest(x) return x:abs():max():item() end

-- The next point along s.direction, and the evaluations it took.
local function advance(c, s, p, h, last)
  local d = s.direction
  if h.line_search == "strong_wolfe" then
    return search.strong_wolfe(c, d, p, s.t, { least = h.tolerance_change })
  end
  local q = { t = s.t, f = p.f, g = p.g }
  if last then return q, 0 end
  q.f, q.g = c:slope(c.x + s.t * d)
  return q, 1
end

local function minimize(c, s, h)
  local p = { t = 0, f = c.loss, g = c.gradient }
  local most = h.max_eval > 0 and h.max_eval or h.max_iter * 5 // 4
  local evaluations = 1
  s.evaluations = (s.evaluations or 0) + 1
  if largest(p.g) <= h.tolerance_grad then return end
  for i = 1, h.max_iter do
    s.iterations = (s.iterations or 0) + 1
    if s.iterations == 1 then
      s.direction, s.scale = sd.eval(-p.g), 1
      s.changes, s.steps, s.rho = {}, {}, {}
      s.t = math.min(1, 1 / p.g:abs():sum():item()) * h.lr
    else
      remember(s, p.g, h.history)
      s.direction, s.t = direction(p.g, s), h.lr
    end
    s.gradient = p.g
    p.slope = dot(p.g, s.direction)
    if p.slope > -h.tolerance_change then break end
    local q, took = advance(c, s, p, h, i == h.max_iter)
    c.x = sd.eval(c.x + q.t * s.direction)
    s.t = q.t
    evaluations = evaluations + took
    s.evaluations = s.evaluations + took
    if evaluations >= most or largest(q.g) <= h.tolerance_grad or
       largest(s.direction) * q.t <= h.tolerance_change or
       math.abs(q.f - p.f) < h.tolerance_change then
      break
    end
    p = { t = 0, f = q.f, g = q.g }
  end
end

-- ---- nonlinear conjugate gradients -----------------------------------------

local betas = {
  ["FR"] = function(g, old) return dot(g, g) / dot(old, old) end,
  ["PR+"] = function(g, old)
    return math.max(0, dot(g, g - old) / dot(old, old))
  end,
  ["HS"] = function(g, old, d) return dot(g, g - old) / dot(d, g - old) end,
  ["DY"] = function(g, old, d) return dot(g, g) / dot(d, g - old) end,
}

return function(optim)
  --- L-BFGS (Nocedal 1980; Liu and Nocedal 1989), as PyTorch has it but for the
  --- default of line_search, which is none there (sd.optim.preset("lbfgs",
  --- "pytorch") has it too): a step of the optimizer makes up to max_iter
  --- iterations; opt:state().states holds their number and that of the
  --- evaluations so far. max_eval is looked at between iterations; a step ends
  --- when no element of the gradient is above tolerance_grad, or when none of
  --- the change, or the loss's, is above tolerance_change.
  ---
  --- ```lua
  --- local opt = sd.optim.lbfgs{}
  --- local w = opt:step(function(w) return (w * w):sum() end, sd.ones(3))
  --- ```
  ---@param o? table lr (1), max_iter (20), max_eval (0: max_iter 5 / 4),
  ---  tolerance_grad (1e-7), tolerance_change (1e-9), history (100),
  ---  line_search ("strong_wolfe") or "none"; history_size and line_search_fn,
  ---  PyTorch's names, will do too
  optim.lbfgs = optim.rule {
    name = "lbfgs",
    defaults = { lr = 1, max_iter = 20, max_eval = 0, tolerance_grad = 1e-7,
                 tolerance_change = 1e-9, history = 100,
                 line_search = "strong_wolfe" },
    aliases = { history_size = "history", line_search_fn = "line_search" },
    check = function(h)
      if h.line_search ~= "strong_wolfe" and h.line_search ~= "none" then
        fail("lbfgs: line_search must be strong_wolfe or none, not '%s'",
             tostring(h.line_search))
      end
      whole(h, "history", 1)
      whole(h, "max_iter", 1)
      whole(h, "max_eval", 0)
    end,
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local s = c.state
      c:fits(s.gradient)
      for _, k in ipairs { "changes", "steps", "rho" } do
        if s[k] then s[k] = copy(s[k]) end
      end
      minimize(c, s, c.h)
      return c:done(c.x)
    end,
  }

  --- Nonlinear conjugate gradients: d <- -g + beta d, then a search that
  --- satisfies the strong Wolfe conditions with c2. beta by Fletcher and Reeves
  --- (1964, "FR"), Polak and Ribière with 0 at least (Gilbert and Nocedal 1992,
  --- "PR+"), Hestenes and Stiefel (1952, "HS") or Dai and Yuan (1999, "DY").
  --- Where d does not go down, and every restart steps, it starts from -g.
  ---@param o? table beta ("PR+"), lr (1: the first step is lr / |g|), c1
  ---  (1e-4), c2 (0.1), restart (0: never)
  optim.nonlinear_cg = optim.rule {
    name = "nonlinear_cg",
    defaults = { beta = "PR+", lr = 1, c1 = 1e-4, c2 = 0.1, restart = 0 },
    check = function(h)
      if not betas[h.beta] then
        fail("nonlinear_cg: beta must be FR, PR+, HS or DY, not '%s'",
             tostring(h.beta))
      end
    end,
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local s, h, g = c.state, c.h, c.gradient
      local size = dot(g, g) ^ 0.5
      if size == 0 then return c:done(c.x) end
      c:fits(s.gradient)
      local d
      local fresh = h.restart > 0 and (c.t - 1) % h.restart == 0
      if s.direction and not fresh then
        local beta = betas[h.beta](g, s.gradient, s.direction)
        if beta == beta and math.abs(beta) < math.huge then
          d = sd.eval(beta * s.direction - g)
        end
      end
      if not d or dot(d, g) >= 0 then d = sd.eval(-g) end
      local slope = dot(d, g)
      local t = s.slope and s.t * s.slope / slope or h.lr / size
      local p = search.strong_wolfe(c, d, { t = 0, f = c.loss, g = g,
                                            slope = slope }, t, h)
      s.direction, s.gradient, s.slope, s.t = d, g, slope, p.t
      if p.t == 0 then s.direction, s.slope = nil, nil end
      return c:done(c.x + p.t * d)
    end,
  }

  --- Gradient descent whose step is halved (by beta) until the loss falls by
  --- c1 lr |g|^2 (Armijo 1966), and grows by grow for the next step.
  ---@param o? table lr (1), beta (0.5), c1 (1e-4), grow (2)
  optim.armijo = optim.rule {
    name = "armijo", defaults = { lr = 1, beta = 0.5, c1 = 1e-4, grow = 2 },
    check = function(h)
      if h.beta == 0 then fail "armijo: beta must be above 0, not 0" end
    end,
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local g, h = c.gradient, c.h
      local first = c.state.t and math.min(h.lr, c.state.t * h.grow) or h.lr
      local t = search.armijo(c, -g, first, -dot(g, g), h)
      c.state.t = t or first * h.beta ^ 20
      return c:done(t and c.x - t * g or c.x)
    end,
  }

  --- Polyak's step (1987): w <- w - (L(w) - minimum) / |g|^2 g, at most lr.
  ---@param o? table minimum (0: the least loss there is), lr (1e6)
  optim.polyak = optim.rule {
    name = "polyak", defaults = { minimum = 0, lr = 1e6 },
    takes = { minimum = true },
    check = function(h)
      if type(h.minimum) ~= "number" and not hyper.callable(h.minimum) then
        fail("polyak: minimum must be a number, not %s", tostring(h.minimum))
      end
    end,
    step = function(self, f, params, ...)
      local c = self:context(f, params, ...)
      local square = dot(c.gradient, c.gradient)
      local gap = math.max(0, c.loss - hyper.value(c.h.minimum, c.t))
      local t = square > 0 and math.min(c.h.lr, gap / square) or 0
      return c:done(c.x - t * c.gradient)
    end,
  }
end
