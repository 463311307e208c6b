-- Presets: the sources' defaults, and 20 steps of each source's formula written
-- out in plain Lua on a quadratic.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local optim, f64 = sd.optim, { dtype = "f64" }
local preset = optim.preset

-- ---- defaults --------------------------------------------------------------

-- inspect.signature of torch.optim's constructors in PyTorch 1.13.1; lr and
-- betas by our names, None of max_eval as 0, of line_search_fn as "none".
local pytorch = {
  sgd = { momentum = 0, dampening = 0, weight_decay = 0, nesterov = false },
  adam = { lr = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-08,
           weight_decay = 0, amsgrad = false },
  adamw = { lr = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-08,
            weight_decay = 0.01, amsgrad = false },
  rmsprop = { lr = 0.01, alpha = 0.99, eps = 1e-08, weight_decay = 0,
              momentum = 0, centered = false },
  adagrad = { lr = 0.01, lr_decay = 0, weight_decay = 0,
              initial_accumulator_value = 0, eps = 1e-10 },
  adadelta = { lr = 1.0, rho = 0.9, eps = 1e-06, weight_decay = 0 },
  adamax = { lr = 0.002, beta1 = 0.9, beta2 = 0.999, eps = 1e-08,
             weight_decay = 0 },
  nadam = { lr = 0.002, beta1 = 0.9, beta2 = 0.999, eps = 1e-08,
            weight_decay = 0, momentum_decay = 0.004 },
  radam = { lr = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-08,
            weight_decay = 0 },
  rprop = { lr = 0.01, eta_minus = 0.5, eta_plus = 1.2, step_min = 1e-06,
            step_max = 50 },
  asgd = { lr = 0.01, lambd = 0.0001, alpha = 0.75, t0 = 1000000.0,
           weight_decay = 0 },
  lbfgs = { lr = 1, max_iter = 20, max_eval = 0, tolerance_grad = 1e-07,
            tolerance_change = 1e-09, history = 100, line_search = "none" },
}
for rule, want in pairs(pytorch) do
  tap.is(preset(rule, "pytorch"), want, rule .. " has PyTorch's defaults")
  local opt, same = optim[rule](preset(rule, "pytorch")), true
  for k, v in pairs(want) do same = same and opt[k] == v end
  tap.ok(same, rule .. " takes them")
end
tap.is(preset("lion", "optax"), { beta1 = 0.9, beta2 = 0.99,
                                  weight_decay = 1e-3 }, "optax's lion")
tap.is(preset("rmsprop", "optax"), { alpha = 0.9, eps = 0, eps_root = 1e-8,
  momentum = 0, centered = false }, "optax's rmsprop: eps inside the root")
tap.is(preset("adagrad", "keras"), { lr = 1e-3, eps = 0, eps_root = 1e-7,
  initial_accumulator_value = 0.1 }, "Keras's adagrad")
tap.is(preset("adadelta", "paper"), { lr = 1, rho = 0.95, eps = 1e-6 },
       "Zeiler's adadelta")
tap.is(preset("momentum", "torch", { lr = 0.1, momentum = 0.75 }),
       { lr = 0.4, beta = 0.75 }, "heavy ball's settings for the average")

-- ---- formulas --------------------------------------------------------------

-- The moments of Adam's kin, corrected for bias.
local function moments(s, g, b1, b2, t)
  s.m = b1 * (s.m or 0) + (1 - b1) * g
  s.v = b2 * (s.v or 0) + (1 - b2) * g * g
  return s.m / (1 - b1 ^ t), s.v / (1 - b2 ^ t)
end

