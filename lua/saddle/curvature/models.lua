-- The curvature matrices of functions of parameters. What does not depend on
-- the vector is computed once; over chunks it is computed again for each
-- product, in the memory of one chunk.

local core = require "saddle.core"
local chunks = require "saddle.curvature.chunks"
local fail = require "saddle.fail"
local operator = require "saddle.curvature.operator"
local sd = require "saddle.init"
local pack, unpack = table.pack, table.unpack

local models = {}

-- ---- the parameters that are differentiated ---------------------------------

-- Errors unless params are tensors that can be differentiated.
local function check_leaves(params, what)
  local all, paths = core.leaves(params)
  if #all == 0 then fail("%s: the parameters hold no tensors", what) end
  local n = 0
  for i, x in ipairs(all) do
    if x.dtype ~= "f32" and x.dtype ~= "f64" then
      fail("%s: %s %s; f32 or f64 needed", what, paths[i] == "" and
           "parameters of" or ("parameter %s is"):format(paths[i]), x.dtype)
    end
    n = n + x:numel()
  end
  if n == 0 then fail("%s: the parameters hold no elements", what) end
  return all, paths
end

-- Errors for data without examples.
local function check_data(args, what)
  for i = 1, args.n do
    local x = args[i]
    if sd.is_tensor(x) and x:numel() == 0 then
      fail("%s: the batch is empty: argument %d behind the parameters is {%s}",
           what, i, table.concat(x.shape, ", "))
    end
  end
end

