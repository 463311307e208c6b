-- Small networks, as problems.

local fail = require "saddle.fail"
local point = require "saddle.problems.point"
local sd = require "saddle.init"

local f64 = { dtype = "f64" }

-- Classification of a set by a net: the whole set is the objective, part t
-- of it is drawn by seed and t.
local function classifier(data, net, o)
  local x, y = sd.eval(data.x:to "f64"), data.y
  local n, size = #x, o.batch
  return {
    start = net:init { seed = o.seed or 1, dtype = "f64" },
    f = function(p, a, b)
      return sd.cross_entropy(net(p, a or x), b or y)
    end,
    accuracy = function(p)
      return net(p, x):argmax(2):eq(y):to("f64"):mean():item()
    end,
    batch = size < n and function(t)
      local g = sd.generator((o.seed or 1) * 1000003 + t)
      local which = sd.randint(1, n, { size }, { generator = g })
      return sd.eval(x:index_select(1, which)), y:index_select(1, which)
    end or nil,
  }
end

-- The critical points of |A B - M|^2 / 2 + rest, M of singular values s: a
-- choice of at most h of them is fitted (Baldi and Hornik 1989).
local function chosen(s, h, place)
  local total, minima, saddles = 0, {}, {}
  for _, v in ipairs(s) do total = total + v * v / 2 end
  for bits = 0, 2 ^ #s - 1 do
    local set, loss, index = {}, total, 0
    for i, v in ipairs(s) do
      if bits >> (i - 1) & 1 == 1 then
        set[#set + 1], loss = i, loss - v * v / 2
      end
    end
    -- A mode that is left out pulls at weaker ones that are fitted, and at
    -- each hidden unit that does nothing.
    for j, v in ipairs(s) do
      if bits >> (j - 1) & 1 == 0 then
        index = index + h - #set
        for _, i in ipairs(set) do
          if s[i] < v then index = index + 1 end
        end
      end
    end
    if #set <= h then
      local list = index == 0 and minima or saddles
      list[#list + 1] = { at = place(set), loss = loss, index = index,
                          degenerate = true }
    end
  end
  local function lower(a, b) return a.loss < b.loss end
  table.sort(minima, lower)
  table.sort(saddles, lower)
  return minima, saddles
end

local function singular_values(list, what)
  for i, v in ipairs(list) do
    if type(v) ~= "number" or not (v > 0) or v <= (list[i + 1] or 0) then
      fail("%s: s must be a falling list of numbers above 0", what)
    end
  end
  if #list == 0 or #list > 10 then
    fail("%s: s must have 1 to 10 entries, not %d", what, #list)
  end
  return list
end

-- Factors {a, h} and {h, b} whose product has the chosen singular values in
-- the bases U {a, n} and V {b, n}.
local function factors(U, V, s, h)
  return function(set)
    local A = sd.zeros(U:size(1), h, f64)
    local B = sd.zeros(h, V:size(1), f64)
    for k, i in ipairs(set) do
      local root = math.sqrt(s[i])
      A[{ {}, k }] = root * U[{ {}, i }]
      B[k] = root * V[{ {}, i }]
    end
    return sd.eval { first = A, second = B }
  end
end

return function(define)
  -- Drawn digits, 784 - hidden - 10 with tanh.
  define("digits", { "n:N", "hidden:N", "batch:N", "seed:I" }, function(o)
    local data = sd.data.digits { n = o.n or 500, seed = o.seed or 1 }
    data = { x = data.x:flatten(2), y = data.y }
    local net = sd.nn.mlp { 784, o.hidden or 16, 10, activation = "tanh" }
    return classifier(data, net, { batch = o.batch or 64, seed = o.seed })
  end)

  -- Spirals, 2 - hidden - hidden - arms with tanh.
  define("spirals", { "n:N", "arms:N", "hidden:N", "batch:N", "seed:I" },
    function(o)
      local arms, h = o.arms or 2, o.hidden or 16
      local data = sd.data.spirals { n = o.n or 200, arms = arms,
                                     seed = o.seed or 1 }
      local net = sd.nn.mlp { 2, h, h, arms, activation = "tanh" }
      return classifier(data, net, { batch = o.batch or 32, seed = o.seed })
    end)

  -- Two linear layers, whitened data, targets of singular values s: all
  -- levels of its critical points, one point of each.
  define("deep_linear", { "s:L", "hidden:N", "seed:I", "scale:F" },
    function(o, what)
      local s = singular_values(o.s or { 2, 1.5, 1, 0.5 }, what)
      local h, n = o.hidden or 2, #s
      local random = { dtype = "f64", generator = sd.generator(o.seed or 1) }
      local eye = sd.eye(n, f64)
      local D = eye * point.tensor(s)
      local minima, saddles = chosen(s, h, factors(eye, eye, s, h))
      local scale = o.scale or 0.1
      return {
        minima = minima, saddles = saddles, optimum = minima[1].loss,
        start = sd.eval { first = scale * sd.randn(n, h, random),
                          second = scale * sd.randn(h, n, random) },
        f = function(p)
          return (p.first:matmul(p.second) - D):square():sum() / 2
        end }
    end)

  -- |A B - M|^2 / 2 for a random M {rows, columns} of singular values s.
  define("matrix_factorization", { "rows:N", "columns:N", "s:L", "rank:N",
                                   "seed:I", "scale:F" }, function(o, what)
    local s = singular_values(o.s or { 3, 2, 1, 0.5 }, what)
    local a, b, h = o.rows or 8, o.columns or 6, o.rank or 2
    if math.min(a, b) < #s then
      fail("%s: a %d x %d matrix has not %d singular values", what, a, b, #s)
    end
    local random = { dtype = "f64", generator = sd.generator(o.seed or 1) }
    local U = point.rotation(a, random):narrow(2, 1, #s)
    local V = point.rotation(b, random):narrow(2, 1, #s)
    local M = sd.eval((U * point.tensor(s)):matmul(V:T()))
    local minima, saddles = chosen(s, h, factors(U, V, s, h))
    local scale = o.scale or 0.1
    return {
      minima = minima, saddles = saddles, optimum = minima[1].loss,
      start = sd.eval { first = scale * sd.randn(a, h, random),
                        second = scale * sd.randn(h, b, random) },
      f = function(p)
        return (p.first:matmul(p.second) - M):square():sum() / 2
      end }
  end)
end
