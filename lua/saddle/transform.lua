-- Transforms: functions that take a function and return another. Each runs
-- the function on tracers and hands what came out to the core, which writes
-- the new graph; so they nest to any order.

local fail = require "saddle.fail"

return function(sd, core)
  local leaves, rebuild = core.leaves, core.rebuild
  local unpack, pack = table.unpack, table.pack

  local function callable(f, what)
    local mt = getmetatable(f)
    if type(f) ~= "function" and not (mt and mt.__call) then
      fail("%s: expected a function, not %s", what, type(f))
    end
  end

  -- The leaves of args[i] for each i in which, in one list, with counts.
  local function gather(args, which, what)
    local all, counts = {}, {}
    for k, i in ipairs(which) do
      if math.type(i) ~= "integer" or i < 1 or i > args.n then
        fail("%s: there is no argument %s", what, tostring(i))
      end
      local list = leaves(args[i], false)
      counts[k] = #list
      for _, x in ipairs(list) do all[#all + 1] = x end
    end
    return all, counts
  end

  -- Copies of args with the leaves of args[i] replaced by list, in order.
  local function replace(args, which, counts, list)
    local new, at = { n = args.n }, 0
    for i = 1, args.n do new[i] = args[i] end
    for k, i in ipairs(which) do
      local part = table.move(list, at + 1, at + counts[k], 1, {})
      new[i] = rebuild(args[i], part)
      at = at + counts[k]
    end
    return new
  end

  -- What a function gets of its tracers: handles of its own, so that an
  -- assignment inside leaves the tracers what they are.
  local function handles(list)
    local own = {}
    for i, x in ipairs(list) do own[i] = core.alias(x) end
    return own
  end
  core.handles = handles

  local function zeros_for(grads, like)
    for i, x in ipairs(like) do
      grads[i] = grads[i] or sd.zeros_like(x)
    end
    return grads
  end

  local function check_float(list, what)
    for _, x in ipairs(list) do
      if x.dtype ~= "f32" and x.dtype ~= "f64" then
        fail("%s: an argument is %s; derivatives need f32 or f64", what,
             x.dtype)
      end
    end
  end

  local function positions(argnums)
    if argnums == nil then return { 1 }, true end
    if type(argnums) == "number" then return { argnums }, true end
    return argnums, false
  end

  -- The value, the gradients as a list of trees, then f's further results,
  -- for any choice of arguments.
  local function value_and_grads(f, given, what, ...)
    local args, trees = pack(...), {}
    local new = { n = args.n, unpack(args, 1, args.n) }
    local trace <close> = core.trace()
    for k, i in ipairs(given) do
      local at = math.type(i) == "integer" and i < 0 and i + args.n + 1 or i
      if math.type(at) ~= "integer" or at < 1 or at > args.n then
        fail("%s: there is no argument %s", what, tostring(i))
      end
      trees[k], new[at] = args[at], core.watch(trace, args[at], what)
    end
    local out = pack(f(unpack(new, 1, new.n)))
    core.leave(trace)
    return out[1], { core.pull(trace, what, out[1], unpack(trees)) },
           unpack(out, 2, out.n)
  end

  local function pull_first(trace, what, first, y, ...)
    core.leave(trace)
    return y, core.pull(trace, what, y, first), ...
  end

  local function value_and_grad(f, argnums, what)
    callable(f, what)
    local given, single = positions(argnums)
    if single and given[1] == 1 then
      return function(first, ...)
        local trace <close> = core.trace()
        return pull_first(trace, what, first,
                          f(core.watch(trace, first, what), ...))
      end
    end
    local function unwrap(y, grads, ...)
      return y, single and grads[1] or grads, ...
    end
    return function(...)
      return unwrap(value_and_grads(f, given, what, ...))
    end
  end

  --- Value, gradients in the shape of the argument(s), then f's further
  --- results.
  ---
  --- ```lua
  --- local f = function(x) return (x * x):sum() end
  --- local value, g = sd.value_and_grad(f)(sd.tensor{ 1, 2 })
  --- ```
  ---@param f function returns a one-element tensor, then anything
  ---@param argnums? integer|integer[] which arguments (1)
  function sd.value_and_grad(f, argnums)
    return value_and_grad(f, argnums, "value_and_grad")
  end

  --- Gradients of f in the shape of its argument(s), then f's further
  --- results.
  ---
  --- ```lua
  --- print(sd.grad(function(x) return (x ^ 3):sum() end)(sd.tensor{ 2 }))
  --- ```
  ---@param f function returns a one-element tensor, then anything
  ---@param argnums? integer|integer[] which arguments (1)
  function sd.grad(f, argnums)
    local run = value_and_grad(f, argnums, "grad")
    local function skip(_, g, ...) return g, ... end
    return function(...) return skip(run(...)) end
  end

  local function all_of(args)
    local which = {}
    for i = 1, args.n do which[i] = i end
    return which
  end

  local function check_tree(y, what)
    local list = leaves(y, false)
    if #list == 0 then
      fail("%s: the function returned no tensors", what)
    end
    return list
  end

  --- y = f(...), and a function from cotangents of y to those of the
  --- arguments (a tree for each).
  ---
  --- ```lua
  --- local y, pull = sd.vjp(sd.exp, sd.tensor{ 0, 1 })
  --- print(pull(sd.ones_like(y)))
  --- ```
  function sd.vjp(f, ...)
    callable(f, "vjp")
    local args = pack(...)
    local which = all_of(args)
    local list, counts = gather(args, which, "vjp")
    check_float(list, "vjp")
    local trace = core.trace()
    local _ <close> = setmetatable({}, {
      __close = function(_, e) if e then core.close(trace) end end })
    local traced = core.tracers(trace, list)
    local new = replace(args, which, counts, handles(traced))
    local y = pack(f(unpack(new, 1, new.n)))
    core.leave(trace)
    local ys = check_tree(y[1], "vjp")
    local function pullback(g)
      local gs = leaves(g, false)
      if #gs ~= #ys then
        fail("vjp: %d cotangents for %d results", #gs, #ys)
      end
      for k, x in ipairs(gs) do
        if x.dtype ~= ys[k].dtype then x = x:to(ys[k].dtype) end
        gs[k] = x:expand(ys[k].shape)
      end
      local grads = zeros_for(core.vjp(trace, ys, gs, traced), list)
      local trees = replace(args, which, counts, grads)
      return unpack(trees, 1, trees.n)
    end
    return y[1], pullback, unpack(y, 2, y.n)
  end

  --- y = f(primals...), and its derivative along tangents. A single
  --- argument may be given as such, several as lists.
  ---
  --- ```lua
  --- local y, dy = sd.jvp(sd.sin, sd.tensor(0.0), sd.tensor(1.0))
  --- ```
  function sd.jvp(f, primals, tangents)
    callable(f, "jvp")
    -- A list of arguments is told from one tree by the tangents' form alone,
    -- so both are taken as lists only when f's arguments are plain lists.
    local args = { n = 1, primals }
    local ts = { tangents }
    if type(primals) == "table" and not core.is_tensor(primals) and
       primals[1] ~= nil then
      args, ts = { n = #primals, unpack(primals) }, tangents
    end
    local which = all_of(args)
    local list, counts = gather(args, which, "jvp")
    check_float(list, "jvp")
    local dirs = leaves(ts, false)
    if #dirs ~= #list then
      fail("jvp: %d tangents for %d tensors", #dirs, #list)
    end
    for k, x in ipairs(dirs) do
      dirs[k] = x:to(list[k].dtype):expand(list[k].shape)
    end
    local trace <close> = core.trace()
    local traced = core.tracers(trace, list)
    local new = replace(args, which, counts, handles(traced))
    local y = pack(f(unpack(new, 1, new.n)))
    core.leave(trace)
    local ys = check_tree(y[1], "jvp")
    local dys = zeros_for(core.jvp(trace, traced, dirs, ys), ys)
    return y[1], rebuild(y[1], dys), unpack(y, 2, y.n)
  end

  --- H v, the Hessian of f at the tree x times the tree v.
  ---
  --- ```lua
  --- local f = function(x) return (x ^ 3):sum() end
  --- print(sd.hvp(f, sd.tensor{ 1, 2 }, sd.tensor{ 1, 0 }))
  --- ```
  function sd.hvp(f, x, v, ...)
    local rest = pack(...)
    local g = sd.grad(f)
    local _, hv = sd.jvp(function(p)
      return (g(p, unpack(rest, 1, rest.n)))
    end, { x }, { v })
    return hv
  end

  --- f for every slice along a dim at once: f is written for one example.
  --- in_dims: a dim for each argument (1), or false for one that all
  --- examples share; out_dims: where the new dim goes in the results (1).
  --- Random numbers drawn inside are the same for all examples.
  ---
  --- ```lua
  --- local dots = sd.vmap(function(a, b) return (a * b):sum() end)
  --- print(dots(sd.rand(3, 2), sd.rand(3, 2)))
  --- ```
  function sd.vmap(f, in_dims, out_dims)
    callable(f, "vmap")
    return function(...)
      local args = pack(...)
      local which, dims = {}, {}
      for i = 1, args.n do
        local d = in_dims
        if type(in_dims) == "table" then d = in_dims[i] end
        if d == nil then d = 1 end
        if d ~= false then
          which[#which + 1], dims[#dims + 1] = i, d
        end
      end
      local list, counts = gather(args, which, "vmap")
      if #list == 0 then fail("vmap: no argument to map over") end
      local zero, size, at = {}, nil, 0
      for k, count in ipairs(counts) do
        for j = at + 1, at + count do
          local x, d = list[j], dims[k]
          if d < 0 then d = d + x.ndim + 1 end
          if d < 1 or d > x.ndim then
            fail("vmap: no dim %d in shape {%s}", dims[k],
                 table.concat(x.shape, ", "))
          end
          size = size or x:size(d)
          if x:size(d) ~= size then
            fail("vmap: %d examples in one argument, %d in another", size,
                 x:size(d))
          end
          list[j], zero[j] = d == 1 and x or x:movedim(d, 1), 0
        end
        at = at + count
      end
      local trace <close> = core.trace("vmap")
      local traced = core.abstract(trace, list, zero)
      local new = replace(args, which, counts, handles(traced))
      local y = pack(f(unpack(new, 1, new.n)))
      core.leave(trace)
      for i = 1, y.n do
        local ys = leaves(y[i], false)
        local by = core.vmap(trace, size, traced, list, ys)
        for k, b in ipairs(by) do
          b = b or ys[k]:unsqueeze(1):expand(size, unpack(ys[k].shape))
          local d = type(out_dims) == "table" and out_dims[i] or out_dims
          by[k] = (d or 1) == 1 and b or b:movedim(1, d)
        end
        y[i] = rebuild(y[i], by)
      end
      return unpack(y, 1, y.n)
    end
  end

  -- f as a function of one vector, with the block of rows and columns for
  -- each leaf of its results and arguments: JAX's trees of trees.
  local function over_vectors(derivative, f, x, ...)
    local rest = pack(...)
    local flat, unravel = sd.tree.ravel(x)
    local y
    local D = derivative(function(v)
      y = f(unravel(v), unpack(rest, 1, rest.n))
      if type(y) ~= "table" then return y end
      return (sd.tree.ravel(y))
    end)(flat)
    local function split(M, dim, like)
      local at, parts = 1, {}
      for i, l in ipairs((leaves(like, false))) do
        parts[i] = M:narrow(dim, at, l:numel())
        at = at + l:numel()
      end
      return parts
    end
    local function block(M, rows, columns)
      local shape = { unpack(rows) }
      for _, d in ipairs(columns) do shape[#shape + 1] = d end
      return M:reshape(shape)
    end
    local inputs = leaves(x, false)
    return function(out)
      local outs, trees = leaves(out, false), {}
      for i, M in ipairs(split(D:reshape(-1, flat:numel()), 1, out)) do
        local parts = split(M, 2, x)
        for j, l in ipairs(inputs) do
          parts[j] = block(parts[j], outs[i].shape, l.shape)
        end
        trees[i] = rebuild(x, parts)
      end
      return core.is_tensor(out) and trees[1] or
             rebuild(out, trees)
    end, y
  end

  local function basis(x)
    return sd.eye(x:numel(), { dtype = x.dtype }):reshape(x:numel(),
                                                          unpack(x.shape))
  end

  local function one_tensor(x, what)
    if not core.is_tensor(x) then
      fail("%s: expected one tensor, not a %s (sd.tree.ravel makes a tree " ..
           "one vector)", what, type(x))
    end
  end

  --- The dense Jacobian of f at x, shaped {f's shape, x's shape}; of trees,
  --- for each leaf of the result a tree of such blocks in x's form.
  ---
  --- ```lua
  --- print(sd.jacobian(function(x) return x * x end)(sd.tensor{ 1, 2 }))
  --- ```
  function sd.jacobian(f)
    callable(f, "jacobian")
    return function(x, ...)
      if type(x) == "table" then
        local form, y = over_vectors(sd.jacobian, f, x, ...)
        return form(y)
      end
      one_tensor(x, "jacobian")
      local rest = pack(...)
      local function call(p) return (f(p, unpack(rest, 1, rest.n))) end
      local y, pull = sd.vjp(call, x)
      one_tensor(y, "jacobian")
      if y:numel() == 0 or x:numel() == 0 then
        local shape = { unpack(y.shape) }
        for _, d in ipairs(x.shape) do shape[#shape + 1] = d end
        return sd.zeros(shape, { dtype = y.dtype })
      end
      local rows
      if y:numel() <= x:numel() then
        rows = sd.vmap(pull)(basis(y))
      else
        rows = sd.vmap(function(v)
          return select(2, sd.jvp(call, { x }, { v }))
        end, 1, -1)(basis(x))
      end
      local shape = { unpack(y.shape) }
      for _, d in ipairs(x.shape) do shape[#shape + 1] = d end
      return rows:reshape(shape)
    end
  end

  --- The dense Hessian of a one-element f at x, shaped {x's shape, x's
  --- shape}; of a tree, for each leaf a tree of such blocks.
  ---
  --- ```lua
  --- print(sd.hessian(function(x) return (x ^ 3):sum() end)(sd.tensor{ 1 }))
  --- ```
  function sd.hessian(f)
    callable(f, "hessian")
    return function(x, ...)
      if type(x) == "table" then
        return over_vectors(sd.hessian, f, x, ...)(x)
      end
      one_tensor(x, "hessian")
      local rest = pack(...)
      local g = sd.grad(f)
      local rows = sd.vmap(function(v)
        return select(2, sd.jvp(function(p)
          return (g(p, unpack(rest, 1, rest.n)))
        end, { x }, { v }))
      end)(basis(x))
      local shape = { unpack(x.shape) }
      for _, d in ipairs(x.shape) do shape[#shape + 1] = d end
      return rows:reshape(shape)
    end
  end

  --- f whose inner values are computed again for derivatives instead of
  --- being kept: less memory, one more evaluation.
  ---
  --- ```lua
  --- local block = sd.checkpoint(function(x) return x:sin():exp() end)
  --- ```
  function sd.checkpoint(f)
    callable(f, "checkpoint")
    return function(...)
      local args = pack(...)
      local which = all_of(args)
      local list, counts = gather(args, which, "checkpoint")
      local trace <close> = core.trace("checkpoint")
      local keep = {}
      for k = 1, #list do keep[k] = false end
      local traced = core.abstract(trace, list, keep)
      local new = replace(args, which, counts, handles(traced))
      local y = f(unpack(new, 1, new.n))
      local ys = check_tree(y, "checkpoint")
      return rebuild(y, core.checkpoint(trace, traced, list, ys))
    end
  end

  require "saddle.jit" (sd, core)
  require "saddle.check_grad" (sd, core)
end
