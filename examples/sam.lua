-- Does sharpness-aware minimization end in flatter minima? SAM (Foret et al.
-- 2021) takes the gradient at the worst point within rho, so sharp minima push
-- it out. Here the largest eigenvalue of the Hessian at the end of SGD and of
-- SAM, from the same starts and batches, on two noisy classes. Five seconds.
local quick = arg and arg[1] == "--quick"
local seeds, steps = quick and 1 or 5, quick and 60 or 10000
local optim = sd.optim

local data = sd.data.moons { n = 300, noise = 0.3, seed = 1 }
local test = sd.data.moons { n = 2000, noise = 0.3, seed = 2 }
local net = sd.nn.mlp { 2, 32, 32, 2, activation = "tanh" }
local function loss(p, x, y) return sd.cross_entropy(net(p, x), y) end
local function accuracy(p)
  return net(p, test.x):argmax(2):eq(test.y):to("f32"):mean():item()
end

local function train(opt, seed)
  local p, step, t = net:init { seed = seed }, opt:compile(loss), 0
  while t < steps do
    for _, batch in sd.data.batches(data, { size = 30, seed = seed + t }) do
      p, t = step(p, batch.x, batch.y), t + 1
    end
  end
  local H = sd.curvature.hessian(loss, p, data.x, data.y)
  return H:eigs { k = 1, which = "largest", tol = 1e-2 }.values:item(),
         loss(p, data.x, data.y):item(), accuracy(p)
end

print "seed  rule   largest eigenvalue   training loss   test accuracy"
local flatter, ratio = 0, 0
for seed = 1, seeds do
  local sharp = {}
  for i, opt in ipairs {
    optim.sgd { lr = 0.1, momentum = 0.9 },
    optim.sam { base = optim.sgd { lr = 0.1, momentum = 0.9 }, rho = 0.2 },
  } do
    local l, fit, right = train(opt, seed)
    sharp[i] = l
    print(("%3d   %-5s  %12.2f         %12.4f   %12.3f"):format(
      seed, i == 1 and "SGD" or "SAM", l, fit, right))
  end
  if sharp[2] < sharp[1] then flatter = flatter + 1 end
  ratio = ratio + math.log(sharp[2] / sharp[1]) / seeds
end
print(("SAM ends flatter in %d of %d runs (expected: all), its eigenvalue " ..
       "%.2f of SGD's"):format(flatter, seeds, math.exp(ratio)))
