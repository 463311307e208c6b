-- What a rule's own step works with: the loss as a function of a flat vector,
-- its slopes, and its curvature as products, an operator or a matrix.
--
-- Fields: x (the parameters as a vector), n, loss (a number), gradient (a
-- vector), t, h (the hyper-parameters), state (a table of numbers, strings,
-- tensors and trees of them that is kept between steps and saved), args.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local operator = require "saddle.curvature.operator"
local sd = require "saddle.init"
local pack, unpack = table.pack, table.unpack

local context = {}
context.__index = module.fields("a context", context,
                                { products = true, whole = true })

--- The loss at the vector x: a number.
function context:value(x) return (sd.eval(self.at(x))):item() end

--- The loss at the vector x, a number, and its gradient.
function context:slope(x)
  local loss, g = sd.value_and_grad(self.at)(x)
  sd.eval(loss, g)
  return loss:item(), g
end

--- H v at x (self.x): the Hessian times a vector.
function context:hvp(v, x)
  local at = self.at
  self.products = self.products or core.jit(function(y, d)
    return sd.hvp(at, y, d)
  end)
  return (self.products(x or self.x, v))
end

--- The Hessian at x (self.x) as an operator (see sd.curvature).
function context:hessian(x)
  return operator.new {
    n = self.n, dtype = self.x.dtype, name = "hessian",
    product = function(v) return self:hvp(v, x) end }
end

--- The Hessian at x (self.x) as a symmetric matrix {n, n} in f64.
function context:matrix(x)
  local at = self.at
  self.whole = self.whole or core.jit(function(y) return sd.hessian(at)(y) end)
  local H = self.whole(x or self.x):to "f64"
  return sd.eval((H + H:transpose(1, 2)) / 2)
end

--- An estimate of the Hessian's diagonal from random signs.
---@param o? table samples (1)
function context:diag(o)
  o = sd.check_options(o, { "samples:N" }, "context:diag")
  local sum, g = 0, self:generator()
  for _ = 1, o.samples or 1 do
    local z = sd.randint(0, 1, { self.n }, { generator = g })
    z = (z * 2 - 1):to(self.x.dtype)
    sum = sum + z * self:hvp(z)
  end
  return sd.eval(sum / (o.samples or 1))
end

--- A source of random numbers that depends on h.seed and the step alone, so
--- that a run which is resumed draws what it would have drawn.
function context:generator()
  return sd.generator((self.h.seed or 1) * 1000003 + self.t)
end

--- What the step returns: the parameters at the vector x, the loss before
--- the step, and f's further results.
function context:done(x)
  x = sd.eval(x:to(self.x.dtype))
  return self.unravel(x), unpack(self.results, 1, self.results.n)
end

return function(own, h, f, params, ...)
  local args = pack(...)
  local list = core.leaves(params, false)
  if #list == 0 then
    fail("%s: the parameters hold no tensors", own.name)
  end
  local x, ravelled = sd.tree.ravel(params)
  if x.dtype ~= "f32" and x.dtype ~= "f64" then
    fail("%s: parameters of %s; f32 or f64 needed", own.name, x.dtype)
  end
  local function unravel(v)
    local tree = ravelled(v)
    return core.rebuild(params, core.leaves(tree, false))
  end
  local results
  local function at(v)
    local out = pack(f(unravel(v), unpack(args, 1, args.n)))
    results = results or out
    if own.maximize and sd.is_tensor(out[1]) then return -out[1] end
    return out[1]
  end
  local self = { x = sd.eval(x), n = x:numel(), t = own.t + 1, h = h,
                 args = args, unravel = unravel, at = at, state = own.working }
  local loss, g
  if own.t == 0 then -- which parameters does the loss depend on?
    local update = require "saddle.optim.update"
    local out = update.gradient(own, function(p)
      local y = pack(f(p, unpack(args, 1, args.n)))
      return unpack(y, 1, y.n)
    end, { t = 1 }, true)(params)
    loss, g = out[1], (sd.tree.ravel(out[2]))
    if own.maximize then g = -g end
    results = pack(loss, unpack(out, 3, out.n))
  else
    loss, g = sd.value_and_grad(at)(self.x)
    if own.maximize then loss = -loss end
    results[1] = loss
  end
  sd.eval(loss, g)
  self.value_at_start, self.gradient = loss, g
  self.results = results
  self.loss = own.maximize and -loss:item() or loss:item()
  return setmetatable(self, context)
end
