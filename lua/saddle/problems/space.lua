-- Functions of any number of variables. Definitions and minima as in Surjanovic
-- and Bingham's Virtual Library of Simulation Experiments, unless said.

local fail = require "saddle.fail"
local point = require "saddle.problems.point"
local sd = require "saddle.init"

local f64 = { dtype = "f64" }
local tensor, box, copies = point.tensor, point.box, point.copies

local function head(x, n) return x:narrow(1, 1, n) end
local function tail(x, n) return x:narrow(1, x:numel() - n + 1, n) end

-- 1 .. n as a vector.
local function places(n) return sd.arange(1, n, f64) end

local function dim_of(o, default, least, what)
  local n = o.dim or default
  if n < least then fail("%s: dim must be at least %d, not %d", what, least, n)
  end
  return n
end

return function(define)
  -- A function whose one known minimum is at one value of all coordinates.
  local function simple(name, row)
    define(name, { "dim:N" }, function(o, what)
      local n = dim_of(o, row.dim or 2, row.least or 1, what)
      local from, to = table.unpack(row.domain)
      local at = copies(n, row.at)
      at.degenerate, at.kink = row.degenerate, row.kink
      return { f = row.f, start = tensor(copies(n, row.start)), optimum = 0,
               domain = box(n, from, to), minima = point.list { at } }
    end)
  end

  simple("sphere", { at = 0, start = 1, domain = { -5.12, 5.12 },
    f = function(x) return x:square():sum() end })

  simple("sum_squares", { at = 0, start = 1, domain = { -10, 10 },
    f = function(x) return (places(x:numel()) * x * x):sum() end })

  simple("rastrigin", { at = 0, start = 2.3, domain = { -5.12, 5.12 },
    f = function(x)
      return (x * x - 10 * (2 * math.pi * x):cos() + 10):sum()
    end })

  simple("ackley", { at = 0, start = 2.5, domain = { -32.768, 32.768 },
    kink = true, f = function(x)
      local far = (x * x):mean():sqrt()
      local wave = (2 * math.pi * x):cos():mean()
      return 20 - 20 * (-0.2 * far):exp() + math.exp(1) - wave:exp()
    end })

  simple("griewank", { at = 0, start = 5, domain = { -600, 600 },
    f = function(x)
      local wave = (x / places(x:numel()):sqrt()):cos():prod()
      return (x * x):sum() / 4000 - wave + 1
    end })

  simple("levy", { at = 1, start = -4, domain = { -10, 10 },
    f = function(x)
      local w = 1 + (x - 1) / 4
      local n = w:numel()
      local sum = (math.pi * head(w, 1)):sin():square():sum()
      local last = tail(w, 1)
      sum = sum + ((last - 1) ^ 2 *
                   (1 + (2 * math.pi * last):sin() ^ 2)):sum()
      if n == 1 then return sum end
      local v = head(w, n - 1)
      return sum + ((v - 1) ^ 2 *
                    (1 + 10 * (math.pi * v + 1):sin() ^ 2)):sum()
    end })

  simple("zakharov", { at = 0, start = 2, domain = { -5, 10 },
    f = function(x)
      local s = (0.5 * places(x:numel()) * x):sum()
      return (x * x):sum() + s ^ 2 + s ^ 4
    end })

  -- Powell 1962: the Hessian at the minimum is singular.
  define("powell", { "dim:N" }, function(o, what)
    local n = dim_of(o, 4, 4, what)
    if n % 4 ~= 0 then
      fail("%s: dim must be a multiple of 4, not %d", what, n)
    end
    local start = {}
    for i = 1, n do start[i] = ({ 3, -1, 0, 1 })[(i - 1) % 4 + 1] end
    local at = copies(n, 0)
    at.degenerate = true
    return { start = tensor(start), domain = box(n, -4, 5), optimum = 0,
      minima = point.list { at }, f = function(x)
        local y = x:reshape(-1, 4)
        local function col(i) return y:narrow(2, i, 1) end
        return ((col(1) + 10 * col(2)) ^ 2 + 5 * (col(3) - col(4)) ^ 2 +
                (col(2) - 2 * col(3)) ^ 4 +
                10 * (col(1) - col(4)) ^ 4):sum()
      end }
  end)

  -- Rosenbrock 1960; from four variables on there is a second minimum.
  define("rosenbrock", { "dim:N" }, function(o, what)
    local n = dim_of(o, 2, 2, what)
    local start = {}
    for i = 1, n do start[i] = i % 2 == 1 and -1.2 or 1 end
    return { start = tensor(start), domain = box(n, -2.048, 2.048),
      optimum = 0, minima = point.list { copies(n, 1) }, f = function(x)
        local a, b = head(x, n - 1), tail(x, n - 1)
        return (100 * (b - a * a) ^ 2 + (1 - a) ^ 2):sum()
      end }
  end)

  define("dixon_price", { "dim:N" }, function(o, what)
    local n = dim_of(o, 2, 2, what)
    local at = {}
    for i = 1, n do at[i] = 2 ^ -((2 ^ i - 2) / 2 ^ i) end
    return { start = tensor(copies(n, 2)), domain = box(n, -10, 10),
      optimum = 0, minima = point.list { at }, f = function(x)
        local a, b = head(x, n - 1), tail(x, n - 1)
        return ((head(x, 1) - 1) ^ 2):sum() +
               (tail(places(n), n - 1) * (2 * b * b - a) ^ 2):sum()
      end }
  end)

  define("trid", { "dim:N" }, function(o, what)
    local n = dim_of(o, 6, 2, what)
    local at = { loss = -n * (n + 4) * (n - 1) / 6 }
    for i = 1, n do at[i] = i * (n + 1 - i) end
    return { start = tensor(copies(n, 0)), domain = box(n, -n * n, n * n),
      optimum = at.loss, minima = point.list { at }, f = function(x)
        return ((x - 1) ^ 2):sum() - (head(x, n - 1) * tail(x, n - 1)):sum()
      end }
  end)

  -- All critical points of functions that are sums over coordinates, up to
  -- 3^4 of them.
  local function separable(name, row)
    define(name, { "dim:N" }, function(o, what)
      local n = dim_of(o, 2, 1, what)
      local p = { f = row.f, start = tensor(copies(n, row.start)),
                  domain = box(n, table.unpack(row.domain)) }
      if n <= 4 then
        p.minima, p.saddles, p.maxima = point.products(n, row.critical())
      else
        local best = row.critical()[1]
        local at = copies(n, best[1])
        at.loss = n * best[2]
        p.minima = point.list { at }
      end
      p.optimum = p.minima[1].loss
      return p
    end)
  end

  separable("styblinski_tang", { start = 0, domain = { -5, 5 },
    f = function(x) return (x ^ 4 - 16 * x * x + 5 * x):sum() / 2 end,
    critical = function()
      local function slope(x) return 4 * x ^ 3 - 32 * x + 5 end
      local function at(a, b, down)
        local x = point.root(slope, a, b)
        return { x, (x ^ 4 - 16 * x ^ 2 + 5 * x) / 2, down }
      end
      return { at(-5, -1), at(-1, 1, true), at(1, 5) }
    end })

  separable("double_well", { start = 0.1, domain = { -2, 2 },
    f = function(x) return ((x * x - 1) ^ 2):sum() / 4 end,
    critical = function()
      return { { -1, 0 }, { 0, 0.25, true }, { 1, 0 } }
    end })

  define("schwefel", { "dim:N" }, function(o, what)
    local n = dim_of(o, 2, 1, what)
    local shift = 418.9828872724338
    local x = point.root(function(v)
      local r = v ^ 0.5
      return math.sin(r) + r / 2 * math.cos(r)
    end, 415, 425)
    local at = copies(n, x)
    at.loss = n * (shift - x * math.sin(x ^ 0.5))
    return { start = tensor(copies(n, 350)), domain = box(n, -500, 500),
      optimum = at.loss, minima = point.list { at }, f = function(v)
        return shift * n - (v * v:abs():sqrt():sin()):sum()
      end }
  end)

  -- Steepness m = 10; the minimum, coordinate by coordinate.
  define("michalewicz", { "dim:N" }, function(o, what)
    local n, m = dim_of(o, 2, 1, what), 10
    local at = { loss = 0 }
    for i = 1, n do
      local function u(x)
        return -math.sin(x) * math.sin(i * x * x / math.pi) ^ (2 * m)
      end
      local function slope(x)
        local s = i * x * x / math.pi
        return math.cos(x) * math.sin(s) +
               4 * m * i * x / math.pi * math.sin(x) * math.cos(s)
      end
      local best, h = nil, math.pi / (1000 * n)
      for k = 1, 1000 * n do
        if not best or u(k * h) < u(best) then best = k * h end
      end
      at[i] = point.root(slope, best - h, best + h)
      at.loss = at.loss + u(at[i])
    end
    return { start = tensor(copies(n, 2)), domain = box(n, 0, math.pi),
      optimum = at.loss, minima = point.list { at }, f = function(x)
        local s = (places(n) * x * x / math.pi):sin()
        return -(x:sin() * s ^ (2 * m)):sum()
      end }
  end)

  -- (x - x0)' Q diag(eigenvalues) Q' (x - x0) / 2, a random rotation Q and
  -- minimum x0, curvatures from 1 to `condition` in equal ratios; it starts
  -- one away along each eigenvector.
  define("quadratic", { "dim:N", "condition:F", "seed:I" }, function(o, what)
    local n, condition = o.dim or 10, o.condition or 100
    if condition < 1 then
      fail("%s: condition must be at least 1, not %s", what, condition)
    end
    local random = { dtype = "f64", generator = sd.generator(o.seed or 1) }
    local Q = point.rotation(n, random)
    local x0 = sd.randn(n, random)
    local values = condition ^ sd.linspace(0, 1, n, f64)
    if n == 1 then values = tensor { condition } end
    local H = sd.eval((Q * values):matmul(Q:T()))
    return { start = sd.eval(x0 + Q:sum(2)), domain = box(n, -5, 5),
      optimum = 0, eigenvalues = sd.eval(values), condition = condition,
      minima = { { at = sd.eval(x0), loss = 0, index = 0 } },
      f = function(x)
        local d = x - x0
        return d:matmul(H):dot(d) / 2
      end }
  end)

  -- Half the squares of all coordinates but the last `index`, less those; it
  -- starts a millionth from the ridge.
  define("saddle", { "dim:N", "index:N" }, function(o, what)
    local n, down = dim_of(o, 2, 2, what), o.index or 1
    if down >= n then
      fail("%s: index must be below dim, not %d and %d", what, down, n)
    end
    local signs, start, at = copies(n, 1), copies(n, 1), copies(n, 0)
    for i = n - down + 1, n do signs[i], start[i] = -1, 1e-6 end
    local s = tensor(signs)
    return { start = tensor(start), domain = box(n, -2, 2),
      eigenvalues = s, saddles = point.list({ at }, down),
      f = function(x) return (s * x * x):sum() / 2 end }
  end)
end
