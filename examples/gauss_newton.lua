-- How does the spectrum change in training, and when is the Hessian its
-- Gauss-Newton part? The rest of it, sum_i r_i H_i, shrinks with the residuals
-- (Sagun et al. 2017, Ghorbani et al. 2019): at a fitted network both are the
-- same. A few seconds.
local quick = arg and arg[1] == "--quick"
local o = { dtype = "f64", generator = sd.generator(1) }
local x = sd.randn(100, 2, o)
local y = sd.eval(x:narrow(2, 1, 1):sin() * x:narrow(2, 2, 1):cos())
local net = sd.nn.mlp { 2, 16, 16, 1, activation = "tanh" }
local function model(p, a) return (net(p, a)) end
local function loss(p, a, b) return sd.mse(model(p, a), b) end
local params = net:init { seed = 1, dtype = "f64" }
local step = sd.optim.adam { lr = 3e-3 }:compile(loss)

local function study(title, p)
  local H = sd.curvature.hessian(loss, p, x, y)
  local G = sd.curvature.ggn(model, sd.mse, p, x, y)
  local norm, error = H:frobenius { samples = 64 }
  local rest = (H - G):frobenius { samples = 64 }
  local inertia = H:inertia {}
  local e, g = H:eigs { k = 3 }, G:eigs { k = 3 }
  print(("\n%s: loss %.2g"):format(title, loss(p, x, y):item()))
  print(("|H| = %.3f +- %.3f, |H - G| / |H| = %.4f"):format(norm, error,
                                                         rest / norm))
  print(("eigenvalues: %d negative, %d zero, %d positive"):format(
    inertia.negative, inertia.zero, inertia.positive))
  print(("largest of H: %.4f, %.4f, %.4f"):format(
    table.unpack(e.values:totable())))
  print(("largest of G: %.4f, %.4f, %.4f"):format(
    table.unpack(g.values:totable())))
  local d = H:density { steps = 60, probes = 8 }
  local function share(f) return 100 * (d:mean(f)) end
  print(("density: %.0f %% below -1e-3, %.0f %% within, %.0f %% above"):format(
    share(function(w) return w:lt(-1e-3):to "f64" end),
    share(function(w) return w:abs():le(1e-3):to "f64" end),
    share(function(w) return w:gt(1e-3):to "f64" end)))
  return rest / norm
end

local before = study("at the start", params)
for _ = 1, quick and 200 or 3000 do params = step(params, x, y) end
local after = study("after training", params)
print(("\n|H - G| / |H| fell from %.3f to %.4f (expected: towards 0)"):format(
  before, after))
