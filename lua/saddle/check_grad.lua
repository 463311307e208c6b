-- Derivatives against central differences.

local fail = require "saddle.fail"

-- Entries of the argument that are looked at for the worst one, at most.
local LOOKS = 500

return function(sd, core)
  -- NaN is near NaN only.
  local function relative(a, b)
    if a ~= a and b ~= b then return 0 end
    local d = math.abs(a - b) / math.max(1, math.abs(a), math.abs(b))
    return d == d and d or math.huge
  end

  -- The worst entry of two equal-shaped tensors' difference.
  local function worst(a, b)
    local x, y = a:reshape(-1):totable(), b:reshape(-1):totable()
    local at, most = 1, -1
    for i = 1, #x do
      local d = relative(x[i], y[i])
      if d > most then at, most = i, d end
    end
    return most, at, x[at], y[at]
  end

  -- Central differences of g (a tensor-valued function) along direction v.
  local function difference(g, x, v, h)
    return (g(x + h * v) - g(x - h * v)) / (2 * h)
  end

  local function basis(n, i)
    return sd.arange(1, n):eq(i):to "f64"
  end

  -- The entry of x where slope(i), the derivative of w . f by it, is furthest
  -- from the central difference, among those beyond the tolerance: its
  -- number, both values and their relative difference; nil when there is
  -- none. All entries are tried, or LOOKS of them spread over x.
  local function worst_entry(f, x, w, slope, o)
    local n = x:numel()
    local looks = math.min(n, LOOKS)
    local most, at, got, want, beyond = -1, nil, nil, nil, nil
    for k = 0, looks - 1 do
      local i = 1 + k * n // looks
      local a = slope(i)
      local b = (w * difference(f, x, basis(n, i), o.step)):sum():item()
      local d, far = relative(a, b), math.abs(a - b)
      if far ~= far then far = math.huge end
      if d > o.tolerance and far > most then
        most, at, got, want, beyond = far, i, a, b, d
      end
    end
    return at, got, want, beyond
  end

  -- "entry 3", "entry (2, 1) of layer.weight": entry i of all leaves in a row.
  local function name_of(i, leaves, paths)
    local k = 1
    while i > leaves[k]:numel() do
      i = i - leaves[k]:numel()
      k = k + 1
    end
    local shape, index, rest = leaves[k].shape, {}, i - 1
    for d = #shape, 1, -1 do
      index[d] = rest % shape[d] + 1
      rest = rest // shape[d]
    end
    local place = #shape > 1 and ("(%s)"):format(table.concat(index, ", ")) or
                  tostring(i)
    return ("entry %s%s"):format(
      place, paths[k] ~= "" and " of " .. paths[k] or "")
  end

  -- Raises the error: what says in which direction derivatives were taken,
  -- along those of got and want that differ by d.
  local function blame(f, x, w, slope, o, what, d, got, want)
    local i, a, b, beyond = worst_entry(f, x, w, slope, o)
    local place = i and name_of(i, o.leaves, o.paths)
    if not i then
      place, a, b, beyond = "along a random direction", got, want, d
    end
    fail("check_grad: %s%s: gradient %.10g, central differences %.10g " ..
         "(relative difference %.2g)", what, place, a, b, beyond)
  end

  -- Each level compares jvp and vjp of f with differences along a random
  -- direction v and cotangent w, then goes on with their derivatives.
  local function check(f, x, order, o, level)
    local v = sd.randn(x.shape, { dtype = "f64", generator = o.generator })
    local numeric = difference(f, x, v, o.step)
    local y, forward = sd.jvp(f, { x }, { v })
    local m = y:numel()
    local function compare(a, b, mode, part, find)
      local d, at, got, want = worst(a, b)
      o.worst = math.max(o.worst, d)
      if d <= o.tolerance then return end
      local w, slope = find(at)
      local what = ("order %d, %s: %s"):format(
        level, mode, m > 1 and part:format(at) or "")
      blame(f, x, w, slope, o, what, d, got, want)
    end
    compare(forward, numeric, "forward", "result %d, ", function(at)
      return basis(m, at), function(i)
        local _, t = sd.jvp(f, { x }, { basis(x:numel(), i) })
        return t[at]:item()
      end
    end)
    local w = sd.randn(y.shape, { dtype = "f64", generator = o.generator })
    local _, pull = sd.vjp(f, x)
    compare((pull(w) * v):sum(), (w * numeric):sum(), "reverse",
            "results weighted at random, ", function()
      local u = m > 1 and w or sd.ones_like(w)
      local g = pull(u):totable()
      return u, function(i) return g[i] end
    end)
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
  --- entry of x when they differ. Returns true and the worst relative
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
    local list, paths = core.leaves(x)
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
                  generator = sd.generator(o.seed or 1), worst = 0,
                  leaves = list, paths = paths }
    check(flat, vector, o.order or 2, run, 1)
    return true, run.worst
  end
end
