-- How many outliers has the Hessian of a classifier of C classes? C - 1, the
-- papers say (Sagun et al. 2017, Papyan 2019), and Papyan says why: they are
-- the class means of the Gauss-Newton matrix. Takes a few seconds; with
-- --data DIR (of MNIST's files) also an MNIST classifier, in half a minute.
local quick = arg and arg[1] == "--quick"
local folder = arg and arg[1] == "--data" and arg[2]

-- C Gaussian blobs in 20 dimensions, 60 points each.
local function blobs(classes, seed)
  local o = { dtype = "f64", generator = sd.generator(seed) }
  local centres = sd.randn(classes, 20, o)
  local y = sd.arange(0, 60 * classes - 1) % classes + 1
  local x = centres:index_select(1, y) + 0.5 * sd.randn(60 * classes, 20, o)
  return x / math.sqrt(20), y
end

-- Behind which of the largest eigenvalues is the widest gap, and how wide.
local function gap(values)
  local at, most = 0, 0
  for i = 1, math.min(14, #values - 1) do
    local ratio = values[i] / math.max(values[i + 1], 1e-12)
    if ratio > most then at, most = i, ratio end
  end
  return at, most
end

local function descend(f, params, steps)
  local step = sd.optim.sgd { lr = 0.5 }:compile(f)
  for _ = 1, steps do params = step(params) end
  return params
end

print "classes   expected   at the start      after 300 steps"
for _, classes in ipairs(quick and { 3 } or { 2, 3, 4, 6, 8, 10 }) do
  local x, y = blobs(classes, 1)
  local net = sd.nn.mlp { 20, 16, classes, activation = "sigmoid",
                          init = sd.nn.init.xavier_normal() }
  local function loss(p) return sd.cross_entropy(net(p, x), y) end
  local params, line = net:init { seed = 1, dtype = "f64" }, ""
  for _ = 1, 2 do
    local D = sd.curvature.hessian(loss, params):dense()
    local at, ratio = gap((sd.linalg.eigh(D)):flip(1):totable())
    line = line .. ("   %2d (%5.1f times)"):format(at, ratio)
    params = descend(loss, params, 300)
  end
  print(("%5d %10d     %s"):format(classes, classes - 1, line))
end

-- Where they come from, in the last of these nets.
local x, y = blobs(4, 2)
local net = sd.nn.mlp { 20, 16, 4, activation = "sigmoid" }
local function model(p, a) return (net(p, a)) end
local function loss(p) return sd.cross_entropy(model(p, x), y) end
local params = descend(loss, net:init { seed = 2, dtype = "f64" }, 300)
local c = sd.curvature.classes(model, params, x, y)
local H = sd.curvature.hessian(loss, params)
local e = H:eigs { k = 3 }
print(("\n4 classes: the class means hold %.0f %% of the Gauss-Newton trace")
  :format(100 * c.class / (c.trace - c.same)))
local row = ("%.4f  "):rep(3)
print("largest eigenvalues of the Hessian     " ..
      row:format(table.unpack(e.values:totable())))
print("of the class means                     " ..
      row:format(table.unpack(c.class_values:totable())))
print(("overlap of their subspaces             %.3f (random: %.3f)"):format(
  sd.curvature.overlap(e, c.class_means:T()), 4 / H.n))
x, y = x:narrow(1, 1, 16), y:narrow(1, 1, 16)
print(("share of a batch's gradient in the top 3 %.3f (random: %.3f)"):format(
  sd.curvature.overlap(e, sd.grad(loss)(params)), 3 / H.n))

if folder then
  local both, n = sd.data.mnist(folder), 2000
  local mnist = both.train or both.test
  x, y = mnist.x:narrow(1, 1, n):reshape(n, -1), mnist.y:narrow(1, 1, n)
  net = sd.nn.mlp { 784, 32, 10 }
  params = net:init { seed = 1 }
  local step = sd.optim.adam { lr = 3e-3 }:compile(loss)
  for _ = 1, 60 do params = step(params) end
  local top = sd.curvature.hessian(loss, params):eigs { k = 12, tol = 1e-3 }
  print(("\nMNIST, 10 classes: widest gap after eigenvalue %d (%.1f times; " ..
         "expected: 9)"):format(gap(top.values:totable())))
  print(top.values)
end
