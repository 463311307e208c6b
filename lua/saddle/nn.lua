-- Models as pure functions: a layer describes, its parameters are a tree
-- that the caller holds.
--
--   local net = nn.chain{ nn.dense(2, 16), nn.tanh(), nn.dense(16, 1) }
--   local params, state = net:init{ seed = 1 }
--   local y = net(params, x)
--
-- A layer has `init(generator, dtype) -> params, state` and
-- `apply(params, x, run) -> y`; run.train says whether the net is being
-- trained, run.state holds what batch statistics there are.

local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

local nn = { init = require "saddle.nn.init" }

local layer = {}
layer.__index = layer

-- Makes a layer of a table { name =, init =, apply =, out = }.
local function new(t) return setmetatable(t, layer) end

--- Fresh parameters and state (nil when the net has none).
---@param o? table seed (drawn from the default generator), dtype
function layer:init(o)
  o = sd.check_options(o, { "seed:I", "dtype:S", "generator" }, "init")
  local g = o.generator or o.seed and sd.generator(o.seed)
  local params, state = self.make(g, o.dtype or sd.default_dtype())
  sd.eval(params, state)
  return params, state
end

--- net(params, x) or net(params, x, { state =, train = }) -> y, state
function layer:__call(params, x, o)
  o = sd.check_options(o, { "state", "train:B", "generator" }, self.name)
  if not sd.is_tensor(x) then
    fail("%s: the input is a %s, not a tensor", self.name, type(x))
  end
  local run = { train = o.train or false, state = o.state,
                generator = o.generator, seen = rawget(self, "seen"),
                path = "" }
  local y, state = self.apply(params, x, run)
  return y, state
end

--- Calls f(...) and gives what the layers of this net made meanwhile, a list
--- of { path, name, value }, then f's results: inside a trace, too.
---
--- ```lua
--- local net = sd.nn.mlp{ 4, 8, 2 }
--- local params = net:init{ seed = 1 }
--- local seen, y = net:record(net, params, sd.ones(3, 4))
--- print(seen[1].path, seen[1].name, seen[1].value.shape[2]) -- 1 dense 8
--- ```
function layer:record(f, ...)
  local before, seen = rawget(self, "seen"), {}
  self.seen = seen
  local out = table.pack(pcall(f, ...))
  self.seen = before
  if not out[1] then error(out[2], 0) end
  return seen, table.unpack(out, 2, out.n)
end

function layer:__tostring() return self.name end

local function shape_text(x) return table.concat(x.shape, ", ") end

--- y = x W^T + b over the last dim; weight is {out, in}, as PyTorch's.
---@param inputs integer
---@param outputs integer
---@param o? table bias (true), init (weight initialiser)
function nn.dense(inputs, outputs, o)
  o = sd.check_options(o, { "bias:B", "init" }, "dense")
  if math.type(inputs) ~= "integer" or math.type(outputs) ~= "integer" or
     inputs < 1 or outputs < 1 then
    fail("dense: sizes must be whole numbers above 0, not %s and %s",
         tostring(inputs), tostring(outputs))
  end
  local name = ("dense(%d, %d)"):format(inputs, outputs)
  return new {
    name = name,
    make = function(g, dtype)
      local how = o.init or nn.init.kaiming_uniform { a = math.sqrt(5) }
      local p = { weight = how({ outputs, inputs }, g, dtype) }
      if o.bias ~= false then
        local bound = 1 / math.sqrt(inputs)
        p.bias = nn.init.uniform { low = -bound, high = bound }(
          { outputs }, g, dtype)
      end
      return p
    end,
    apply = function(p, x)
      if x.ndim == 0 or x:size(-1) ~= inputs then
        fail("%s: the input has shape {%s}; its last dim must be %d", name,
             shape_text(x), inputs)
      end
      if type(p) ~= "table" or not p.weight then
        fail("%s: no weight in the parameters given", name)
      end
      local y = x:matmul(p.weight:transpose(1, 2))
      return p.bias and y + p.bias or y
    end,
  }
end