-- rule source -> its settings, and the next w from state, gradient, w, step's
-- number and rate, as the source computes it.
local formulas = {
  ["sgd pytorch"] = { { lr = 0.05, momentum = 0.9, dampening = 0.1,
                        weight_decay = 0.01 },
    function(s, g, w, _, lr)
      g = g + 0.01 * w
      s.v = s.v and 0.9 * s.v + 0.9 * g or g
      return w - lr * s.v
    end },
  ["sgd optax"] = { { lr = 0.05, momentum = 0.8, nesterov = true },
    function(s, g, w, _, lr) -- trace, then scale by the rate
      s.v = 0.8 * (s.v or 0) + g
      return w - lr * (0.8 * s.v + g)
    end },
  ["sgd keras"] = { { lr = 0.05, momentum = 0.9 }, scheduled = true,
    function(s, g, w, _, lr)
      s.v = 0.9 * (s.v or 0) - lr * g
      return w + s.v
    end },
  ["sgd keras nesterov"] = { { lr = 0.05, momentum = 0.9, nesterov = true },
    function(s, g, w, _, lr)
      s.v = 0.9 * (s.v or 0) - lr * g
      return w + 0.9 * s.v - lr * g
    end },
  ["momentum pytorch"] = { { lr = 0.05, momentum = 0.9 }, scheduled = true,
    function(s, g, w, _, lr)
      s.v = 0.9 * (s.v or 0) + g
      return w - lr * s.v
    end },
  ["momentum keras"] = { { lr = 0.05, momentum = 0.9 }, scheduled = true,
    function(s, g, w, _, lr)
      s.v = 0.9 * (s.v or 0) - lr * g
      return w + s.v
    end },
  ["adam pytorch"] = { { lr = 0.05, eps = 0.01, weight_decay = 0.1 },
    function(s, g, w, t, lr)
      local m, v = moments(s, g + 0.1 * w, 0.9, 0.999, t)
      return w - lr * m / (math.sqrt(v) + 0.01)
    end },
  ["adam optax"] = { { lr = 0.05, eps = 0.01 },
    function(s, g, w, t, lr)
      local m, v = moments(s, g, 0.9, 0.999, t)
      return w - lr * m / (math.sqrt(v) + 0.01)
    end },
  ["adam keras"] = { { lr = 0.05, eps = 0.01 }, scheduled = true,
    function(s, g, w, t, lr) -- "epsilon hat"
      moments(s, g, 0.9, 0.999, t)
      local alpha = lr * math.sqrt(1 - 0.999 ^ t) / (1 - 0.9 ^ t)
      return w - alpha * s.m / (math.sqrt(s.v) + 0.01)
    end },
  ["adam paper"] = { { lr = 0.05, eps = 0.01 },
    function(s, g, w, t, lr)
      local m, v = moments(s, g, 0.9, 0.999, t)
      return w - lr * m / (math.sqrt(v) + 0.01)
    end },
  ["adamw pytorch"] = { { lr = 0.05, weight_decay = 0.1 },
    function(s, g, w, t, lr)
      local m, v = moments(s, g, 0.9, 0.999, t)
      return w * (1 - lr * 0.1) - lr * m / (math.sqrt(v) + 1e-8)
    end },
  ["adamw optax"] = { { lr = 0.05 },
    function(s, g, w, t, lr)
      local m, v = moments(s, g, 0.9, 0.999, t)
      return w - lr * (m / (math.sqrt(v) + 1e-8) + 1e-4 * w)
    end },
  ["adamw keras"] = { { lr = 0.05, eps = 0.01 },
    function(s, g, w, t, lr)
      moments(s, g, 0.9, 0.999, t)
      w = w - lr * 0.004 * w
      local alpha = lr * math.sqrt(1 - 0.999 ^ t) / (1 - 0.9 ^ t)
      return w - alpha * s.m / (math.sqrt(s.v) + 0.01)
    end },
  ["adamw paper"] = { { lr = 0.05, weight_decay = 0.01 },
    function(s, g, w, t, lr)
      local m, v = moments(s, g, 0.9, 0.999, t)
      return w - (lr * m / (math.sqrt(v) + 1e-8) + 0.01 * w)
    end },
  ["adamax paper"] = { { lr = 0.05 },
    function(s, g, w, t, lr)
      s.m = 0.9 * (s.m or 0) + 0.1 * g
      s.u = math.max(0.999 * (s.u or 0), math.abs(g))
      return w - lr / (1 - 0.9 ^ t) * s.m / s.u
    end },
  ["adamax optax"] = { { lr = 0.05, eps = 0.01 },
    function(s, g, w, t, lr)
      s.m = 0.9 * (s.m or 0) + 0.1 * g
      s.u = math.max(0.999 * (s.u or 0), math.abs(g) + 0.01)
      return w - lr / (1 - 0.9 ^ t) * s.m / s.u
    end },
  ["nadam keras"] = { { lr = 0.05, eps = 0.01 },
    function(s, g, w, t, lr)
      local _, v = moments(s, g, 0.9, 0.999, t)
      local u = 0.9 * (1 - 0.5 * 0.96 ^ t)
      local next = 0.9 * (1 - 0.5 * 0.96 ^ (t + 1))
      s.u = (s.u or 1) * u
      local m = next * s.m / (1 - s.u * next) + (1 - u) * g / (1 - s.u)
      return w - lr * m / (math.sqrt(v) + 0.01)
    end },
  ["nadam optax"] = { { lr = 0.05, eps = 0.01 },
    function(s, g, w, t, lr) -- Adam with nesterov = True
      local _, v = moments(s, g, 0.9, 0.999, t)
      local m = 0.9 * s.m / (1 - 0.9 ^ (t + 1)) + 0.1 * g / (1 - 0.9 ^ t)
      return w - lr * m / (math.sqrt(v) + 0.01)
    end },
  ["radam optax"] = { { lr = 0.05, eps = 0.01 },
    function(s, g, w, t, lr)
      local m, v = moments(s, g, 0.9, 0.999, t)
      local most = 2 / (1 - 0.999) - 1
      local rho = most - 2 * t * 0.999 ^ t / (1 - 0.999 ^ t)
      if rho < 5 then return w - lr * m end
      local r = math.sqrt((rho - 4) * (rho - 2) * most /
                          ((most - 4) * (most - 2) * rho))
      return w - lr * r * m / (math.sqrt(v) + 0.01)
    end },
  ["rmsprop pytorch"] = { { lr = 0.05, eps = 0.01, momentum = 0.5 },
    scheduled = true,
    function(s, g, w, _, lr)
      s.v = 0.99 * (s.v or 0) + 0.01 * g * g
      s.b = 0.5 * (s.b or 0) + g / (math.sqrt(s.v) + 0.01)
      return w - lr * s.b
    end },
  ["rmsprop optax"] = { { lr = 0.05, eps = 0.01, momentum = 0.5,
                          centered = true }, scheduled = true,
    function(s, g, w, _, lr)
      s.v = 0.9 * (s.v or 0) + 0.1 * g * g
      s.g = 0.9 * (s.g or 0) + 0.1 * g
      s.b = 0.5 * (s.b or 0) + lr * g / math.sqrt(s.v - s.g * s.g + 0.01)
      return w - s.b
    end },
  ["rmsprop keras"] = { { lr = 0.05, eps = 0.01, momentum = 0.5 },
    scheduled = true,
    function(s, g, w, _, lr)
      s.v = 0.9 * (s.v or 0) + 0.1 * g * g
      s.b = 0.5 * (s.b or 0) + lr * g / math.sqrt(s.v + 0.01)
      return w - s.b
    end },
  ["adagrad optax"] = { { lr = 0.5, eps = 0.01 },
    function(s, g, w, _, lr)
      s.sum = (s.sum or 0.1) + g * g
      return w - lr * g / math.sqrt(s.sum + 0.01)
    end },
  ["adagrad pytorch"] = { { lr = 0.5, eps = 0.01, lr_decay = 0.1 },
    function(s, g, w, t, lr)
      s.sum = (s.sum or 0) + g * g
      return w - lr / (1 + (t - 1) * 0.1) * g / (math.sqrt(s.sum) + 0.01)
    end },
  ["adadelta keras"] = { { lr = 1, eps = 0.01 },
    function(s, g, w, _, lr)
      s.v = 0.95 * (s.v or 0) + 0.05 * g * g
      local d = math.sqrt((s.u or 0) + 0.01) / math.sqrt(s.v + 0.01) * g
      s.u = 0.95 * (s.u or 0) + 0.05 * d * d
      return w - lr * d
    end },
  ["lion optax"] = { { lr = 0.05 },
    function(s, g, w, _, lr)
      local c = 0.9 * (s.m or 0) + 0.1 * g
      s.m = 0.99 * (s.m or 0) + 0.01 * g
      local sign = c > 0 and 1 or c < 0 and -1 or 0
      return w - lr * (sign + 1e-3 * w)
    end },
}