-- The tensor of a shape that is 1 at element i (counted from 0), a number in a
-- tensor, and elsewhere, also when i lies outside, 0. A matrix is made as the
-- product of a column and a row, which products with it make use of.
local function unit(i, shape, n, dtype)
  local columns = shape[#shape]
  if #shape < 2 or n == 0 then
    return sd.arange(0, n - 1):eq(i):to(dtype):reshape(shape)
  end
  local column = sd.arange(0, n // columns - 1):eq(i // columns):to(dtype)
  local row = sd.arange(0, columns - 1):eq(i % columns):to(dtype)
  local matrix = column:unsqueeze(2) * row:unsqueeze(1)
  return #shape == 2 and matrix or matrix:reshape(shape)
end

-- The same tensors by handles of their own: what a script assigns to its own
-- later changes nothing.
local function frozen(params, all)
  sd.eval(params)
  for i, x in ipairs(all) do all[i] = core.alias(x) end
  return core.rebuild(params, all)
end

-- The chosen leaves of params (all without a choice): sub (their list), flat,
-- full (list -> tree), unravel (vector -> tree, zeros elsewhere), parts. The
-- first so many of them (all) move: moved (their list), split (vector -> list
-- of tangents), units (the number of an element -> the tangents of a step along
-- it), with_rest (moved -> the list of all that are chosen). params: as they
-- are now.
local function layout(params, chosen, what, moving)
  local all, paths = check_leaves(params, what)
  params = frozen(params, all)
  if not chosen then
    chosen = {}
    for i = 1, #all do chosen[i] = i end
  end
  local sub, parts, n = {}, {}, 0
  for k, i in ipairs(chosen) do
    sub[k] = all[i]
    parts[k] = { path = paths[i], from = n + 1, count = all[i]:numel(),
                 shape = all[i].shape }
    n = n + all[i]:numel()
  end
  local flat, split = sd.tree.ravel(sub)
  local moved = table.move(sub, 1, moving or #sub, 1, {})
  local along = split
  if #moved < #sub then along = select(2, sd.tree.ravel(moved)) end
  local function merge(list, rest)
    local new = {}
    for i, x in ipairs(all) do new[i] = rest and rest(x) or x end
    for k, i in ipairs(chosen) do new[i] = list[k] end
    return core.rebuild(params, new)
  end
  return {
    params = params, sub = sub, parts = parts, n = n, dtype = flat.dtype,
    moved = moved,
    split = along,
    units = function(i)
      local list = {}
      for k, x in ipairs(moved) do
        list[k] = unit(i - parts[k].from, x.shape, x:numel(), flat.dtype)
      end
      return list
    end,
    with_rest = function(list)
      return table.move(sub, #moved + 1, #sub, #moved + 1,
                        table.move(list, 1, #moved, 1, {}))
    end,
    full = function(list) return merge(list) end,
    unravel = function(v)
      return merge(split(v), #chosen < #all and sd.zeros_like)
    end }
end

local function ravel(list) return (sd.tree.ravel(list)) end

-- f, a function or something that can be called, such as a net.
local function callable(f, what, name)
  local mt = getmetatable(f)
  if type(f) == "function" or type(mt) == "table" and mt.__call then return end
  fail("%s: %s must be a function, not a %s", what, name, type(f))
end

-- ---- products over the data -------------------------------------------------

-- raw (v, ...) -> A v, traceable, for all data in args: product, of one v, and
-- rows, of many at once, with the bytes that they take, peak and peak_rows.
local function at_once(raw, args)
  local function one(v) return raw(v, unpack(args, 1, args.n)) end
  local product, rows = core.jit(one), core.jit(sd.vmap(one))
  return {
    product = product, peak = function(v) return core.peak(product, v) end,
    rows = rows, peak_rows = function(V) return core.peak(rows, V) end }
end

-- The same summed over the chunks of a data set, in the memory of one of them;
-- again says that each product, of n elements, computes everything anew.
local function over_chunks(raw, data, n)
  local product = core.jit(raw)
  local rows = core.jit(function(V, ...)
    local dims = { 1 }
    for i = 1, select("#", ...) do dims[i + 1] = false end
    return sd.vmap(raw, dims)(V, ...)
  end)
  local function total(f)
    return function(v)
      local sum, dtype -- the sum in f64: chunks may be many
      for _, c in ipairs(data) do
        local part = f(v, unpack(c.args))
        dtype, part = part.dtype, c.weight * part:to "f64"
        sum = sd.eval(sum and sum + part or part)
      end
      return sum:to(dtype)
    end
  end
  local sums = 2 * 8 * n -- bytes
  return {
    product = total(product), rows = total(rows), again = true,
    peak = function(v)
      return core.peak(product, v, unpack(data[1].args)) + sums
    end,
    peak_rows = function(V)
      return core.peak(rows, V, unpack(data[1].args)) + sums * V:size(1)
    end }
end

local function either(raw, args, n)
  if not chunks.is(args[1]) then return at_once(raw, args) end
  if args.n == 1 then return over_chunks(raw, args[1], n) end
  return over_chunks(function(v, ...) -- the same for all chunks
    local list = pack(...)
    table.move(args, 2, args.n, list.n + 1, list)
    return raw(v, unpack(list, 1, list.n + args.n - 1))
  end, args[1], n)
end

-- raw (v, ...) -> A v as the products, of n elements, of an operator for the
-- data in args.
local function products(raw, args, n)
  local p = either(raw, args, n)
  return p.product,
         operator.in_pieces(p.rows, operator.limit(p.peak, p.again))
end

-- Successive parts in groups of an eighth of the n elements or more: how many
-- parts and elements each has.
local function groups(parts, n)
  local list, group = {}, nil
  for _, part in ipairs(parts) do
    if not group or 8 * group.count >= n and part.count > 0 then
      group = { parts = 0, count = 0 }
      list[#list + 1] = group
    end
    group.parts, group.count = group.parts + 1, group.count + part.count
  end
  return list
end

-- The operator on the chosen leaves, make (layout) giving its product: from a
-- list of tangents of the leaves that move, and the data, to a vector of all
-- that are chosen. Parameters and data are meant as they are now.
local function build(name, params, args, make, chosen)
  local at = layout(params, chosen, name)
  check_data(args, name)
  params = at.params
  for i = 1, args.n do
    if sd.is_tensor(args[i]) then args[i] = core.alias(args[i]) end
  end
  local function along(tangents, sub)
    local raw = make(sub)
    return function(v, ...) return raw(tangents(v), ...) end
  end
  local product, rows = products(along(at.split, at), args, at.n)
  local function leaves_of(part)
    local leaves = {}
    for k, i in ipairs(part) do leaves[k] = chosen and chosen[i] or i end
    return leaves
  end
  return operator.new {
    n = at.n, dtype = at.dtype, name = name, product = product, rows = rows,
    fresh = true, unravel = at.unravel, parts = at.parts,
    restrict = function(part)
      return build(name, params, args, make, leaves_of(part))
    end,
    triangle = function()
      local bands, part = groups(at.parts, at.n), 1
      for _, band in ipairs(bands) do
        local tail = {}
        for i = part, #at.parts do tail[#tail + 1] = i end
        local sub = layout(params, leaves_of(tail), name, band.parts)
        local p = either(along(sub.units, sub), args, sub.n)
        band.rows, band.peak, band.again = p.rows, p.peak_rows, p.again
        part = part + band.parts
      end
      return bands
    end }
end

-- ---- the Hessian ------------------------------------------------------------

--- The Hessian of f(params, ...) at params. Where f has kinks (relu, abs) it
--- is that of the pieces, as derivatives are.
---@param f function
---@param params any tree
---@param ... any f's further arguments, or a data set in chunks
function models.hessian(f, params, ...)
  callable(f, "hessian", "f")
  return build("hessian", params, pack(...), function(at)
    local function inner(list, ...) return (f(at.full(list), ...)) end
    local gradient = sd.grad(inner)
    return function(tangents, ...)
      local rest = pack(...)
      local function along(moved)
        return gradient(at.with_rest(moved), unpack(rest, 1, rest.n))
      end
      return ravel(select(2, sd.jvp(along, { at.moved }, { tangents })))
    end
  end)
end

-- ---- J' M J -----------------------------------------------------------------

local function outputs(z, what)
  if not sd.is_tensor(z) then
    fail("%s: the model returned a %s, not a tensor", what, type(z))
  end
  return z
end

-- J' M J, J the Jacobian of model(params, x) and M given by middle(z, dz, ...),
-- the dots being what follows x in the data.
local function sandwich(name, model, params, args, middle)
  callable(model, name, "model")
  if chunks.is(args[1]) and args[2] ~= nil then
    fail("%s: a data set in chunks has its labels with it: there is an " ..
         "argument behind it", name)
  end
  return build(name, params, args, function(at)
    return function(tangents, x, ...)
      local function run(list)
        return outputs(model(at.full(list), x), name)
      end
      local function along(moved) return run(at.with_rest(moved)) end
      local z, dz = sd.jvp(along, { at.moved }, { tangents })
      local _, pull = sd.vjp(run, at.sub)
      return ravel(pull(middle(z, dz, ...)))
    end
  end)
end

--- The generalized Gauss-Newton matrix J' H J, H being the Hessian of
--- loss(outputs, y) in the outputs of model(params, x) (Schraudolph 2002):
--- positive semidefinite for a convex loss.
---@param model function of params, x
---@param loss function of outputs, y
---@param params any tree
---@param x any with y, or a data set in chunks
---@param y any
function models.ggn(model, loss, params, x, y)
  callable(loss, "ggn", "loss")
  return sandwich("ggn", model, params, pack(x, y), function(z, dz, b)
    return sd.hvp(function(u) return (loss(u, b)) end, z, dz)
  end)
end

-- ---- Fisher -----------------------------------------------------------------

-- Examples in z: all dims but the classes', or the first; of 1-D outputs each
-- is an example.
local function examples(z, how)
  if how == "categorical" then return z:numel() / z:size(z.ndim > 1 and 2 or 1)
  elseif how == "bernoulli" then return z:numel() end
  return z.ndim > 0 and z:size(1) or 1
end

local exact = {
  categorical = function(z, dz)
    local dim = z.ndim > 1 and 2 or 1
    local p = sd.softmax(z, dim)
    return p * (dz - sd.sum(p * dz, dim, { keepdim = true }))
  end,
  gaussian = function(_, dz) return dz end,
  bernoulli = function(z, dz)
    local p = sd.sigmoid(z)
    return p * (1 - p) * dz
  end,
}

-- Gradients of -log p(y | z) in z for y drawn from the model.
local draws = {
  categorical = function(z, g)
    local dim = z.ndim > 1 and 2 or 1
    local o = { dtype = z.dtype, generator = g }
    local noise = -sd.log(-sd.log(sd.rand(z.shape, o) * (1 - 1e-7) + 1e-8))
    local y = sd.argmax(z + noise, dim)
    local hot = sd.one_hot(y, z:size(dim)):to(z.dtype)
    if z.ndim > 2 then hot = hot:movedim(-1, 2) end
    return sd.softmax(z, dim) - hot
  end,
  gaussian = function(z, g)
    return sd.randn(z.shape, { dtype = z.dtype, generator = g })
  end,
  bernoulli = function(z, g)
    local u = sd.rand(z.shape, { dtype = z.dtype, generator = g })
    local p = sd.sigmoid(z)
    return p - u:lt(p):to(z.dtype)
  end,
}

-- r r' dz for each unit of independence: the class dim, an output, or all
-- outputs of an example.
local function outer(r, dz, how)
  local s = r * dz
  if how == "categorical" then
    s = sd.sum(s, r.ndim > 1 and 2 or 1, { keepdim = true })
  elseif how ~= "bernoulli" and s.ndim > 1 then
    local dims = {}
    for d = 2, s.ndim do dims[#dims + 1] = d end
    s = sd.sum(s, dims, { keepdim = true })
  end
  return r * s
end

-- The data with the samples' gradients behind them: { x, r1, r2, ... }.
local function sampled(model, params, args, how, count, seed)
  local g = sd.generator(seed or 1)
  local function draw(x)
    local z = outputs(model(params, x), "fisher")
    local list = {}
    for s = 1, count do list[s] = draws[how](z, g) end
    sd.eval(list)
    return list
  end
  if not chunks.is(args[1]) then
    return pack(args[1], unpack(draw(args[1])))
  end
  local new = setmetatable({ n = args[1].n }, getmetatable(args[1]))
  for i, c in ipairs(args[1]) do
    new[i] = { count = c.count, from = c.from, weight = c.weight,
               args = { c.args[1], unpack(draw(c.args[1])) } }
  end
  return pack(new)
end

-- The distribution whose negative logarithm a loss is.
local function likelihood_of(loss)
  if loss == nil or loss == sd.cross_entropy then return "categorical"
  elseif loss == sd.mse then return "gaussian"
  elseif loss == sd.bce_logits then return "bernoulli" end
  fail "fisher: give the likelihood that belongs to this loss"
end

--- The Fisher matrix of the distribution whose parameters the model's outputs
--- are, averaged over examples: exact, or from samples drawn labels per
--- example, fixed by the seed. categorical: logits along dim 2; bernoulli:
--- logits, averaged over all outputs; gaussian: means with variance 1.
--- fisher(model, loss, params, x, y, o) will do too: the loss (cross_entropy,
--- mse, bce_logits) names the likelihood, and the labels y play no part.
---@param model function of params, x
---@param params any tree
---@param x any a batch, or a data set in chunks
---@param o? table likelihood "categorical" | "gaussian" | "bernoulli", samples
---  (none: exact), seed
function models.fisher(model, params, x, o, ...)
  local loss
  if type(params) == "function" then
    loss, params, x = params, x, o
    local y, more = ...
    o = more
    if more == nil and type(y) == "table" and not sd.is_tensor(y) then o = y end
  end
  o = sd.check_options(o, { "likelihood:S", "samples:N", "seed:I" }, "fisher")
  callable(model, "fisher", "model")
  local how, count = o.likelihood or likelihood_of(loss), o.samples
  if not exact[how] then
    fail("fisher: likelihood must be categorical, gaussian, bernoulli, not " ..
         "'%s'", how)
  end
  if not count then
    return sandwich("fisher", model, params, pack(x), function(z, dz)
      return exact[how](z, dz) / examples(z, how)
    end)
  end
  local args = sampled(model, params, pack(x), how, count, o.seed)
  return sandwich("fisher", model, params, args, function(z, dz, ...)
    local sum
    for s = 1, count do
      local part = outer((select(s, ...)), dz, how)
      sum = sum and sum + part or part
    end
    return sum / (count * examples(z, how))
  end)
end

--- The empirical Fisher matrix, the mean over examples of g g' with g the
--- gradient of an example's loss: loss(outputs, y) must be the mean over the
--- first dim, or, with reduction = "sum", the sum. The model must treat
--- examples alone.
---@param model function of params, x
---@param loss function of outputs, y
---@param params any tree
---@param x any with y, or a data set in chunks
---@param y any
---@param o? table reduction
function models.empirical_fisher(model, loss, params, x, y, o)
  if chunks.is(x) and y ~= nil and o == nil then y, o = nil, y end
  o = sd.check_options(o, { "reduction:S" }, "empirical_fisher")
  callable(loss, "empirical_fisher", "loss")
  local how = o.reduction or "mean"
  if how ~= "mean" and how ~= "sum" then
    fail("empirical_fisher: reduction must be 'mean' or 'sum', not '%s'", how)
  end
  return sandwich("empirical fisher", model, params, pack(x, y),
                  function(z, dz, b)
    local scores = z.ndim == 1 and loss == sd.cross_entropy -- of one example
    local kind = scores and "categorical" or nil
    local r = sd.grad(function(u) return (loss(u, b)) end)(z)
    local m = outer(r, dz, kind)
    return how == "mean" and m * examples(z, kind) or m
  end)
end

models.check_leaves, models.check_data = check_leaves, check_data
models.layout, models.outputs, models.ravel = layout, outputs, ravel
models.products, models.draws, models.callable = products, draws, callable
return models
