-- Can Adam walk away from the minimum? Yes: it forgets rare large gradients
-- sooner than many small ones wear them off (Reddi, Kale and Kumar 2018). On
-- [-1, 1], slopes of 4 in one step of three and -1 in the others: the minimum
-- is at -1, Adam goes to 1; AMSGrad, which never forgets the largest, to -1.
-- Ten seconds.
local quick = arg and arg[1] == "--quick"
local steps = quick and 3000 or 100000

local function run(problem, o, rate)
  o.lr = function(t) return rate / math.sqrt(t) end
  local step, x = sd.optim.adam(o):compile(problem.f), problem.start
  local regret = 0
  for t = 1, steps do
    local slope = problem.batch(t)
    local y, loss = step(x, slope)
    x = sd.eval(problem.project(y))
    regret = regret + loss:item() + slope:item() -- beside -1's loss, -slope
  end
  return x[1]:item(), regret / steps
end

print "slopes                        rule          ends at    regret a step"
for _, case in ipairs {
  { sd.problems.adam_counterexample, { beta1 = 0, beta2 = 1 / 17 }, 0.1,
    { "1, 1.33", "-1, below 0.015" } },
  { sd.problems.adam_counterexample { big = 1010, small = 10, period = 101 },
    { beta1 = 0.9, beta2 = 0.99 }, 0.5, { "1", "falling, to -0.997" } } } do
  local problem, betas, rate, expected = table.unpack(case)
  for i, amsgrad in ipairs { false, true } do
    betas.amsgrad, betas.eps = amsgrad, 1e-8
    local x, regret = run(problem, betas, rate)
    print(("%-28s  %-8s %12.5f %14.4f   (expected %s)"):format(
      ("%g, then %g"):format(problem.batch(1):item(),
                             problem.batch(2):item()),
      amsgrad and "AMSGrad" or "Adam", x, regret, expected[i]))
  end
end
