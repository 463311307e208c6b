-- How much faster is momentum, and which of its two forms? The heavy ball,
-- v <- beta v + g (PyTorch's), and the exponential average, v <- beta v + (1 -
-- beta) g: at the rate lr the average is the heavy ball at lr (1 - beta).
-- Counts of steps on a quadratic with the best lr and beta (Polyak 1964, Goh
-- 2017), and out of a saddle, where the average at the same rate is slower than
-- no momentum at all. A second.
local quick = arg and arg[1] == "--quick"
local optim, f64 = sd.optim, { dtype = "f64" }

-- Steps until |x| has fallen to 1e-8 of what it was.
local function steps(opt, f, n)
  local x, count = sd.ones(n, f64), 0
  local limit, step = 1e-8 * math.sqrt(n), opt:compile(f)
  repeat x, count = step(x), count + 1 until x:norm() <= limit
  return count
end

local function row(name, measured, expected)
  local a, b = table.concat(measured, " / "), table.concat(expected, " / ")
  print(("  %-34s %-20s %-20s %s"):format(name, a, b, a == b and "" or "!"))
end

local kappas = quick and { 10 } or { 10, 100, 1000 }
print(("steps for condition %s: measured, expected"):format(
  table.concat(kappas, " / ")))
for _, case in ipairs {
  { "gradient descent, lr = 2 / (1 + k)", { 84, 841, 8406 }, function(k)
    return optim.gd { lr = 2 / (1 + k) }
  end },
  { "heavy ball, best lr and beta", { 32, 109, 364 }, function(_, lr, beta)
    return optim.sgd { lr = lr, momentum = beta }
  end },
  { "average, lr / (1 - beta)", { 32, 109, 364 }, function(_, lr, beta)
    return optim.momentum { lr = lr / (1 - beta), beta = beta }
  end },
  { "average, the same lr", { 54, 455, 4254 }, function(_, lr, beta)
    return optim.momentum { lr = lr, beta = beta }
  end },
} do
  local counts = {}
  for i, k in ipairs(kappas) do
    local s, root = sd.linspace(1, k, 50, f64), math.sqrt(k)
    local lr, beta = (2 / (1 + root)) ^ 2, ((root - 1) / (root + 1)) ^ 2
    counts[i] = steps(case[3](k, lr, beta), function(x)
      return (s * x * x):sum() / 2
    end, 50)
  end
  row(case[1], counts, table.move(case[2], 1, #kappas, 1, {}))
end

-- Out of the saddle of (x^2 - y^2) / 2 from y = 1e-6, until |y| > 1.
local rates = { 0.01, 0.1 }
print "\nsteps out of a saddle for lr = 0.01 / 0.1: measured, expected"
for _, case in ipairs {
  { "gradient descent", { 1389, 145 }, optim.gd, {} },
  { "heavy ball, beta = 0.9", { 226, 52 }, optim.sgd, { momentum = 0.9 } },
  { "Nesterov", { 216, 46 }, optim.sgd, { momentum = 0.9, nesterov = true } },
  { "average, beta = 0.9", { 1511, 226 }, optim.momentum, {} },
  { "Adam", { 77, 11 }, optim.adam, {} },
} do
  local counts = {}
  for i, lr in ipairs(rates) do
    case[4].lr = lr
    local p, n = sd.tensor({ 1, 1e-6 }, f64), 0
    local step = case[3](case[4]):compile(function(w)
      return (w[1] ^ 2 - w[2] ^ 2) / 2
    end)
    repeat p, n = step(p), n + 1 until p[2]:abs() > 1
    counts[i] = n
  end
  row(case[1], counts, case[2])
end
