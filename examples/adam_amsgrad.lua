-- Does Adam find the minimum of a convex function? Not here (Reddi, Kale and
-- Kumar 2018): on [-1, 1] the loss of step t is c x with a large c once in a
-- while and a small negative one otherwise. The best x is -1, but Adam divides
-- the rare large slope by its own size, forgets it, and ends at +1. AMSGrad,
-- which keeps the largest average of squares, finds -1. Six seconds.
local quick = arg and arg[1] == "--quick"
local optim = sd.optim

-- A part that comes after a rule and keeps what it made within [-1, 1].
local project = optim.rule {
  name = "project", tidy = true,
  after = function(q) return sd.clamp(q, -1, 1) end,
}

local function run(o, slope, steps)
  local adam = optim.adam {
    lr = function(t) return o.lr / math.sqrt(t) end, beta1 = o.beta1,
    beta2 = o.beta2, amsgrad = o.amsgrad, eps = 1e-300 }
  local step = optim.chain { adam, project() }:compile(function(x, c)
    return c * x
  end)
  local function scalar(v) return sd.tensor(v, { dtype = "f64" }) end
  local rare, often = scalar(slope.rare), scalar(slope.often)
  local x = scalar(0.0)
  local sum, best = 0, 0
  for t = 1, steps do
    local c = t % slope.period == 1 and rare or often
    local loss
    x, loss = step(x, c)
    sum = sum + loss:item()
    best = best - c:item() -- the loss at x = -1
  end
  return x:item(), (sum - best) / steps
end

print "problem                       rule      x at the end   regret / steps"
for _, p in ipairs {
  { name = "4, -1, -1 ..", slope = { rare = 4, often = -1, period = 3 },
    lr = 0.1, beta1 = 0, beta2 = 1 / 17, steps = quick and 3000 or 100000,
    expected = { "+0.9997, 1.333", "-1, below 0.015" } },
  { name = "1010, then 100 times -10", slope = { rare = 1010, often = -10,
    period = 101 }, lr = 0.5, beta1 = 0.9, beta2 = 0.99,
    steps = quick and 3030 or 1000000,
    expected = { "+1", "-0.997" } },
} do
  for i, amsgrad in ipairs { false, true } do
    p.amsgrad = amsgrad
    local x, regret = run(p, p.slope, p.steps)
    print(("%-28s  %-8s  %+.5f       %8.4f    expected %s"):format(
      p.name, amsgrad and "AMSGrad" or "Adam", x, regret, p.expected[i]))
  end
end
