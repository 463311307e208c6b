-- Schedules: what a hyper-parameter is at each step, counted from 1. Those
-- that PyTorch has take its options and compute its values, its epoch k being
-- the step k + 1; the rate they start from is `lr` or `from`.
--
-- A schedule is called with a step, takes part in arithmetic with numbers and
-- other functions of the step, and may stand for any hyper-parameter.

local base = require "saddle.schedule.base"
local fail = require "saddle.fail"
local module = require "saddle.module"
local options = require "saddle.arguments".options

local as_function, define, length_of = base.as_function, base.define,
                                       base.length_of
local new, parse, read = base.new, base.parse, base.read

local schedule = {}

-- ---- falling ---------------------------------------------------------------

--- lr at every step; factor times it in the first total_iters steps, as
--- PyTorch's ConstantLR, when a factor is given.
---@param o number | { lr: number, factor?: number, total_iters?: integer }
function schedule.constant(o)
  if type(o) == "number" then o = { lr = o } end
  local what = "schedule.constant"
  o = read(what, parse "lr|from:R factor:R=1 total_iters|steps:Z=5", o or {})
  return new("constant", function(k)
    return k < o.total_iters and o.lr * o.factor or o.lr
  end, o.factor ~= 1 and o.total_iters + 1)
end

--- lr gamma^(k // step_size): a factor gamma every step_size steps (StepLR).
schedule.step = define("step", "lr|from:R step_size:N gamma:R=0.1",
  function(o)
    return function(k) return o.lr * o.gamma ^ (k // o.step_size) end,
           4 * o.step_size
  end)

--- A factor gamma after each of the milestones (MultiStepLR).
schedule.multistep = define("multistep", "lr|from:R milestones:L gamma:R=0.1",
  function(o, what)
    local list = {}
    for i, m in ipairs(o.milestones) do
      if type(m) ~= "number" or m < 0 then
        fail("%s: milestone %d must be a number of steps, not %s", what, i,
             tostring(m))
      end
      list[i] = m
    end
    table.sort(list)
    return function(k)
      local passed = 0
      while list[passed + 1] and list[passed + 1] <= k do
        passed = passed + 1
      end
      return o.lr * o.gamma ^ passed
    end, (list[#list] or 100) * 1.25
  end)

--- lr gamma^k (ExponentialLR); or from `from` to `to` over `steps`.
schedule.exponential = define("exponential",
  "lr|from:R gamma:P? to:P? steps:N?", function(o, what)
    local steps = o.steps
    if (o.gamma == nil) == (o.to == nil) or o.to and not steps then
      fail("%s: needs gamma, or to and steps", what)
    elseif o.to and o.lr <= 0 then
      fail("%s: from must be above 0, not %s", what, o.lr)
    end
    local gamma = o.gamma or (o.to / o.lr) ^ (1 / steps)
    return function(k)
      return o.lr * gamma ^ (o.to and math.min(k, steps) or k)
    end, steps and steps + 1
  end)

--- lr / (1 + gamma k): decay with time, gradient descent's oldest.
schedule.time = define("time", "lr|from:R gamma:P", function(o)
  return function(k) return o.lr / (1 + o.gamma * k) end, 9 / o.gamma + 1
end)

--- From `from` to `to` in a straight line over `steps`; or lr times
--- start_factor to end_factor over total_iters (LinearLR).
---
--- ```lua
--- local warm = require("saddle").schedule.linear{
---   from = 0, to = 0.1, steps = 100 }
--- print(warm(51))
--- ```
schedule.linear = define("linear", "from:R? to:R? lr:R? start_factor:R? " ..
  "end_factor:R? total_iters|steps:N=5", function(o, what)
    local torch = o.lr or o.start_factor or o.end_factor
    if torch and (o.from or o.to) or not torch and not o.from or
       torch and not o.lr then
      fail("%s: needs from and to, or lr with start_factor and end_factor",
           what)
    end
    local from = o.from or o.lr * (o.start_factor or 1 / 3)
    local to = o.from and (o.to or 0) or o.lr * (o.end_factor or 1)
    local n = o.total_iters
    return function(k) return from + (to - from) * math.min(k, n) / n end,
           n + 1
  end)

--- (1 - k / total_iters)^power of the way from lr to `to` (PolynomialLR).
schedule.polynomial = define("polynomial",
  "lr|from:R to:R=0 total_iters|steps:N=5 power:P=1", function(o)
    local n = o.total_iters
    return function(k)
      return o.to + (o.lr - o.to) * (1 - math.min(k, n) / n) ^ o.power
    end, n + 1
  end)

local function cosine(from, to, share)
  return to + (from - to) * (1 + math.cos(math.pi * share)) / 2
end

--- Half a cosine from `from` to `to` over `steps`, where it stays. With T_max
--- and eta_min it rises again after T_max steps, as CosineAnnealingLR does.
---
--- ```lua
--- local s = require("saddle").schedule.cosine{ from = 1e-3, steps = 1000 }
--- print(s(1), s(501), s(1001))
--- ```
schedule.cosine = define("cosine",
  "lr|from:R to|eta_min:R=0 steps:N? T_max:N?", function(o, what)
    if (o.steps == nil) == (o.T_max == nil) then
      fail("%s: needs steps or T_max", what)
    end
    local n = o.steps or o.T_max
    return function(k)
      if o.steps then k = math.min(k, n) end
      return cosine(o.lr, o.to, k / n)
    end, n + 1
  end)

--- Cosines that start anew after T_0, T_0 T_mult, T_0 T_mult^2 ... steps
--- (Loshchilov and Hutter 2017; CosineAnnealingWarmRestarts).
schedule.cosine_restarts = define("cosine_restarts",
  "lr|from:R T_0|steps:N T_mult:N=1 to|eta_min:R=0", function(o)
    return function(k)
      local n = o.T_0
      if o.T_mult == 1 then
        k = k % n
      else
        while k >= n do k, n = k - n, n * o.T_mult end
      end
      return cosine(o.lr, o.to, k / n)
    end, o.T_0 * (1 + o.T_mult + o.T_mult ^ 2)
  end)

--- (1 - z) / (1/2 + (1 - z)/2) of lr, z = k / steps: a cosine's slow start, a
--- line's end (Chen, Wolfe and Kyrillidis 2022).
schedule.rex = define("rex", "lr|from:R to:R=0 steps:N", function(o)
  return function(k)
    local left = 1 - math.min(k / o.steps, 1)
    return o.to + (o.lr - o.to) * 2 * left / (1 + left)
  end, o.steps + 1
end)

--- Up in a line to lr over `warmup` steps, then lr sqrt(warmup / step)
--- (Vaswani et al. 2017).
schedule.inverse_sqrt = define("inverse_sqrt", "lr|from:R warmup|steps:N=1",
  function(o)
    return function(k)
      local t, n = k + 1, o.warmup
      return o.lr * math.min(t / n, (n / t) ^ 0.5)
    end, 10 * o.warmup
  end)

-- Place i of n = 2^j roots in the order that keeps partial products small.
local function fractal(n)
  local order = { 1 }
  while #order < n do
    local m, wider = 2 * #order, {}
    for i, v in ipairs(order) do
      wider[2 * i - 1], wider[2 * i] = v, m + 1 - v
    end
    order = wider
  end
  return order
end

--- The rates 1/root of the Chebyshev polynomial of degree `steps` on the
--- curvatures [low, high], over and over: on a quadratic they leave
--- 1/T_n((high + low)/(high - low)) of the distance, as no others can.
--- "fractal" order keeps what happens meanwhile small (Agarwal, Goel and
--- Zhang 2021); it wants a power of 2. "falling" starts from the largest.
schedule.chebyshev = define("chebyshev",
  "low:P high:P steps:N order:S=fractal", function(o, what)
    local n = o.steps
    if o.low > o.high then
      fail("%s: low must not be above high, not %s and %s", what, o.low,
           o.high)
    elseif o.order ~= "fractal" and o.order ~= "falling" then
      fail("%s: order must be 'fractal' or 'falling', not '%s'", what, o.order)
    elseif o.order == "fractal" and n & (n - 1) ~= 0 then
      fail("%s: fractal order needs a power of 2 steps, not %d", what, n)
    end
    local order = o.order == "fractal" and fractal(n)
    local middle, half = (o.high + o.low) / 2, (o.high - o.low) / 2
    return function(k)
      local i = math.floor(k) % n + 1
      local place = order and order[i] or i
      return 1 / (middle - half * math.cos((place - 0.5) * math.pi / n))
    end, n
  end)

-- ---- rising and falling ----------------------------------------------------

local strategies = {
  cos = cosine,
  linear = function(from, to, share) return from + (to - from) * share end,
}

local function strategy(what, name)
  return strategies[name] or
         fail("%s: anneal_strategy must be 'cos' or 'linear', not '%s'", what,
              name)
end

--- Up from max_lr / div_factor to max_lr and down to the final_div_factor-th
--- of where it started (Smith and Topin 2018; OneCycleLR). Its field momentum
--- is the schedule of the momentum that goes the other way. It ends at
--- total_steps, and stays there.
schedule.one_cycle = define("one_cycle", "max_lr|lr:R total_steps|steps:N " ..
  "pct_start:R=0.3 anneal_strategy:S=cos div_factor:P=25 " ..
  "final_div_factor:P=1e4 three_phase:B=false base_momentum:R=0.85 " ..
  "max_momentum:R=0.95", function(o, what)
    local share, n = o.pct_start, o.total_steps
    local anneal = strategy(what, o.anneal_strategy)
    if share < 0 or share > 1 then
      fail("%s: pct_start must lie in [0, 1], not %s", what, share)
    end
    local first = o.max_lr / o.div_factor
    local last = first / o.final_div_factor
    local low, high = o.base_momentum, o.max_momentum
    local ends = { share * n - 1, n - 1 }
    local rate, inertia = { first, o.max_lr, last }, { high, low, high }
    if o.three_phase then
      ends = { share * n - 1, 2 * share * n - 2, n - 1 }
      rate, inertia = { first, o.max_lr, first, last },
                      { high, low, high, high }
    end
    local function over(values)
      return function(k)
        k = math.min(k, n - 1)
        local start = 0
        for i, stop in ipairs(ends) do
          if k <= stop or i == #ends then
            local wide = stop - start
            return anneal(values[i], values[i + 1],
                          wide ~= 0 and (k - start) / wide or 1)
          end
          start = stop
        end
      end
    end
    return over(rate), n, { momentum = new("one_cycle", over(inertia), n) }
  end)

--- Up and down between base_lr and max_lr (Smith 2017; CyclicLR), with mode
--- "triangular", "triangular2" (half as high each cycle) or "exp_range"
--- (gamma^k). Its field momentum goes the other way.
schedule.cyclic = define("cyclic", "base_lr|from:R max_lr|to:R " ..
  "step_size_up:N=2000 step_size_down:N? mode:S=triangular gamma:R=1 " ..
  "base_momentum:R=0.8 max_momentum:R=0.9", function(o, what)
    local scales = {
      triangular = function() return 1 end,
      triangular2 = function(cycle) return 0.5 ^ (cycle - 1) end,
      exp_range = function(_, k) return o.gamma ^ k end,
    }
    local scale = scales[o.mode] or
      fail("%s: mode must be 'triangular', 'triangular2' or 'exp_range', " ..
           "not '%s'", what, o.mode)
    local n = o.step_size_up + (o.step_size_down or o.step_size_up)
    local up = o.step_size_up / n
    local function height(k)
      local cycle = k // n + 1
      local x = 1 + k / n - cycle
      local h = x <= up and x / up or (x - 1) / (up - 1)
      return h * scale(cycle, k)
    end
    return function(k)
      return o.base_lr + (o.max_lr - o.base_lr) * height(k)
    end, 3 * n, { momentum = new("cyclic", function(k)
      return o.max_momentum -
             (o.max_momentum - o.base_momentum) * height(k)
    end, 3 * n) }
  end)

--- From `from` in a line to where `after` starts, over `steps` steps, then
--- `after`, whose step 1 is the step steps + 1. (["then"] is another name for
--- after, which Lua lets nobody write bare.)
---
--- ```lua
--- local schedule = require("saddle").schedule
--- local s = schedule.warmup{ steps = 100,
---   after = schedule.cosine{ from = 0.1, steps = 900 } }
--- print(s(1), s(101), s(1001))
--- ```
---@param o table steps, after (a number or schedule), from (0)
function schedule.warmup(o)
  local what = "schedule.warmup"
  options(o, { "steps:N", "after", "then", "lr:F", "from:F" }, what)
  o = o or {}
  local next_one = o.after or o["then"] or o.lr
  if not o.steps or not next_one then
    fail("%s: needs steps and after", what)
  end
  local f, n, from = as_function(next_one, what), o.steps, o.from or 0
  return new("warmup", function(k)
    if k >= n then return f(k - n + 1) end
    return from + (f(1) - from) * (k + 1) / (n + 1)
  end, n + length_of(next_one))
end

local endings = {
  linear = function(z) return 1 - z end,
  cosine = function(z) return (1 + math.cos(math.pi * z)) / 2 end,
  sqrt = function(z) return 1 - z ^ 0.5 end,
}

--- Warm-up, stable, decay: a line up to lr over `warmup` steps, lr for
--- `stable`, then down to `to` over `decay` in a "linear", "cosine" or "sqrt"
--- way (Hu et al. 2024, Hägele et al. 2024).
schedule.wsd = define("wsd", "lr|from:R warmup:Z=0 stable:Z decay:N " ..
  "to:R=0 shape:S=linear", function(o, what)
    local shape = endings[o.shape] or
      fail("%s: shape must be 'linear', 'cosine' or 'sqrt', not '%s'", what,
           o.shape)
    local n = o.warmup + o.stable
    return function(k)
      if k < o.warmup then return o.lr * (k + 1) / (o.warmup + 1) end
      local z = math.max(0, math.min((k - n) / o.decay, 1))
      return o.to + (o.lr - o.to) * shape(z)
    end, n + o.decay + 1
  end)

-- ---- of several ------------------------------------------------------------

local function rising(what, list, first)
  local last = first
  for i, m in ipairs(list) do
    if math.type(m) ~= "integer" or m <= last then
      fail("%s: entry %d must be a step after %d, not %s", what, i, last,
           tostring(m))
    end
    last = m
  end
end

--- One after another: join{ a, b, c, milestones = { 100, 300 } } is a for 100
--- steps, then b, which starts at its own step 1, for 200, then c
--- (SequentialLR).
function schedule.join(o)
  local what = "schedule.join"
  if type(o) ~= "table" then
    fail("%s: expected schedules and milestones, got %s", what, type(o))
  end
  local parts, named = {}, {}
  for k, v in pairs(o) do
    if math.type(k) ~= "integer" then named[k] = v end
  end
  options(named, { "milestones:L" }, what)
  for i, s in ipairs(o) do parts[i] = as_function(s, what) end
  local marks = named.milestones or {}
  if #parts == 0 or #marks ~= #parts - 1 then
    fail("%s: %d schedules need %d milestones, not %d", what, #parts,
         math.max(#parts - 1, 0), #marks)
  end
  rising(what .. ": milestones", marks, 0)
  local function at(k)
    local i = 1
    while marks[i] and marks[i] <= k do i = i + 1 end
    return parts[i](k - (marks[i - 1] or 0) + 1)
  end
  return new("join", at, (marks[#marks] or 0) + length_of(o[#parts]))
end

--- Through given values: piecewise{ { 1, 0.1 }, { 500, 0.01 } } is 0.1 until
--- step 500, then 0.01; with between = "linear" or "cosine" it goes from one
--- to the next, and stays at the last.
function schedule.piecewise(o)
  local what = "schedule.piecewise"
  if type(o) ~= "table" or #o == 0 then
    fail("%s: expected pairs { step, value }, got %s", what,
         type(o) == "table" and "none" or type(o))
  end
  local steps, values, named = {}, {}, {}
  for k, v in pairs(o) do
    if math.type(k) ~= "integer" then named[k] = v end
  end
  options(named, { "between:S" }, what)
  local between = named.between and
    (strategies[named.between == "cosine" and "cos" or named.between] or
     fail("%s: between must be 'linear' or 'cosine', not '%s'", what,
          named.between))
  for i, pair in ipairs(o) do
    if type(pair) ~= "table" or type(pair[2]) ~= "number" then
      fail("%s: entry %d is no pair { step, value }", what, i)
    end
    steps[i], values[i] = pair[1], pair[2]
  end
  rising(what, steps, 0)
  return new("piecewise", function(k)
    local t, i = k + 1, 0
    while steps[i + 1] and steps[i + 1] <= t do i = i + 1 end
    if i == 0 then return values[1] end
    if not between or i == #steps then return values[i] end
    return between(values[i], values[i + 1],
                   (t - steps[i]) / (steps[i + 1] - steps[i]))
  end, steps[#steps] * 1.25)
end

require "saddle.schedule.listening" (schedule)

return module.strict("sd.schedule", schedule)
