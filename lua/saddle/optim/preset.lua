-- The settings of a rule "as PyTorch", "as optax", "as Keras", "as the paper".
--
-- Defaults were read in PyTorch 1.13.1 (torch.optim), in optax's alias.py and
-- transform.py and in Keras 3's keras/src/optimizers, which is TensorFlow's
-- tf.keras.optimizers; those of papers in their algorithm boxes. Where a
-- source means something else by a setting, `as` turns it into ours:
--
--   eps inside the root        g / sqrt(v + eps): eps_root here
--   eps beside the plain root  sqrt(v) + eps before the correction of bias,
--                              or the other way round: a schedule of eps here
--   lr inside the velocity     b <- momentum b + lr u, w <- w - b: while lr
--                              changes a schedule of momentum here
--   decay apart from lr        w <- w - s (lr u + weight_decay w), s being the
--                              schedule's multiplier: weight_decay / lr here

local convert = require "saddle.optim.convert"
local fail = require "saddle.fail"
local hyper = require "saddle.optim.hyper"
local module = require "saddle.module"

-- ---- other meanings --------------------------------------------------------

local function rooted(o) o.eps, o.eps_root = 0, o.eps end

local function eps_from(from, to)
  return function(o)
    o.eps = convert(from, to, { eps = o.eps, beta2 = o.beta2 }).eps
  end
end

local function moving(o, source, rule)
  if not hyper.callable(o.lr) or o.momentum == 0 then return end
  if o.nesterov then
    fail("preset: %s's %s with nesterov takes no schedule of lr: while lr " ..
         "changes no settings here take its steps", source, rule)
  end
  o.momentum = convert("velocity", "heavy_ball",
                       { lr = o.lr, momentum = o.momentum }).momentum
end

local function rooted_moving(...)
  rooted(...)
  moving(...)
end

local function averaged(form)
  return function(o, source, rule)
    if o.lr == nil then
      fail("preset: %s's %s has no lr of its own: give one", source, rule)
    end
    local own = convert(form, "average", { lr = o.lr, momentum = o.momentum })
    o.lr, o.beta, o.momentum = own.lr, own.momentum, nil
  end
end

local function apart(o, source, rule)
  if type(o.lr) ~= "number" or type(o.weight_decay) ~= "number" or
     not (o.lr > 0) then
    fail("preset: %s's %s needs a number for weight_decay, and for lr one " ..
         "above 0 (set opt.lr to a schedule afterwards), not %s and %s",
         source, rule, tostring(o.weight_decay), tostring(o.lr))
  end
  o.weight_decay = o.weight_decay / o.lr
end

local function nesterov_decay(v)
  return function(o) o.momentum_decay = v end
end

-- ---- the table -------------------------------------------------------------

local function with(base, more)
  local t = {}
  for k, v in pairs(base) do t[k] = v end
  for k, v in pairs(more) do t[k] = v end
  return t
end

local beta = { beta1 = 0.9, beta2 = 0.999 }
local pytorch = with(beta, { lr = 1e-3, eps = 1e-8, weight_decay = 0 })
local optax = with(beta, { eps = 1e-8 })
local keras = with(beta, { lr = 1e-3, eps = 1e-7 })

