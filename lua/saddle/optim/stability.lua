-- When does a rule diverge, and how fast does it converge otherwise? The rule
-- itself is asked: it minimises many one-dimensional quadratics lambda x^2 / 2
-- at once, and the recurrence that its iterates obey is read off them. The
-- iterates of a linear rule with k numbers of state satisfy
--   x_t = a_1 x_(t-1) + ... + a_(k+1) x_(t-k-1),
-- whose largest root is the factor a step leaves of the distance.
--
-- Rules that scale the gradient by its own past (Adam, RMSprop) have no such
-- threshold of their own. They are asked while gradients of 1 and -1, at
-- random, drive them: how does a small displacement grow? The threshold is then
-- one of eta lambda / rms(g), the preconditioned curvature.

local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"
local stepper = require "saddle.optim.stepper"

local f64 = { dtype = "f64" }
local MOST_TERMS = 4

-- ---- recurrences -----------------------------------------------------------

-- Makes the columns orthonormal, b orthogonal to them, and gives R and the
-- products with b; nothing when the columns depend on each other.
local function orthogonalize(columns, b)
  local d, n = #columns, #b
  local R, c = {}, {}
  for j = 1, d do
    local u = columns[j]
    R[j] = {}
    for i = 1, j - 1 do
      local q, s = columns[i], 0
      for t = 1, n do s = s + q[t] * u[t] end
      for t = 1, n do u[t] = u[t] - s * q[t] end
      R[i][j] = s
    end
    local size = 0
    for t = 1, n do size = size + u[t] ^ 2 end
    size = math.sqrt(size)
    if size < 1e-10 then return nil end
    R[j][j], c[j] = size, 0
    for t = 1, n do
      u[t] = u[t] / size
      c[j] = c[j] + u[t] * b[t]
    end
    for t = 1, n do b[t] = b[t] - c[j] * u[t] end
  end
  return R, c
end