--- All dims after the first joined into one.
function nn.flatten()
  return new {
    name = "flatten",
    make = function() end,
    apply = function(_, x)
      return x.ndim > 2 and x:flatten(2) or x
    end,
  }
end

--- Any function of a tensor as a layer.
function nn.lambda(f, name)
  return new { name = name or "lambda", make = function() end,
               apply = function(_, x) return f(x) end }
end

local activations = {
  "relu", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh",
  "sigmoid", "softplus", "hardtanh", "hardswish", "softmax", "log_softmax",
  "sin" }

for _, name in ipairs(activations) do
  --- The activation as a layer; arguments go to the function.
  nn[name] = function(...)
    local args, f = table.pack(...), sd[name]
    return new {
      name = name,
      make = function() end,
      apply = function(_, x)
        if args.n == 0 then return f(x) end
        return f(x, table.unpack(args, 1, args.n))
      end,
    }
  end
end
function nn.identity()
  return nn.lambda(function(x) return x end, "identity")
end
activations[#activations + 1] = "identity"

local function activation(name)
  for _, known in ipairs(activations) do
    if name == known then return nn[name] end
  end
  fail("mlp: no activation '%s'%s", name,
       module.hint(name, activations,
                   (" (there are %s)"):format(table.concat(activations, ", "))))
end

--- Layers one after another. Parameters are keyed by the layers' places.
function nn.chain(layers)
  for i, l in ipairs(layers) do
    if getmetatable(l) ~= layer then
      fail("chain: entry %d is a %s, not a layer", i, type(l))
    end
  end
  return new {
    name = "chain", layers = layers,
    make = function(g, dtype)
      local params, state = {}, {}
      for i, l in ipairs(layers) do params[i], state[i] = l.make(g, dtype) end
      return params, next(state) and state or nil
    end,
    apply = function(params, x, run)
      local state = run.state
      local new_state = state and {}
      for i, l in ipairs(layers) do
        local s
        local path = run.seen and run.path .. i
        x, s = l.apply(params[i], x,
                       { train = run.train, generator = run.generator,
                         state = state and state[i], seen = run.seen,
                         path = path and path .. "." })
        if path then
          table.insert(run.seen, { path = path, name = l.name, value = x })
        end
        if new_state then new_state[i] = s or state[i] end
      end
      return x, new_state
    end,
  }
end

--- Dense layers with an activation between them:
--- nn.mlp{ 784, 512, 10, activation = "relu" }.
function nn.mlp(o)
  local sizes = { table.unpack(o) }
  local named = {}
  for k, v in pairs(o) do if type(k) ~= "number" then named[k] = v end end
  sd.check_options(named, { "activation:S", "bias:B", "init" }, "mlp")
  if #sizes < 2 then fail "mlp: needs at least two sizes" end
  local make = activation(o.activation or "relu")
  local layers = {}
  for i = 1, #sizes - 1 do
    layers[#layers + 1] = nn.dense(sizes[i], sizes[i + 1],
                                   { bias = o.bias, init = o.init })
    if i < #sizes - 1 then layers[#layers + 1] = make() end
  end
  local net = nn.chain(layers)
  net.name = "mlp"
  return net
end

--- Text: layers, shapes of their results and parameter counts for an input
--- of the given shape.
function layer:summary(shape)
  local params, state = self:init { seed = 1 }
  local x = sd.zeros(shape)
  local lines, total = {}, 0
  local function row(name, out, n)
    lines[#lines + 1] = ("%-24s {%s}%s%d"):format(
      name, shape_text(out), (" "):rep(math.max(1, 20 - #shape_text(out))), n)
  end
  for i, l in ipairs(self.layers or { self }) do
    local p = self.layers and params[i] or not self.layers and params or nil
    x = l.apply(p, x, { state = state and state[i] })
    local n = p and sd.tree.numel(p) or 0
    total = total + n
    row(l.name, x, n)
  end
  lines[#lines + 1] = ("%d parameters"):format(total)
  return table.concat(lines, "\n")
end

return module.strict("sd.nn", nn)
