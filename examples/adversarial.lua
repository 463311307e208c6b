-- How far must a picture move to be taken for another digit? Hardly, against
-- the gradient's sign (Goodfellow, Shlens and Szegedy 2015); training on such
-- pictures restores most of it (Madry et al. 2018). On drawn digits, seconds;
-- with --data DIR on MNIST. Draws out/adversarial.png.
local quick = arg and arg[1] == "--quick"
local folder = arg and arg[1] == "--data" and arg[2]
local train, test
if folder then
  local mnist = sd.data.mnist(folder)
  train, test = mnist.train, mnist.test
  if not train or not test then
    train, test = table.unpack({ sd.data.split(train or test, { 0.8, 0.2 },
                                               { seed = 1 }) })
  end
else
  train = sd.data.digits { n = quick and 200 or 4000, seed = 1 }
  test = sd.data.digits { n = quick and 100 or 1000, seed = 2 }
end
local function flat(d) return d.x:reshape(#d.x, -1) end
train = { x = sd.eval(flat(train)), y = train.y }
test = { x = sd.eval(flat(test)), y = test.y }

local net = sd.nn.mlp { 784, 128, 10 }
local function model(p, x) return (net(p, x)) end
local function loss(p, x, y) return sd.cross_entropy(model(p, x), y) end
local eps = 0.1

local function fit(adversarial)
  local params = net:init { seed = 1 }
  local step = sd.optim.adam { lr = 1e-3 }:compile(loss)
  for epoch = 1, quick and 1 or 8 do
    for _, batch in sd.data.batches(train, { size = 128, seed = epoch,
                                             shuffle = true,
                                             drop_last = true }) do
      local x = batch.x
      if adversarial then
        x = sd.sensitivity.pgd { model = model, params = params, x = x,
                                 y = batch.y, eps = eps, steps = 5,
                                 seed = epoch, clip = { 0, 1 } }
      end
      params = step(params, x, batch.y)
    end
  end
  return params
end

local list, curves = { 0, 0.02, 0.05, 0.1, 0.2 }, {}
local function study(title, params)
  local o = { model = model, params = params, x = test.x, y = test.y,
              eps = list, clip = { 0, 1 } }
  local fast = sd.sensitivity.robustness(o)
  o.attack, o.steps = "pgd", 10
  local strong = sd.sensitivity.robustness(o)
  for i, e in ipairs(list) do
    print(("%-20s %6.2f %12.1f %%  %12.1f %% (+- %.1f)"):format(
      i == 1 and title or "", e, 100 * fast.accuracy[i],
      100 * strong.accuracy[i], 100 * strong.error[i]))
  end
  local lo, hi = {}, {}
  for i, a in ipairs(strong.accuracy) do
    lo[i], hi[i] = a - 2 * strong.error[i], a + 2 * strong.error[i]
  end
  curves[#curves + 1] = { name = title .. ", PGD", x = list,
                          y = strong.accuracy, lo = lo, hi = hi }
  curves[#curves + 1] = { name = title .. ", FGSM", x = list,
                          y = fast.accuracy, style = "dashed" }
  return strong.accuracy[4]
end

print(("%-20s %6s %14s %14s"):format("accuracy", "eps", "FGSM", "PGD"))
local plain, hardened = fit(false), fit(true)
local before = study("trained as usual", plain)
local after = study("on PGD's pictures", hardened)
if not quick then
  sd.plot.lines { xlabel = "eps (largest change of a pixel)",
                  ylabel = "test accuracy", yrange = { 0, 1 },
                  table.unpack(curves) }:save "out/adversarial.png"
end
print(("at eps = %.2f accuracy goes from %.0f %% to %.0f %% (expected: up)")
  :format(eps, 100 * before, 100 * after))
