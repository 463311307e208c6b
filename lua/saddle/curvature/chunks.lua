-- A data set in pieces, so that an operator over all of it needs the memory
-- of one: the mean of a loss is the sum of the pieces' means, each weighted
-- by its share of the examples.

local fail = require "saddle.fail"
local sd = require "saddle.init"

local chunks = {}
chunks.__index = chunks

function chunks.is(x) return getmetatable(x) == chunks end

local function fields(data)
  if sd.is_tensor(data) then return { data } end
  if type(data) ~= "table" then
    fail("chunks: needs a data set { x =, y = } or a list of tensors, not a %s",
         type(data))
  end
  local list = data[1] and data or { data.x, data.y }
  if not sd.is_tensor(list[1]) then
    fail "chunks: needs a data set { x =, y = } or a list of tensors"
  end
  return list
end

--- A data set in chunks of size rows, to be given to an operator in the place
--- of its data: sd.curvature.hessian(f, params, chunks) is the Hessian of the
--- mean of f(params, x, y) over all of it. f must be a mean over examples, or,
--- with reduction = "sum", a sum; a mean that leaves examples out or weights
--- them (ignore_index, class weights) divides by something else in each chunk:
--- take its sum.
---
--- ```lua
--- local x, y = sd.randn(10, 2), sd.randn(10, 1)
--- local function f(w, a, b) return sd.mse(a:matmul(w), b) end
--- local all = sd.curvature.chunks({ x, y }, { size = 4 })
--- print(sd.curvature.hessian(f, sd.ones(2, 1), all):dense())
--- ```
---@param data table a data set { x =, y = }, or a list of tensors with a row
---  for each example
---@param o? table size (256), reduction "mean" | "sum"
function chunks.make(data, o)
  o = sd.check_options(o, { "size:N", "reduction:S" }, "chunks")
  local list, size = fields(data), o.size or 256
  local how = o.reduction or "mean"
  if how ~= "mean" and how ~= "sum" then
    fail("chunks: reduction must be 'mean' or 'sum', not '%s'", how)
  end
  local n = list[1]:size(1)
  if n == 0 then fail "chunks: there are no examples" end
  local self = setmetatable({ n = n }, chunks)
  for k, t in ipairs(list) do
    if t:size(1) ~= n then
      fail("chunks: %d rows in the first tensor, %d in tensor %d", n,
           t:size(1), k)
    end
  end
  for from = 1, n, size do
    local count, args = math.min(size, n - from + 1), {}
    for k, t in ipairs(list) do
      args[k] = sd.eval(t:narrow(1, from, count))
    end
    self[#self + 1] = { args = args, count = count, from = from,
                        weight = how == "mean" and count / n or 1 }
  end
  return self
end

--- The loss f(params, ...) of the arguments in a list, which may be a data set
--- in chunks: then their weighted sum, one after the other.
function chunks.loss(f, params, args)
  if not chunks.is(args[1]) then
    return (f(params, table.unpack(args)))
  end
  local sum = 0
  for _, c in ipairs(args[1]) do
    sum = sd.eval(sum + c.weight * f(params, table.unpack(c.args)))
  end
  return sum
end

--- The same with its gradient, in the form of params.
function chunks.value_and_grad(f, params, args)
  local slope = sd.value_and_grad(f)
  if not chunks.is(args[1]) then
    return slope(params, table.unpack(args))
  end
  local sum, grad = 0, sd.tree.map(sd.zeros_like, params)
  for _, c in ipairs(args[1]) do
    local loss, g = slope(params, table.unpack(c.args))
    sum, grad = sum + c.weight * loss, sd.tree.axpy(c.weight, g, grad)
    sd.eval(sum, grad)
  end
  return sum, grad
end

return chunks
