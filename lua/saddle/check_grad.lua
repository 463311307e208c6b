-- Derivatives against central differences.

local fail = require "saddle.fail"

return function(sd, core)
  local function relative(a, b)
    local scale = math.max(1, math.abs(a), math.abs(b))
    return math.abs(a - b) / scale
  end

  -- The worst entry of two equal-shaped tensors' difference.
  local function worst(a, b)
    local x, y = a:reshape(-1):totable(), b:reshape(-1):totable()
    local at, most = 1, -1
    for i = 1, #x do
      local d = relative(x[i], y[i])
      if d ~= d then d = math.huge end
      if x[i] ~= x[i] and y[i] ~= y[i] then d = 0 end
      if d > most then at, most = i, d end
    end
    return most, at, x[at], y[at]
  end

  -- Central differences of g (a tensor-valued function) along direction v.
  local function difference(g, x, v, h)
    return (g(x + h * v) - g(x - h * v)) / (2 * h)
  end

  -- Each level compares jvp and vjp of f with differences along a random
  -- direction v and cotangent w, then goes on with their derivatives.
  local function check(f, x, order, o, level)
    local v = sd.randn(x.shape, { dtype = "f64", generator = o.generator })
    local numeric = difference(f, x, v, o.step)
    local y, forward = sd.jvp(f, { x }, { v })
    local function compare(a, b, what)
      local d, at, got, want = worst(a, b)
      if not (d <= o.tolerance) then
        fail("check_grad: order %d, %s: entry %d is %.10g, central " ..
             "differences give %.10g (relative difference %.2g)", level,
             what, at, got, want, d)
      end
      o.worst = math.max(o.worst, d)
    end
    compare(forward, numeric, "forward")
    local w = sd.randn(y.shape, { dtype = "f64", generator = o.generator })
    local _, pull = sd.vjp(f, x)
    compare((pull(w) * v):sum(), (w * numeric):sum(), "reverse")
    if order <= 1 then return end
    check(function(p) return select(2, sd.jvp(f, { p }, { v })) end, x,
          order - 1, o, level + 1)
    check(function(p)
      local _, back = sd.vjp(f, p)
      return back(w)
    end, x, order - 1, o, level + 1)
  end

  --- Compares derivatives of f at x, forward and reverse, to any order,
  --- with central differences in f64; raises an error that names the worst
  --- entry when they differ. Returns true and the worst relative
  --- difference.
  ---
  --- ```lua
  --- sd.check_grad(function(x) return x:sin():sum() end, sd.randn(3))
  --- ```
  ---@param f function of one tree, returning tensors
  ---@param x any tensor or tree
  ---@param o? table order (2), tolerance (1e-6), step (1e-5), seed (1)
  function sd.check_grad(f, x, o)
    o = sd.check_options(o, { "order:I", "tolerance:F", "step:F", "seed:I" },
                         "check_grad")
    local list = core.leaves(x, false)
    local wide = {}
    for i, t in ipairs(list) do wide[i] = t:to "f64" end
    local tree = core.rebuild(x, wide)
    local vector, unravel = sd.tree.ravel(tree)
    local function flat(p)
      local ys = core.leaves(f(unravel(p)), false)
      local parts = {}
      for i, y in ipairs(ys) do parts[i] = y:reshape(-1):to "f64" end
      if #parts == 0 then fail "check_grad: f returned no tensors" end
      return sd.cat(parts, 1)
    end
    local run = { tolerance = o.tolerance or 1e-6, step = o.step or 1e-5,
                  generator = sd.generator(o.seed or 1), worst = 0 }
    check(flat, vector, o.order or 2, run, 1)
    return true, run.worst
  end
end
