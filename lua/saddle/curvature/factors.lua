-- What the parameters' gradients of a net of dense layers are made of: the
-- gradient of an example in a layer's weight is g a', a the layer's input and g
-- the gradient at its output.

local core = require "saddle.core"
local sd = require "saddle.init"

local factors = {}

-- Runs the chain, shift[k] added to the output of its k-th dense layer, and
-- notes each layer's input, output and how many parameters it has. Returns nil
-- and the name of the layer that is not dense on {N, inputs}.
local function run(net, params, x, shift, notes)
  local layers = rawget(net, "layers")
  if layers then
    for i, l in ipairs(layers) do
      local y, name = run(l, params[i], x, shift, notes)
      if not y then return nil, name end
      x = y
    end
    return x
  end
  local list = core.leaves(params, false)
  if #list == 0 then return (net(params, x)) end
  if not net.name:find "^dense" or x.ndim ~= 2 then return nil, net.name end
  local k = #notes + 1
  local y = net(params, x)
  notes[k] = { input = x, output = y, leaves = #list }
  return shift and y + shift[k] or y
end

--- Whether net can be taken apart: whether it is one of sd.nn's.
function factors.is_net(net)
  return type(net) == "table" and rawget(net, "apply") ~= nil
end

--- The outputs of a net; for each dense layer { input {N, in}, output {N, out},
--- leaves (2 with a bias) }; and a function from cotangents of the outputs
--- {k, N, C} to a list of gradients at the layers' outputs {k, N, out}. Of a
--- net that is not made of dense layers and functions alone: nil and the name
--- of the layer that is neither.
---@param net any a chain
---@param params any
---@param x any a batch {N, in}
function factors.of(net, params, x)
  local notes = {}
  local z, name = run(net, params, x, nil, notes)
  if not z then return nil, name end
  local zeros = {}
  for k, note in ipairs(notes) do zeros[k] = sd.zeros_like(note.output) end
  local function gradients(U)
    local _, pull = sd.vjp(function(shift)
      return (run(net, params, x, shift, {}))
    end, zeros)
    return sd.vmap(pull)(U)
  end
  return z, notes, gradients
end

return factors
