-- Do other optimizers have an edge, too? Each where its own stability ends:
-- Adam where the curvature, divided by its root mean squares, reaches
-- 38 / rate (Cohen et al. 2022); the heavy ball at (2 + 2 b) / rate, Nesterov
-- at (2 + 2 b) / (1 + 2 b) / rate. The thresholds are not looked up but
-- measured on the rules (sd.optim.stability). Twenty seconds.
local quick = arg and arg[1] == "--quick"
local f64 = { dtype = "f64" }
local x = sd.linspace(-1, 1, 20, f64):reshape(20, 1)
local y = sd.eval((5 * x:acos()):cos())

local function loss(p)
  local h = (x:matmul(p.w) + p.b):tanh()
  return ((h:matmul(p.out) - y) ^ 2):mean() / 2
end
local function start(seed)
  local o = { dtype = "f64", generator = sd.generator(seed) }
  local scale = math.sqrt(2 / 101)
  return sd.eval { w = 1.9 * scale * sd.randn(1, 100, o),
                   b = sd.zeros(100, f64),
                   out = scale * sd.randn(100, 1, o) }
end
local function largest(H) return sd.linalg.eigh(H)[{ -1 }]:item() end

-- The curvature that a step sees: D H D with D^2 = 1 / P.
local function preconditioned(opt, p)
  local H = sd.curvature.hessian(loss, p):dense()
  local state, t, v = opt:state(), opt.t, {}
  for i, s in ipairs(state.states) do v[i] = s.v:reshape(-1) end
  local root = (sd.cat(v, 1) / (1 - 0.999 ^ t)):sqrt() + 1e-7
  local D = 1 / ((1 - 0.9 ^ t) * root):sqrt()
  return largest(H * D * D:reshape(-1, 1))
end

local lr, steps = 1e-3, quick and 400 or 30000
local edge = sd.optim.stability(sd.optim.adam { lr = lr }).threshold
print(("Adam, rate %g: measured threshold %.2f / rate (expected 38)"):format(
  lr, edge))
print "  step    loss   preconditioned sharpness over the threshold (mean)"
for seed = 1, quick and 1 or 3 do
  local p = start(seed)
  local opt = sd.optim.adam { lr = lr, eps = 1e-7 }
  local step = opt:compile(loss)
  local quarter, sum = steps // 4, 0
  for t = 1, steps do
    local value
    p, value = step(p)
    -- It swings about the threshold: ten looks in the last tenth of a quarter.
    local left = quarter - 1 - (t - 1) % quarter
    if left < quarter // 10 and left % (quarter // 100) == 0 then
      sum = sum + preconditioned(opt, p) * lr / 38
    end
    if left == 0 then
      print(("%6d %8.1e %10.3f"):format(t, value:item(), sum / 10))
      sum = 0
    end
  end
end
print "expected: within 0.05 of 1 from the second row on\n"

print "rule         threshold: measured   formula   sharpness: peak  over it"
for name, o in pairs { ["heavy ball"] = { lr = 0.04, momentum = 0.9 },
                       Nesterov = { lr = 0.04, momentum = 0.9,
                                    nesterov = true } } do
  local threshold = sd.optim.stability(sd.optim.sgd(o)).threshold
  local p, step = start(1), sd.optim.sgd(o):compile(loss)
  local peak = 0
  for t = 1, quick and 200 or 10000 do
    p = step(p)
    if t % 50 == 0 then
      peak = math.max(peak, (sd.curvature.sharpness(loss, p)))
    end
  end
  local formula = o.nesterov and 3.8 / 2.8 or 3.8
  print(("%-12s %15.4f / rate  %7.4f %16.2f %10.3f"):format(
    name, threshold, formula, peak, peak * o.lr / threshold))
end
print "expected: peaks within 0.12 of 1"