local curvature, start = { 1, 3, 10 }, { 1, -2, 0.5 }
local c = sd.tensor(curvature, f64)
local function quadratic(w) return (c * w * w):sum() / 2 end

local function written_out(step, lr)
  local w = { table.unpack(start) }
  local states = { {}, {}, {} }
  for t = 1, 20 do
    local rate = type(lr) == "number" and lr or lr(t)
    for i, x in ipairs(w) do
      w[i] = step(states[i], curvature[i] * x, x, t, rate)
    end
  end
  return sd.tensor(w, f64)
end

local function check(name, o, step, what)
  local rule, source = name:match "(%S+) (%S+)"
  local want = written_out(step, o.lr)
  local a = optim[rule](preset(rule, source, o))
  local b = optim[rule](preset(rule, source, o)):compile(quadratic)
  local w, q = sd.tensor(start, f64), sd.tensor(start, f64)
  for _ = 1, 20 do w, q = a:step(quadratic, w), b(q) end
  local d = math.max(common.distance(w, want), common.distance(q, want))
  tap.ok(d < 1e-12, ("%s%s: its formula (%.1g)"):format(name, what, d))
end

local falling = sd.schedule.cosine { from = 0.05, to = 0.01, steps = 20 }
for name, case in pairs(formulas) do
  check(name, case[1], case[2], "")
  if case.scheduled then
    local o = { lr = falling }
    for k, v in pairs(case[1]) do o[k] = o[k] or v end
    check(name, o, case[2], ", a falling rate")
  end
