-- Test problems: what is said of them holds.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local problems = sd.problems

-- The number of eigenvalues below -zero of the Hessian at a point.
local function index_at(f, at)
  local H = sd.curvature.hessian(f, at):symmetric()
  local w = (sd.linalg.eigh(H)):totable()
  local most, n = math.max(math.abs(w[1]), math.abs(w[#w])), 0
  for _, v in ipairs(w) do
    if v < -1e-9 * most then n = n + 1 end
  end
  return n, most, math.abs(w[1]) <= 1e-9 * most or w[#w] == 0
end

local function size(t) return math.sqrt(sd.tree.dot(t, t):item()) end

-- A point without derivative is a minimum when no point around is lower.
local function lowest_around(f, at)
  local here_is = f(at):item()
  local random = { dtype = "f64", generator = sd.generator(1) }
  for _ = 1, 50 do
    local d = 1e-3 * sd.randn(at.shape, random)
    if f(at + d):item() < here_is then return false end
  end
  return true
end

local function check_point(p, kind, i, c)
  local name = ("%s, %s %d"):format(p.name, kind, i)
  local loss = p.f(c.at)
  tap.near(loss:item(), c.loss, 1e-9, name .. ": its loss")
  if c.kink then
    tap.ok(lowest_around(p.f, c.at), name .. ": nothing lower around")
    return
  elseif c.boundary then
    return
  end
  local g = sd.grad(p.f)(c.at)
  local index, most = index_at(p.f, c.at)
  local scale = math.max(most, 1e-3) * math.max(1, size(c.at))
  if not tap.ok(size(g) <= 1e-9 * scale, name .. ": no gradient") then
    print("# |g|", size(g), "scale", scale)
  end
  tap.is(index, c.index, name .. ": its index")
end

local function check(p)
  for _, kind in ipairs { "minima", "saddles", "maxima" } do
    for i, c in ipairs(p[kind] or {}) do check_point(p, kind, i, c) end
  end
  local loss = p.f(p.start):item()
  tap.ok(loss == loss and (not p.optimum or loss > p.optimum),
         p.name .. ": starts above its optimum")
  if p.batch then
    local one, again = p.f(p.start, p.batch(3)), p.f(p.start, p.batch(3))
    tap.is(one:item(), again:item(), p.name .. ": part 3 is part 3")
  end
  if p.domain then
    local inside = true
    for i, v in ipairs(p.start:totable()) do
      inside = inside and v >= p.domain[i][1] and v <= p.domain[i][2]
    end
    tap.ok(inside and #p.domain == p.dim, p.name .. ": starts inside")
  end
end

local names = problems.list()
tap.ok(#names >= 35, ("%d problems"):format(#names))
for _, name in ipairs(names) do check(problems[name]) end

for name, o in pairs {
  rosenbrock = { dim = 7 }, levy = { dim = 5 }, trid = { dim = 10 },
  michalewicz = { dim = 5 }, powell = { dim = 8 }, griewank = { dim = 6 },
  styblinski_tang = { dim = 6 }, double_well = { dim = 3 },
  zakharov = { dim = 4 }, dixon_price = { dim = 5 }, sphere = { dim = 1 },
  quadratic = { dim = 30, condition = 1e4, seed = 7 },
  saddle = { dim = 5, index = 3 }, deep_linear = { hidden = 3 },
  matrix_factorization = { rows = 5, columns = 7, rank = 3 },
} do
  local p = problems[name](o)
  if o.dim then tap.is(p.dim, o.dim, name .. " of " .. o.dim) end
  check(p)
end

-- Values from the literature.
tap.near(problems.michalewicz { dim = 5 }.optimum, -4.687658, 1e-6,
         "Michalewicz in five dimensions")
tap.near(problems.styblinski_tang.optimum, 2 * -39.16616570377142, 1e-13,
         "Styblinski and Tang")
tap.near(problems.mccormick.optimum, -1.913222954981037, 1e-14, "McCormick")
tap.near(problems.branin.optimum, 0.397887357729738, 1e-14, "Branin")
tap.near(problems.six_hump_camel.optimum, -1.031628453489877, 1e-14,
         "six-hump camel")
tap.is(problems.goldstein_price.optimum, 3.0, "Goldstein and Price")
local levels = {}
for _, c in ipairs(problems.deep_linear.saddles) do
  levels[("%.3f"):format(c.loss)] = c.index
end
tap.is({ levels["1.250"], levels["2.125"], levels["3.625"],
         levels["3.750"] }, { 1, 2, 6, 8 }, "levels of a deep linear net")
local w = problems.quadratic { dim = 5, condition = 16 }.eigenvalues
tap.near(w, { 1, 2, 4, 8, 16 }, 1e-13, "a quadratic's spectrum")

-- The sweep finds what is listed, and nothing else.
for _, name in ipairs { "himmelblau", "three_hump_camel" } do
  local p, found = problems[name], {}
  for _, c in ipairs(sd.critical.sweep(p.f, p.domain, { n = 11 })) do
    found[c.kind] = (found[c.kind] or 0) + 1
  end
  tap.is({ found.minimum, found.saddle, found.maximum or 0 },
         { #p.minima, #p.saddles, #(p.maxima or {}) },
         name .. ": all critical points")
end

-- Batches average to the whole.
do
  local p = problems.noisy_quadratic { noise = 2 }
  local sum, sq = 0, 0
  for t = 1, 400 do
    local g = p.batch(t)
    sum, sq = sum + g, sq + g * g
  end
  local spread = (sq / 400 / (4 * p.eigenvalues)):mean():item()
  tap.ok(math.abs(spread - 1) < 0.1, "noise of the stated variance")
  tap.ok((sum / 400):abs():max():item() < 1, "and without a drift")
  local c = problems.adam_counterexample
  local total = 0
  for t = 1, 3 do total = total + c.f(c.start + 1, c.batch(t)):item() end
  tap.near(total / 3, c.f(c.start + 1):item(), 1e-15,
           "the counterexample's mean")
  local d = problems.spirals { n = 60, batch = 60 }
  tap.is(d.batch, nil, "a batch of all is no batch")
  tap.ok(d.accuracy(d.start) <= 1, "accuracy")
end

local function bad(f, pattern, name)
  tap.throws(f, "problems_test.lua:%d+: .*" .. pattern, name)
end
bad(function() return problems.rosenbrok end,
    "sd.problems has no 'rosenbrok' %(did you mean 'rosenbrock'", "a name")
bad(function() problems.rosenbrock { dim = 1 } end,
    "problems.rosenbrock: dim must be at least 2, not 1", "too few")
bad(function() problems.beale { dim = 3 } end,
    "problems.beale: unknown option 'dim'", "a plane has two")
bad(function() problems.powell { dim = 6 } end, "multiple of 4, not 6", "six")
bad(function() problems.quadratic { condition = 0.5 } end,
    "condition must be at least 1", "a condition below 1")
bad(function() problems.list "planes" end, "no kind 'planes'", "a kind")
bad(function() return problems.beale.starts end,
    "the problem has no 'starts'.*start", "a field")
bad(function() problems.saddle { index = 2 } end, "index must be below dim",
    "no saddle")
bad(function() problems.deep_linear { s = { 1, 2 } } end, "falling list",
    "singular values that rise")

tap.done()
