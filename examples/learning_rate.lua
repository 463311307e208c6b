-- Too small, right, too large: what does the learning rate decide? On a
-- quadratic with curvatures from 1 to 10 theory knows: a step leaves
-- |1 - rate * curvature| of each direction, so the best rate is 2 / (1 + 10),
-- and above 2 / 10 it diverges. On a network the range test of Smith (2017)
-- finds a good one. A few seconds; writes out/learning_rate.png and
-- out/lr_range.png.
local quick = arg and arg[1] == "--quick"
local p = sd.problems.quadratic { dim = 10, condition = 10 }

local curves = { xlabel = "step", ylabel = "loss", logy = true,
                 yrange = { 1e-9, 1e4 }, legend = "outside",
                 title = "One quadratic, five learning rates" }
print "rate                    factor a step: measured   theory"
for _, case in ipairs { { 0.002, "too small" }, { 0.02, "small" },
                        { 2 / 11, "the best" }, { 0.199, "at the edge" },
                        { 0.21, "too large" } } do
  local lr, words = table.unpack(case)
  local x, step = p.start, sd.optim.sgd { lr = lr }:compile(p.f)
  local y, far, before = {}, 1, nil
  for t = 1, 3000 do
    if t > 100 and (far < 1e-9 or far > 1e9) then break end
    local loss
    x, loss = step(x)
    before, far = far, (x - p.minima[1].at):norm():item()
    if t <= 100 then y[t] = math.max(loss:item(), 1e-30) end
  end
  local theory = math.max(math.abs(1 - lr), math.abs(1 - 10 * lr))
  print(("%.4f %-14s %22.4f %9.4f"):format(lr, words, far / before, theory))
  curves[#curves + 1] = { y = y, name = ("%.3g, %s"):format(lr, words) }
end

-- On drawn digits: the range test, then training at, below and above it.
local d = sd.problems.digits { n = quick and 100 or 1000, hidden = 32 }
local function range(rule)
  return sd.dynamics.lr_range { loss = d.f, params = d.start, batch = d.batch,
    optimizer = rule, from = 1e-4, to = 100, steps = quick and 30 or 200 }
end
local test = range(sd.optim.sgd {})
print("\ndigits, descent: " .. tostring(test))
local at = test.suggestion or 0.1
print "rate       loss after training"
local losses = {}
for i, lr in ipairs { at / 100, at, 30 * at } do
  local x, step = d.start, sd.optim.sgd { lr = lr }:compile(d.f)
  for t = 1, quick and 20 or 300 do x = step(x, d.batch(t)) end
  losses[i] = d.f(x):item()
  print(("%.2e %12.4f"):format(lr, losses[i]))
end
print(losses[2] < losses[1] and not (losses[2] >= losses[3]) and
      "the suggested rate is best of the three (expected)" or
      "the suggested rate is not the best of the three")
if not quick then
  sd.plot.lines(curves):save "out/learning_rate.png"
  test:plot "out/lr_range.png"
end
