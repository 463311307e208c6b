-- Initialisers: init.name{ options } gives a function
-- (shape, generator, dtype) -> tensor. Weights are {out, in, ...}.

local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

local init = {}

-- Inputs and outputs of one unit of a weight {out, in, window...}.
local function fans(shape)
  if #shape < 2 then
    fail("init: a weight of shape {%s} has no fan-in; it needs two dims",
         table.concat(shape, ", "))
  end
  local window = 1
  for d = 3, #shape do window = window * shape[d] end
  return shape[2] * window, shape[1] * window
end

local function uniform(shape, bound, g, dtype)
  return (sd.rand(shape, { generator = g, dtype = dtype }) * 2 - 1) * bound
end

local function normal(shape, std, g, dtype)
  return sd.randn(shape, { generator = g, dtype = dtype }) * std
end

local gains = { linear = 1, sigmoid = 1, tanh = 5 / 3,
                relu = math.sqrt(2), selu = 3 / 4 }

local function gain_of(o)
  local name = o.nonlinearity or "leaky_relu"
  if name == "leaky_relu" then return math.sqrt(2 / (1 + (o.a or 0) ^ 2)) end
  return gains[name] or fail("init: no gain for '%s'", tostring(name))
end

local function kaiming(draw, scale, name)
  return function(o)
    o = sd.check_options(o, { "a:F", "mode:S", "nonlinearity:S" }, name)
    return function(shape, g, dtype)
      local fan_in, fan_out = fans(shape)
      local fan = o.mode == "fan_out" and fan_out or fan_in
      return draw(shape, scale * gain_of(o) / math.sqrt(fan), g, dtype)
    end
  end
end

--- He et al. 2015: variance gain^2 / fan.
init.kaiming_uniform = kaiming(uniform, math.sqrt(3), "kaiming_uniform")
init.kaiming_normal = kaiming(normal, 1, "kaiming_normal")

local function xavier(draw, scale, name)
  return function(o)
    o = sd.check_options(o, { "gain:F" }, name)
    return function(shape, g, dtype)
      local fan_in, fan_out = fans(shape)
      local std = (o.gain or 1) * math.sqrt(2 / (fan_in + fan_out))
      return draw(shape, scale * std, g, dtype)
    end
  end
end

--- Glorot and Bengio 2010: variance 2 / (fan_in + fan_out).
init.xavier_uniform = xavier(uniform, math.sqrt(3), "xavier_uniform")
init.xavier_normal = xavier(normal, 1, "xavier_normal")

--- LeCun et al. 1998: variance 1 / fan_in.
function init.lecun_normal()
  return function(shape, g, dtype)
    return normal(shape, 1 / math.sqrt((fans(shape))), g, dtype)
  end
end

function init.uniform(o)
  o = sd.check_options(o, { "low:F", "high:F" }, "uniform")
  local low, high = o.low or 0, o.high or 1
  return function(shape, g, dtype)
    return sd.rand(shape, { generator = g, dtype = dtype }) * (high - low) +
           low
  end
end

function init.normal(o)
  o = sd.check_options(o, { "mean:F", "std:F" }, "normal")
  return function(shape, g, dtype)
    return normal(shape, o.std or 1, g, dtype) + (o.mean or 0)
  end
end

function init.zeros()
  return function(shape, _, dtype) return sd.zeros(shape, { dtype = dtype }) end
end

function init.ones()
  return function(shape, _, dtype) return sd.ones(shape, { dtype = dtype }) end
end

return module.strict("sd.nn.init", init)
