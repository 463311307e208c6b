-- What a rule's own step works with: the loss as a function of a flat vector,
-- its slopes, and its curvature as products, an operator or a matrix.
--
-- Fields: name (the rule's), x (the parameters as a vector), n, loss (a
-- number), gradient (a vector), t, h (the hyper-parameters), state (a table of
-- numbers, strings, tensors and trees of them that is kept between steps and
-- saved), params, unravel (vector -> tree), args (f's further arguments, with
-- n).

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"
local update = require "saddle.optim.update"
local pack, unpack = table.pack, table.unpack

local context = {}
context.__index = module.fields("a context", context)

local function ravel(tree) return (sd.tree.ravel(tree)) end

-- The tree as a vector, and the function back, which keeps the leaves' dtypes.
local function ravel_as(tree)
  local x, unravel = sd.tree.ravel(tree)
  local dtypes, mixed = core.leaves(tree, false), false
  for i, leaf in ipairs(dtypes) do
    dtypes[i] = leaf.dtype
    mixed = mixed or leaf.dtype ~= x.dtype
  end
  if not mixed then return x, unravel end
  return x, function(v)
    local list = core.leaves(unravel(v), false)
    for i, leaf in ipairs(list) do list[i] = leaf:to(dtypes[i]) end
    return core.rebuild(tree, list)
  end
end

-- ---- what is computed of f -------------------------------------------------

--- The functions of (params, ...) that contexts of f compute with: as they
--- are, or replayed. Within one step what is asked for again is replayed.
function context.tools(f, compiled)
  local function plain(g) return compiled and core.jit(g, f) or g end
  return {
    value = plain(f),
    grad = plain(sd.value_and_grad(f)),
    product = core.jit(function(p, v, ...)
      return sd.hvp(f, p, v, ...)
    end, compiled and f),
    matrix = core.jit(function(p, ...)
      local x, unravel = ravel_as(p)
      local args = pack(...)
      return sd.hessian(function(v)
        return (f(unravel(v), unpack(args, 1, args.n)))
      end)(x)
    end, compiled and f),
  }
end

-- x, which must be a vector like the parameters.
local function vector(self, x, what)
  if not sd.is_tensor(x) or x.ndim ~= 1 or x:numel() ~= self.n then
    fail("context:%s: needs a vector of %d, not %s", what, self.n,
         sd.is_tensor(x) and ("shape {%s}"):format(table.concat(x.shape, ", "))
         or "a " .. type(x))
  end
  return x
end

--- The loss at the vector x: a number.
function context:value(x)
  vector(self, x, "value")
  local y = self.tools.value(self.unravel(x), unpack(self.args, 1, self.args.n))
  return self.sign * sd.eval(y):item()
end

local function slope_of(self, loss, grads)
  local g = ravel(grads)
  if self.sign < 0 then g = -g end
  sd.eval(loss, g)
  return self.sign * loss:item(), g
end

--- The loss at the vector x, a number, and its gradient.
function context:slope(x)
  vector(self, x, "slope")
  return slope_of(self, self.tools.grad(self.unravel(x),
                                        unpack(self.args, 1, self.args.n)))
end

--- H v at x (self.x): the Hessian times a vector.
function context:hvp(v, x)
  vector(self, v, "hvp")
  local Hv = self.tools.product(x and self.unravel(x) or self.params,
                                self.unravel(v),
                                unpack(self.args, 1, self.args.n))
  return self.sign * ravel(Hv)
end

--- The Hessian at x (self.x) as an operator (see sd.curvature).
function context:hessian(x)
  require "saddle.curvature" -- what operators can do
  return require "saddle.curvature.operator".new {
    n = self.n, dtype = self.x.dtype, name = "hessian",
    product = function(v) return self:hvp(v, x) end }
end

--- The Hessian at x (self.x) as a symmetric matrix {n, n} in f64.
function context:matrix(x)
  local H = self.tools.matrix(x and self.unravel(x) or self.params,
                              unpack(self.args, 1, self.args.n)):to "f64"
  return sd.eval((H + H:transpose(1, 2)) * (self.sign / 2))
end

--- An estimate of the Hessian's diagonal from random signs, drawn from
--- h.generator: the rule has a hyper-parameter seed.
---@param o? table samples (1)
function context:diag(o)
  o = sd.check_options(o, { "samples:N" }, "context:diag")
  local sum = 0
  for _ = 1, o.samples or 1 do
    local z = sd.randint(0, 1, { self.n }, { generator = self.h.generator })
    z = (z * 2 - 1):to(self.x.dtype)
    sum = sum + z * self:hvp(z)
  end
  return sd.eval(sum / (o.samples or 1))
end

--- Fails unless x, which the state keeps from a step before (nil: nothing), is
--- a vector like the parameters.
function context:fits(x)
  if x ~= nil and x:numel() ~= self.n then
    fail("%s: the state is for parameters of %d elements, here are %d",
         self.name, x:numel(), self.n)
  end
end

--- What the step returns: the parameters at the vector x, the loss before
--- the step, and f's further results.
function context:done(x)
  x = sd.eval(vector(self, x, "done"):to(self.x.dtype))
  return sd.eval(self.unravel(x)), unpack(self.results, 1, self.results.n)
end

--- The context of a step from params; also the gradients as f's tree.
function context.new(own, h, f, params, ...)
  if #core.leaves(params, false) == 0 then
    fail("%s: the parameters hold no tensors", own.name)
  end
  local x, unravel = ravel_as(params)
  if x.dtype ~= "f32" and x.dtype ~= "f64" then
    fail("%s: parameters of %s; f32 or f64 needed", own.name, x.dtype)
  elseif x:numel() == 0 then
    fail("%s: the parameters hold no elements", own.name)
  end
  local self = { name = own.name, x = sd.eval(x), n = x:numel(),
                 t = own.t + 1, h = h, params = params, unravel = unravel,
                 state = own.working, args = pack(...),
                 sign = own.maximize and -1 or 1,
                 tools = own.tools or context.tools(f) }
  local out
  if own.t == 0 then -- which parameters does the loss depend on?
    out = update.gradient(own, f, { t = 1 }, true)(params, ...)
  else
    out = pack(self.tools.grad(params, ...))
  end
  self.loss, self.gradient = slope_of(self, out[1], out[2])
  self.results = pack(out[1], unpack(out, 3, out.n))
  return setmetatable(self, context), out[2]
end

return context
