-- One momentum, many conventions. With the gradient g at w:
--
--   heavy_ball  v <- b v + g              w <- w - lr v
--               PyTorch's and optax's; Polyak (1964) writes it w <- w - lr g
--               + b (w - w_before)
--   average     v <- b v + (1 - b) g      w <- w - lr v
--               an exponential average of gradients
--   velocity    v <- b v - lr g           w <- w + v
--               Sutskever et al. (2013), TensorFlow, Keras; differs from the
--               heavy ball only while lr changes
--   nesterov    v <- b v + g              w <- w - lr (g + b v)
--               PyTorch's and optax's; the w are Nesterov's (1983) points y,
--               at which he takes gradients
--   nesterov_average   v <- b v + (1 - b) g   w <- w - lr ((1 - b) g + b v)
--   nesterov_velocity  v <- b v - lr g(w + b v)   w <- w + v
--               Sutskever et al. (2013); its w + b v are PyTorch's w
--
-- And of Adam, whose eps stands beside the corrected root or the plain one:
--
--   adam        w <- w - lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)
--               PyTorch, optax, Algorithm 1 of Kingma and Ba (2015)
--   adam_hat    w <- w - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)
--               TensorFlow, Keras, the end of section 2 of that paper

local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

-- form -> its family, and what v holds: sums of gradients, their averages, or
-- steps (moves).
local forms = {
  heavy_ball = { family = "momentum" },
  average = { family = "momentum", averaged = true },
  velocity = { family = "momentum", moves = true },
  nesterov = { family = "nesterov" },
  nesterov_average = { family = "nesterov", averaged = true },
  nesterov_velocity = { family = "nesterov", moves = true },
  adam = { family = "adam" },
  adam_hat = { family = "adam", plain_root = true },
}

-- Other names; who names PyTorch or a paper means one of them.
local aliases = {
  pytorch = "heavy_ball", optax = "heavy_ball", polyak = "heavy_ball",
  sgd = "heavy_ball", ema = "average", momentum = "average",
  tensorflow = "velocity", keras = "velocity", sutskever = "velocity",
  ["pytorch nesterov"] = "nesterov", ["optax nesterov"] = "nesterov",
  ["sutskever nesterov"] = "nesterov_velocity",
  ["tensorflow nesterov"] = "nesterov_velocity",
  ["pytorch adam"] = "adam", ["optax adam"] = "adam",
  ["tensorflow adam"] = "adam_hat", ["keras adam"] = "adam_hat",
}

local function names()
  local list = {}
  for k in pairs(forms) do list[#list + 1] = k end
  for k in pairs(aliases) do list[#list + 1] = k end
  table.sort(list)
  return list
end

local function form_of(name)
  local found = type(name) == "string" and
                (aliases[name:lower()] or name:lower())
  local form = found and forms[found]
  if not form then
    fail("convert: no momentum form '%s'%s", tostring(name),
         module.hint(name, names(), (" (there are %s)"):format(
           table.concat(names(), ", "))))
  end
  return form
end

local function at(v, t)
  if type(v) == "number" then return v end
  return v(t)
end

local function is_number(v) return type(v) == "number" end

-- To and from u <- beta u + g, w <- w - lr u, which what moves holds as
-- -lr u, and an average as (1 - beta) u. Where lr or beta changes, beta has to
-- make up for what that does to what is held.

local function from_moves(lr, beta)
  if is_number(lr) then return lr, beta end
  return lr, function(t)
    return at(beta, t) * (t > 1 and at(lr, t - 1) / at(lr, t) or 1)
  end
end

local function to_moves(lr, beta)
  if is_number(lr) then return lr, beta end
  return lr, function(t)
    return at(beta, t) * (t > 1 and at(lr, t) / at(lr, t - 1) or 1)
  end
end

local function from_average(lr, beta)
  local function rate(t) return at(lr, t) * (1 - at(beta, t)) end
  if is_number(beta) then
    return is_number(lr) and rate(1) or rate, beta
  end
  return rate, function(t)
    local before = t > 1 and 1 - at(beta, t - 1) or 1 - at(beta, t)
    return at(beta, t) * before / (1 - at(beta, t))
  end
end

-- b_t = beta_t / (beta_t + 1 - b_(t-1)), from the first step on.
local function to_average(lr, beta)
  local known = {}
  local function b(t)
    if is_number(beta) then return beta end
    known[1] = known[1] or at(beta, 1)
    for i = #known + 1, t do
      local v = at(beta, i)
      known[i] = v / (v + 1 - known[i - 1])
    end
    return known[t]
  end
  local function rate(t) return at(lr, t) / (1 - b(t)) end
  if is_number(beta) then
    return is_number(lr) and rate(1) or rate, beta
  end
  return rate, b
end

local function check(v, what, most)
  local mt = getmetatable(v)
  if type(v) == "function" or type(mt) == "table" and mt.__call then return v
  end
  if not is_number(v) or not (v >= 0) or v >= most then
    fail("convert: %s must be a number from 0%s or a schedule, not %s", what,
         most < math.huge and (" to below %g"):format(most) or "",
         tostring(v))
  end
  return v
end

-- eps of the plain root is eps of the corrected one times sqrt(1 - b2^t).
local function adam(a, b, options)
  local o = sd.check_options(options, { "lr", "beta1:F", "beta2:F", "eps:F",
                                        "weight_decay", "amsgrad:B" },
                             "convert")
  local out = {}
  for k, v in pairs(o) do out[k] = v end
  local eps, beta2 = o.eps or 1e-8, check(o.beta2 or 0.999, "beta2", 1)
  if a.plain_root == b.plain_root then return out end
  local sign = b.plain_root and 0.5 or -0.5
  out.eps = function(t) return eps * (1 - beta2 ^ t) ^ sign end
  return out
end

--- The settings { lr, momentum } under which form `to` takes the steps that
--- form `from` takes under `options`, { lr, momentum (or beta) }; schedules of
--- either become schedules. Forms are "heavy_ball" (also "pytorch", "polyak"),
--- "average" ("ema"), "velocity" ("tensorflow", "sutskever"), and "nesterov",
--- "nesterov_average", "nesterov_velocity"; within each three the steps are
--- the same, between them no setting makes them so. Between "adam" ("pytorch
--- adam") and "adam_hat" ("tensorflow adam") eps becomes a schedule.
---
--- ```lua
--- local o = sd.optim.convert("average", "pytorch", { lr = 1, momentum = 0.9 })
--- print(o.lr, o.momentum) -- 0.1, 0.9
--- ```
---@param from string
---@param to string
---@param options { lr: number | function, momentum: number | function }
---@return { lr: number | function, momentum: number | function }
return function(from, to, options)
  local a, b = form_of(from), form_of(to)
  if a.family ~= b.family then
    fail("convert: '%s' and '%s' take different steps under any settings",
         from, to)
  end
  if a.family == "adam" then return adam(a, b, options) end
  options = sd.check_options(options, { "lr", "momentum", "beta" }, "convert")
  local lr = check(options.lr, "lr", math.huge)
  local beta = check(options.momentum or options.beta, "momentum", 1)
  if a.moves or a.averaged then
    lr, beta = (a.moves and from_moves or from_average)(lr, beta)
  end
  if b.moves or b.averaged then
    lr, beta = (b.moves and to_moves or to_average)(lr, beta)
  end
  return { lr = lr, momentum = beta }
end