end

-- ---- mistakes --------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "preset_test.lua:%d+: preset: .*" .. pattern, name)
end
bad(function() preset("adma", "pytorch") end,
    "no presets of a rule 'adma' %(did you mean 'adam'", "a rule")
bad(function() preset("zzzzzz", "pytorch") end, "%(there are adadelta, adagrad",
    "no rule at all")
bad(function() preset("adam", "pytroch") end,
    "no adam as 'pytroch' %(did you mean 'pytorch'", "a source")
bad(function() preset("lion", "pytorch") end, "%(there are keras, optax%)",
    "a source without the rule")
bad(function() preset("adam", "optax", { amsgrad = true }) end,
    "optax's adam has no 'amsgrad' %(it has beta1, beta2, eps, lr%)",
    "a setting that the source lacks")
bad(function() preset("adam", "pytorch", 3) end, "must be a table, not number",
    "options that are none")
bad(function() preset("momentum", "pytorch") end, "no lr of its own", "no rate")
bad(function() preset("adamw", "paper") end,
    "needs a number for weight_decay.*not nil and 0.001", "no decay")
bad(function()
  preset("sgd", "keras", { lr = falling, momentum = 0.9, nesterov = true })
end, "no settings here take its steps", "what cannot be had")
tap.throws(function() optim.adam(preset("adam", "keras", { lr = -1 })) end,
           "adam: lr must not be negative", "the rule checks the values")

tap.done()
