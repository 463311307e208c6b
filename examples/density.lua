-- What does the whole spectrum of a classifier's Hessian look like, before and
-- after training? Nearly all eigenvalues lie at zero; a bulk remains, nearly
-- symmetric at the start; after training C - 1 outliers stand apart and little
-- is left below zero (Sagun et al. 2017, Ghorbani et al. 2019). Drawn digits;
-- with --data DIR MNIST. Ten seconds; draws out/density.png.
local quick = arg and arg[1] == "--quick"
local folder = arg and arg[1] == "--data" and arg[2]
local n = quick and 100 or 2000
local both = folder and sd.data.mnist(folder)
local all = both and (both.train or both.test) or
            sd.data.digits { n = n, seed = 1 }
local x = sd.eval(all.x:narrow(1, 1, n):reshape(n, -1))
local y = all.y:narrow(1, 1, n)

local net = sd.nn.mlp { 784, 32, 10, activation = "tanh" }
local function loss(p, a, b) return sd.cross_entropy(net(p, a), b) end
local params = net:init { seed = 1 }

-- Stochastic Lanczos quadrature: 90 steps from each of 8 random vectors.
local function study(name, p)
  local H = sd.curvature.hessian(loss, p, x, y)
  local d = H:density { steps = quick and 20 or 90, probes = 8 }
  local e = H:eigs { k = 10, tol = 1e-3 }
  local low = H:eigs { k = 1, which = "smallest", tol = 1e-3 }.values:item()
  local w = e.values:totable()
  local gap, at = 0, 0
  for i = 3, 9 do
    if w[i] / w[i + 1] > gap then gap, at = w[i] / w[i + 1], i end
  end
  local small = 1e-2 * w[1]
  local near, error = d:mean(function(v) return v:abs():le(small):to "f64" end)
  local trace = d:mean(function(v) return v end) * H.n
  local positive = d:mean(function(v) return sd.relu(v) end) * H.n
  print(("\n%s: loss %.3g"):format(name, loss(p, x, y):item()))
  print(("largest eigenvalue %.3f, smallest %.3f, trace %.2f"):format(
    w[1], low, trace))
  print(("%.2f +- %.2f %% of %d eigenvalues within 1 %% of the largest"):format(
    100 * near, 100 * error, H.n))
  print(("negative part of the trace: %.1f %% of the positive"):format(
    100 * (positive - trace) / positive))
  print(("widest gap among 3 .. 10 after eigenvalue %d (%.1f times)"):format(
    at, gap))
  return { name = name, grid = d.grid, density = d.density },
         (positive - trace) / positive
end

local before, share = study("at the start", params)
local step = sd.optim.adam { lr = 3e-3 }:compile(loss)
for _ = 1, quick and 20 or 60 do params = step(params, x, y) end
local after, left = study("after training", params)
print(("\nthe negative share went from %.0f %% to %.0f %% (expected: down); " ..
       "outliers expected: 9"):format(100 * share, 100 * left))
if not quick then
  sd.plot.density { before, after, xlabel = "eigenvalue",
                    title = "Hessian of a classifier of ten digits" }
    :save "out/density.png"
  print "drawn: out/density.png"
end