-- rule -> source -> { the settings it takes and their defaults, free = the one
-- that has no default, as = }.
local presets = {
  sgd = {
    pytorch = { { momentum = 0, dampening = 0, weight_decay = 0,
                  nesterov = false }, free = "lr" },
    optax = { { momentum = 0, nesterov = false }, free = "lr" },
    keras = { { lr = 0.01, momentum = 0, nesterov = false }, as = moving },
  },
  momentum = {
    pytorch = { { momentum = 0 }, free = "lr",
                as = averaged "heavy_ball" },
    optax = { { momentum = 0 }, free = "lr", as = averaged "heavy_ball" },
    keras = { { lr = 0.01, momentum = 0 }, as = averaged "velocity" },
  },
  adam = {
    pytorch = { with(pytorch, { amsgrad = false }) },
    optax = { optax, free = "lr" },
    keras = { with(keras, { amsgrad = false }),
              as = eps_from("adam_hat", "adam") },
    paper = { with(beta, { lr = 1e-3, eps = 1e-8 }) },
  },
  adamw = {
    pytorch = { with(pytorch, { weight_decay = 0.01, amsgrad = false }) },
    optax = { with(optax, { weight_decay = 1e-4 }), free = "lr" },
    keras = { with(keras, { weight_decay = 0.004, amsgrad = false }),
              as = eps_from("adam_hat", "adam") },
    paper = { with(beta, { lr = 1e-3, eps = 1e-8 }),
              free = "weight_decay", as = apart },
  },
  adamax = {
    pytorch = { with(pytorch, { lr = 2e-3 }) },
    optax = { optax, free = "lr" },
    -- 0 / 0 where a gradient has been 0 from the first step on.
    paper = { with(beta, { lr = 2e-3, eps = 0 }) },
  },
  nadam = {
    pytorch = { with(pytorch, { lr = 2e-3, momentum_decay = 4e-3 }) },
    optax = { optax, free = "lr", as = nesterov_decay(math.huge) },
    keras = { keras, as = nesterov_decay(1) },
  },
  radam = {
    pytorch = { pytorch },
    optax = { optax, free = "lr", as = eps_from("adam", "adam_hat") },
  },
  rmsprop = {
    pytorch = { { lr = 0.01, alpha = 0.99, eps = 1e-8, weight_decay = 0,
                  momentum = 0, centered = false } },
    optax = { { alpha = 0.9, eps = 1e-8, momentum = 0, centered = false },
              free = "lr", as = rooted_moving },
    keras = { { lr = 1e-3, alpha = 0.9, eps = 1e-7, momentum = 0,
                centered = false }, as = rooted_moving },
  },
  adagrad = {
    pytorch = { { lr = 0.01, lr_decay = 0, weight_decay = 0, eps = 1e-10,
                  initial_accumulator_value = 0 } },
    optax = { { initial_accumulator_value = 0.1, eps = 1e-7 },
              free = "lr", as = rooted },
    keras = { { lr = 1e-3, initial_accumulator_value = 0.1, eps = 1e-7 },
              as = rooted },
  },
  adadelta = {
    pytorch = { { lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0 } },
    optax = { { rho = 0.9, eps = 1e-6 }, free = "lr" },
    keras = { { lr = 1e-3, rho = 0.95, eps = 1e-7 } },
    paper = { { lr = 1, rho = 0.95, eps = 1e-6 } },
  },
  lion = {
    optax = { { beta1 = 0.9, beta2 = 0.99, weight_decay = 1e-3 },
              free = "lr" },
    keras = { { lr = 1e-3, beta1 = 0.9, beta2 = 0.99 } },
  },
  lamb = {
    optax = { with(optax, { eps = 1e-6, weight_decay = 0 }),
              free = "lr" },
  },
  lars = { -- optax's weight_decay goes into both norms: no setting here does
    optax = { { momentum = 0.9, trust = 1e-3, eps = 0 }, free = "lr" },
  },
  rprop = {
    pytorch = { { lr = 0.01, eta_minus = 0.5, eta_plus = 1.2, step_min = 1e-6,
                  step_max = 50 } },
  },
  asgd = {
    pytorch = { { lr = 0.01, lambd = 1e-4, alpha = 0.75, t0 = 1e6,
                  weight_decay = 0 } },
  },
  lbfgs = {
    pytorch = { { lr = 1, max_iter = 20, max_eval = 0, tolerance_grad = 1e-7,
                  tolerance_change = 1e-9, history = 100,
                  line_search = "none" } },
  },
}

local aliases = { torch = "pytorch", jax = "optax", tensorflow = "keras",
                  tf = "keras" }

-- ---- looking up ------------------------------------------------------------

local function sorted(t)
  local list = {}
  for k in pairs(t) do list[#list + 1] = k end
  table.sort(list)
  return list
end

local function there_are(list)
  return (" (there are %s)"):format(table.concat(list, ", "))
end

local function find(rule, source)
  local of = presets[rule]
  if not of then
    local list = sorted(presets)
    fail("preset: no presets of a rule '%s'%s", tostring(rule),
         module.hint(rule, list, there_are(list)))
  end
  local name = type(source) == "string" and source:lower()
  local found = of[aliases[name] or name]
  if not found then
    local list = sorted(of)
    fail("preset: no %s as '%s'%s", rule, tostring(source),
         module.hint(source, list, there_are(list)))
  end
  return found, aliases[name] or name
end

--- The settings of a built-in rule as a source has them: a table to be given
--- to the rule, its defaults and conventions turned into the options here.
--- Sources are "pytorch", "optax", "keras" (or "tensorflow") and "paper",
--- where they have the rule; options are the source's settings by their names
--- here. What a source leaves to its caller (optax every lr) stays open.
---
--- ```lua
--- local adam = sd.optim.adam(sd.optim.preset("adam", "keras", { lr = 0.01 }))
--- local o = sd.optim.preset("rmsprop", "pytorch")
--- print(o.lr, o.alpha, o.eps) -- 0.01, 0.99, 1e-08
--- ```
---@param rule string sgd, momentum, adam, adamw, adamax, nadam, radam,
---  rmsprop, adagrad, adadelta, lion, lamb, lars, rprop, asgd or lbfgs
---@param source string
---@param options? table
---@return table
return function(rule, source, options)
  local preset, name = find(rule, source)
  if options ~= nil and type(options) ~= "table" then
    fail("preset: options must be a table, not %s", type(options))
  end
  local o, known = with(preset[1], {}), sorted(preset[1])
  known[#known + 1] = preset.free
  for k, v in pairs(options or {}) do
    if preset[1][k] == nil and k ~= preset.free then
      fail("preset: %s's %s has no '%s'%s", name, rule, tostring(k),
           module.hint(k, known, (" (it has %s)"):format(
             table.concat(known, ", "))))
    end
    o[k] = v
  end
  if preset.as then preset.as(o, name, rule) end
  return o
end
