-- Does momentum help? On a valley, much: its best rate has the root of the
-- condition number (Polyak 1964, Goh 2017). At a saddle it depends on what one
-- means by momentum: the heavy ball leaves it sooner than descent, the
-- exponential average of gradients at the same rate later. The two are one
-- rule under two names of the learning rate. Seconds; writes out/momentum.png.
local quick = arg and arg[1] == "--quick"
local f64 = { dtype = "f64" }
local average = sd.optim.rule { name = "average", tidy = true,
  defaults = { lr = 0.1, momentum = 0.9 },
  init = function(p) return { v = sd.zeros_like(p) } end,
  update = function(p, g, s, h)
    s.v = h.momentum * s.v + (1 - h.momentum) * g
    return p - h.lr * s.v
  end }

-- Steps until done(x), at most 20,000.
local function count(opt, f, x, done)
  local step = opt:compile(f)
  for t = 1, 20000 do
    x = step(x)
    if done(x) then return t end
  end
  return 20000
end

print "steps to 1e-8 of the distance on 50 curvatures from 1 to kappa"
print "kappa   descent       heavy ball   average, lr / (1-b)   average, lr"
local expected = { [10] = { 84, 32, 32, 54 }, [100] = { 841, 109, 109, 455 },
                   [1000] = { 8406, 364, 364, 4254 } }
for _, kappa in ipairs(quick and { 10 } or { 10, 100, 1000 }) do
  local c, root = sd.linspace(1, kappa, 50, f64), math.sqrt(kappa)
  local function f(x) return (c * x * x):sum() / 2 end
  local lr = (2 / (1 + root)) ^ 2
  local b = ((root - 1) / (root + 1)) ^ 2
  local best = { lr = lr, momentum = b }
  local start = sd.ones(50, f64)
  local size = start:norm():item()
  local function done(x) return x:norm():item() <= 1e-8 * size end
  local line = ("%5d"):format(kappa)
  for i, opt in ipairs {
    sd.optim.sgd { lr = 2 / (1 + kappa) }, sd.optim.sgd(best),
    average(sd.optim.convert("heavy_ball", "average", best)),
    average(best) } do
    line = line .. ("  %6d (%4d)"):format(count(opt, f, start, done),
                                        expected[kappa][i])
  end
  print(line .. (kappa == 10 and "   (expected)" or ""))
end

print "\nsteps to leave x^2/2 - y^2/2 from y = 1e-6: at rate 0.01   at 0.1"
local function saddle(p) return (p[1] ^ 2 - p[2] ^ 2) / 2 end
for _, row in ipairs {
  { "descent", sd.optim.sgd, {}, 1389, 145 },
  { "heavy ball", sd.optim.sgd, { momentum = 0.9 }, 226, 52 },
  { "Nesterov", sd.optim.sgd, { momentum = 0.9, nesterov = true }, 216, 46 },
  { "average", average, { momentum = 0.9 }, 1511, 226 },
  { "Adam", sd.optim.adam, {}, 77, 11 } } do
  local name, rule, o, want1, want2 = table.unpack(row)
  local function leave(lr)
    o.lr = lr
    return count(rule(o), saddle, sd.tensor({ 1, 1e-6 }, f64), function(p)
      return math.abs(p[2]:item()) > 1
    end)
  end
  print(("%-12s %32d (%d) %6d (%d)"):format(name, leave(0.01), want1,
                                           leave(0.1), want2))
end

print "\nwhen do they diverge? (expected 2, 3.8, 1.3571, 38)"
for _, opt in ipairs { sd.optim.sgd { lr = 0.1 },
                       sd.optim.sgd { lr = 0.1, momentum = 0.9 },
                       sd.optim.sgd { lr = 0.1, momentum = 0.9,
                                      nesterov = true }, average {} } do
  print(sd.optim.stability(opt))
end
if not quick then
  sd.optim.stability(sd.optim.sgd { lr = 0.1 }, { points = 200,
    vary = { name = "momentum", values = { 0, 0.5, 0.9 } } })
    :plot "out/momentum.png"
end