-- a in y_t = sum_j a_j y_(t-j) by least squares over rows scaled to 1, and the
-- largest residual; nothing when the rows do not tell.
local function recurrence(y, d)
  local columns, b = {}, {}
  for j = 1, d do columns[j] = {} end
  for t = math.max(d + 1, #y // 2), #y do -- where the largest roots are left
    local most = 0
    for j = 0, d do most = math.max(most, math.abs(y[t - j])) end
    if most > 1e-200 then
      for j = 1, d do table.insert(columns[j], y[t - j] / most) end
      b[#b + 1] = y[t] / most
    end
  end
  if #b < d + 2 then return nil end
  local R, a = orthogonalize(columns, b)
  if not R then return nil end
  for j = d, 1, -1 do
    for i = j + 1, d do a[j] = a[j] - R[j][i] * a[i] end
    a[j] = a[j] / R[j][j]
  end
  local residual = 0
  for _, v in ipairs(b) do residual = math.max(residual, math.abs(v)) end
  return a, residual
end

-- The largest modulus of the roots of z^d = a_1 z^(d-1) + ... + a_d, by Weier-
-- strass's iteration on all of them at once.
local function largest_root(a)
  local d, re, im = #a, {}, {}
  if d == 1 then return math.abs(a[1]) end
  if d == 2 then
    local half, rest = a[1] / 2, a[1] ^ 2 / 4 + a[2]
    if rest < 0 then return math.sqrt(-a[2]) end
    return math.abs(half) + math.sqrt(rest)
  end
  local size = 0
  for j = 1, d do size = math.max(size, math.abs(a[j]) ^ (1 / j)) end
  for i = 1, d do
    local angle = 0.4 + 2 * math.pi * i / d
    re[i], im[i] = size * math.cos(angle), size * math.sin(angle)
  end
  for _ = 1, 500 do
    local moved = 0
    for i = 1, d do
      local x, y = re[i], im[i]
      local pr, pi = 1, 0 -- the polynomial at x + iy, by Horner
      for j = 1, d do
        pr, pi = pr * x - pi * y - a[j], pr * y + pi * x
      end
      for j = 1, d do
        if j ~= i then
          local u, v = x - re[j], y - im[j]
          local n = u * u + v * v
          if n == 0 then n, u = 1e-300, 1e-150 end
          pr, pi = (pr * u + pi * v) / n, (pi * u - pr * v) / n
        end
      end
      re[i], im[i] = x - pr, y - pi
      moved = math.max(moved, math.abs(pr) + math.abs(pi))
    end
    if moved <= 1e-14 * size then break end
  end
  local most = 0
  for i = 1, d do most = math.max(most, re[i] ^ 2 + im[i] ^ 2) end
  return math.sqrt(most)
end

-- The growth a step of the envelope of y, without a model.
local function envelope(y)
  local n, first, last = #y // 3, 0, 0
  for t = #y - 2 * n + 1, #y - n do first = math.max(first, math.abs(y[t])) end
  for t = #y - n + 1, #y do last = math.max(last, math.abs(y[t])) end
  if last == 0 or first == 0 then return 0 end
  return (last / first) ^ (1 / n)
end

-- The factor by which |y| changes in a step, and whether a recurrence of at
-- most MOST_TERMS terms gives it.
local function rate_of(y, tolerance)
  for d = 1, MOST_TERMS do
    local a, residual = recurrence(y, d)
    if not a and d == 1 then return 0, true end
    if a and residual <= tolerance then return largest_root(a), true end
  end
  return envelope(y), false
end

-- ---- the rule at work ------------------------------------------------------

-- Adds v to the path y until it leaves the range where it means something:
-- above o.most, or below o.least for eight steps.
local function keep(y, v, o)
  if y.over or y.under == 8 then return end
  if not (math.abs(v) < o.most) then
    y.over = true
    return
  end
  y[#y + 1] = v
  y.under = math.abs(v) < o.least and (y.under or 0) + 1 or 0
end

-- Runs the rule on quadratics of the curvatures x / lr for `steps` steps from
-- the distance `size`, after `before` steps at distance 0 under gradients
-- push(t): the list of distances for each x.
local function run(probe, xs, o)
  local n, opt = #xs, probe.opt
  opt:load(probe.blank)
  local curvature = {}
  for i, x in ipairs(xs) do curvature[i] = x / probe.lr end
  curvature = sd.tensor(curvature, f64)
  local p, far = {}, {}
  for i = 1, n + 1 do p[i], far[i] = sd.zeros(1, f64), {} end
  local push = o.push()
  for t = 1 - o.before, o.steps do
    if t == 1 then
      for i = 1, n do p[i] = p[i] + o.size end
    end
    p = probe.step(p, curvature, sd.tensor(push(), f64))
    if t >= 1 then
      local values = sd.cat(p, 1):totable()
      local base = values[n + 1]
      for i = 1, n do
        keep(far[i], (values[i] - base) / o.size, o)
      end
    end
  end
  far[n + 1] = nil
  return far
end

local function loss(p, curvature, push)
  local n = #p - 1
  local base = sd.stop_gradient(p[n + 1])
  local sum = push * p[n + 1]:sum()
  for i = 1, n do
    sum = sum + push * p[i]:sum() +
          curvature[i] * ((p[i] - base) ^ 2):sum() / 2
  end
  return sum
end

local function no_push()
  return function() return 0 end
end

-- Signs without a period, which could resonate with a rule's own: the bits of
-- a linear congruential generator (Knuth's MMIX).
local function push_signs()
  local state = 1
  return function()
    state = state * 6364136223846793005 + 1442695040888963407
    return state < 0 and -1 or 1
  end
end

local still = { steps = 40, before = 0, size = 1, push = no_push,
                tolerance = 1e-9, least = 1e-200, most = 1e200 }
local long = { steps = 400, before = 0, size = 1, push = no_push,
               tolerance = 1e-7, tail = 100, least = 1e-200, most = 1e200 }

-- Is the path from 1000 away a thousand times the path from 1?
local function is_linear(probe)
  local xs = { 1e-3, 0.1, 0.7 }
  local a = run(probe, xs, setmetatable({ steps = 12, size = 1000 },
                                        { __index = still }))
  local b = run(probe, xs, setmetatable({ steps = 12 }, { __index = still }))
  for i = 1, #xs do
    for t = 1, 12 do
      local u, v = a[i][t], b[i][t]
      if not u or not v or
         not (math.abs(u - v) <= 1e-7 * math.max(math.abs(u), 1e-3)) then
        return false
      end
    end
  end
  return true
end

-- Whether a displacement has grown, beyond what it swings at first.
local function has_grown(y)
  if y.over then return true end
  local n, first, last = #y // 3, 0, 0
  for t = 1, n do first = math.max(first, math.abs(y[t])) end
  for t = #y - n + 1, #y do last = math.max(last, math.abs(y[t])) end
  return last > 3 * first
end

-- Rates at the values xs of eta lambda.
local function rates(probe, xs)
  local o = probe.how
  local list, all = {}, true
  for i, y in ipairs(run(probe, xs, o)) do
    if y.over and #y < 8 then
      list[i] = math.huge
    else
      local tail = o.tail and table.move(y, math.max(1, #y - o.tail), #y, 1,
                                         {}) or y
      local known
      list[i], known = rate_of(tail, o.tolerance)
      if not probe.linear and not has_grown(y) then
        list[i] = math.min(list[i], 1)
      end
      all = all and known
    end
  end
  return list, all
end

local function begin(opt, name)
  if opt.t ~= 0 then
    fail("stability: %s has taken %d steps; pass a fresh optimizer", name,
         opt.t)
  end
  local lr = opt.lr
  if type(lr) ~= "number" or not (lr > 0) then
    fail("stability: %s needs an lr above 0, not %s", name, tostring(lr))
  end
  return { opt = opt, lr = lr, blank = opt:state(),
           step = stepper.new(opt, loss) }
end

local function settle_how(probe)
  probe.linear = is_linear(probe)
  if probe.opt.lr ~= probe.lr then
    fail("stability: %s has a learning rate that changes, from %g to %g",
         probe.opt.name, probe.lr, probe.opt.lr)
  end
  if probe.linear then
    probe.how = still
    local _, known = rates(probe, { 1e-2, 0.5, 1, 3 })
    if not known then probe.how = long end
  else
    -- Beyond 1e3 it is no small displacement; below 1e-2 the slow memory of
    -- sizes is all that is left.
    probe.how = { steps = 120, before = 400, size = 1e-7 * probe.lr,
                  push = push_signs, tolerance = 1e-2, least = 1e-2,
                  most = 1e3 }
  end
end

-- ---- thresholds ------------------------------------------------------------

local function spaced(from, to, n)
  local list = {}
  for i = 1, n do list[i] = from * (to / from) ^ ((i - 1) / (n - 1)) end
  return list
end

-- The place where rates pass 1, between the last stable and the first unstable
-- of xs; nil when none is unstable.
local function crossing(xs, list)
  for i, r in ipairs(list) do
    if r > 1 + 1e-9 then return xs[i - 1] or 0, xs[i] end
  end
end

local function threshold_of(probe, xs, list)
  local low, high = crossing(xs, list)
  if not low then return math.huge end
  if low == 0 then return 0 end
  for _ = 1, 3 do
    local finer = spaced(low, high, 16)
    local a, b = crossing(finer, (rates(probe, finer)))
    if not a or a == 0 then break end
    low, high = a, b
  end
  return (low + high) / 2
end

-- The eta lambda_max that makes the larger of the rates at it and at its
-- `condition`-th part least, and that rate; rates fall, then rise.
local function best_of(probe, from, to, condition)
  local best, rate
  for _ = 1, 5 do
    local xs, n = spaced(from, to, 16), 16
    for i = 1, n do xs[n + i] = xs[i] / condition end
    local list = rates(probe, xs)
    local at
    rate = math.huge
    for i = 1, n do
      local r = math.max(list[i], list[n + i])
      if r < rate then at, rate = i, r end
    end
    if not at then return nil end
    best = xs[at]
    from, to = xs[math.max(1, at - 1)], xs[math.min(n, at + 1)]
  end
  return best, rate
end

-- ---- the result ------------------------------------------------------------

local result, methods = {}, {}
result.__index = module.fields("the stability", methods,
                               { best = true, map = true, vary = true })

function result:__tostring()
  local unit = self.linear and "eta lambda" or "eta lambda / rms(g)"
  local text = ("%s: stable for %s < %.5g"):format(self.name, unit,
                                                  self.threshold)
  if self.threshold == math.huge then
    text = ("%s: stable for every %s up to %g"):format(self.name, unit,
                                                      self.x[#self.x])
  end
  if self.best then
    text = ("%s; best %.5g, where a step leaves %.4g%s"):format(text,
      self.best.x, self.best.rate, self.best.condition > 1 and
      (" (condition %g)"):format(self.best.condition) or "")
  end
  if not self.exact then text = text .. " (by growth, about 1 %)" end
  return text
end

--- A figure of the rates over eta lambda, saved when a path is given.
---@param path? string
---@return saddle.plot.Figure
function methods:plot(path)
  local lines = {
    title = "What a step leaves of the distance: " .. self.name,
    xlabel = self.linear and "step size times curvature" or
             "step size times curvature over rms gradient",
    ylabel = "factor a step", logx = true, yrange = { 0, 1.5 },
    hlines = { 1 }, legend = "outside" }
  local most = math.max(self.threshold,
                        table.unpack(self.vary and self.vary.thresholds or {}))
  if most < math.huge then
    lines.xrange = { self.x[1], math.min(self.x[#self.x], 2 * most) }
  end
  local function curve(name, list)
    local y = {}
    for i, r in ipairs(list) do y[i] = r <= 1.6 and r or 0 / 0 end
    lines[#lines + 1] = { x = self.x, y = y, name = name }
  end
  if self.map then
    for i, v in ipairs(self.vary.values) do
      curve(("%s = %g"):format(self.vary.name, v), self.map[i])
    end
  else
    curve(nil, self.rate)
    lines.legend = "none"
    if self.threshold < math.huge then
      lines.vlines = { { at = self.threshold,
                         name = ("%.4g"):format(self.threshold) } }
    end
  end
  local figure = require "saddle.plot".lines(lines)
  return path and figure:save(path) or figure
end

local function study(opt, name, o)
  local probe = begin(opt, name)
  settle_how(probe)
  local from, to = o.range[1], o.range[2]
  local xs = spaced(from, to, o.points)
  local list, exact = rates(probe, xs)
  local r = { x = xs, rate = list, linear = probe.linear, exact = exact,
              name = name }
  r.threshold = threshold_of(probe, xs, list)
  if probe.linear and r.threshold > 0 then
    local x, rate = best_of(probe, from, math.min(to, 1.1 * r.threshold),
                            o.condition)
    r.best = x and { x = x, rate = rate, condition = o.condition }
  end
  opt:load(probe.blank)
  return r
end

local function check_vary(opt, vary)
  if vary == nil then return end
  if type(vary) ~= "table" or type(vary.name) ~= "string" or
     type(vary.values) ~= "table" or #vary.values == 0 then
    fail "stability: vary must be { name = option, values = list }"
  end
  return vary, opt[vary.name]
end

--- For which step sizes is an optimizer stable, on a quadratic of curvature
--- lambda? { threshold (the eta lambda from which it diverges, to 1e-3 or
--- better, math.huge when there is none), best = { x = eta lambda_max, rate,
--- condition } for curvatures within a factor `condition` of each other, x,
--- rate (lists: what a step leaves of the distance, over eta lambda), linear,
--- exact, map (a list of such rates for each of vary's values) }, with :plot().
---
--- ```lua
--- local s = sd.optim.stability(sd.optim.sgd{ lr = 0.1, momentum = 0.9 })
--- print(s, s.threshold) -- 3.8 = 2 + 2 * 0.9
--- ```
---@param opt table an optimizer that has taken no steps, of any rule
---@param o? table range ({1e-2, 1e3} of eta lambda), points (41), condition
---(1), vary ({ name =, values = } of another option)
return function(opt, o)
  o = sd.check_options(o, { "range:L", "points:N", "condition:F", "vary:L" },
                       "stability")
  stepper.check(opt, "stability")
  local range = o.range or { 1e-2, 1e3 }
  if type(range[1]) ~= "number" or type(range[2]) ~= "number" or
     not (range[1] > 0 and range[1] < range[2] and range[2] < math.huge) then
    fail("stability: range must be { from, to } above 0, not { %s, %s }",
         tostring(range[1]), tostring(range[2]))
  end
  local condition = o.condition or 1
  if condition < 1 then
    fail("stability: condition must be at least 1, not %s", condition)
  end
  local settings = { range = range, points = math.max(o.points or 41, 8),
                     condition = condition }
  local name = opt.name
  local vary, kept = check_vary(opt, o.vary)
  if not vary then return setmetatable(study(opt, name, settings), result) end
  local map, thresholds = {}, {}
  for i, v in ipairs(vary.values) do
    opt[vary.name] = v
    local each = study(opt, name, settings)
    map[i], thresholds[i] = each.rate, each.threshold
  end
  opt[vary.name] = kept
  local r = study(opt, name, settings)
  r.map = map
  r.vary = { name = vary.name, values = vary.values, thresholds = thresholds }
  return setmetatable(r, result)
end
