-- How far do the rules get down Rosenbrock's valley? From (0, 0), the settings
-- of Torch's tests, the loss beside what NumPy and PyTorch 1.13 give (at the
-- end RMSprop jumps to and fro, and Adam spikes); L-BFGS by its evaluations;
-- and the ways of four rules over the contour (out/rosenbrock.png). 3 seconds.
local quick = arg and arg[1] == "--quick"
local optim, f64 = sd.optim, { dtype = "f64" }
local steps = quick and 200 or 10001

local function f(x)
  local a, b = x:narrow(1, 1, #x - 1), x:narrow(1, 2, #x - 1)
  return (100 * (b - a * a) ^ 2 + (1 - a) ^ 2):sum()
end

local paths = {}
local function run(opt, start, n, record)
  local x, step = start, opt:compile(f)
  local way = { x = { x[1]:item() }, y = { x[2]:item() }, name = record }
  for t = 1, n do
    x = step(x)
    if record and (t <= 50 or t % 10 == 0) then
      way.x[#way.x + 1], way.y[#way.y + 1] = x[1]:item(), x[2]:item()
    end
  end
  if record then paths[#paths + 1] = way end
  return f(x):item(), x
end

print "rule                          steps   loss         expected"
local origin = sd.zeros(2, f64)
for _, case in ipairs {
  { "sgd", { lr = 1e-3 }, "3.137e-05" },
  { "sgd", { lr = 1e-3, momentum = 0.9 }, "2e-30" },
  { "adagrad", { lr = 0.1 }, "5.025e-10" },
  { "rmsprop", { lr = 5e-4, alpha = 0.99 }, "5.633e-05, 5.629e-05 in turn" },
  { "adadelta", { lr = 1, eps = 1e-10 }, "6.029e-05" },
  { "adamax", { lr = 2e-3 }, "1.342e-09" },
  { "adam", { lr = 2e-3 }, "1.144e-03", 1000 },
  { "adam", { lr = 2e-3 }, "below 1.8e-04, the spikes" },
} do
  local name = case[1] .. (case[2].momentum and ", heavy ball" or "")
  local n = quick and steps or case[4] or steps
  local loss = run(optim[case[1]](case[2]), origin, n)
  print(("%-28s %6d   %-12.3e %s"):format(name, n, loss, case[3]))
end

print "\nL-BFGS, strong Wolfe          loss        evaluations    expected"
for _, case in ipairs {
  { "from (0, 0)", origin, "2.2e-13, 26" },
  { "10 dimensions, from 0", sd.zeros(10, f64), "2.5e-10, 68" },
  { "from (-1.2, 1)", sd.tensor({ -1.2, 1 }, f64), "4.2e-10, 43" },
} do
  local opt = optim.lbfgs { max_iter = 100 }
  local x = opt:step(f, case[2])
  print(("%-30s %-11.1e %-14d %s"):format(
    case[1], f(x):item(), opt:state().states.evaluations, case[3]))
end

-- The ways of four rules from (-1.2, 1).
local from, n = sd.tensor({ -1.2, 1 }, f64), quick and 50 or 4000
run(optim.sgd { lr = 1e-3 }, from, n, "gradient descent, 4000 steps")
run(optim.sgd { lr = 1e-3, momentum = 0.9 }, from, n // 4,
    "heavy ball, 1000 steps")
run(optim.adam { lr = 0.02 }, from, n // 2, "Adam, 2000 steps")
run(optim.lbfgs { max_iter = 1 }, from, 40, "L-BFGS, 40 steps")
local xs = sd.linspace(-1.6, 1.5, 201, f64)
local ys = sd.linspace(-0.6, 1.7, 201, f64)
local X, Y = xs:unsqueeze(1), ys:unsqueeze(2)
local z, panels = 100 * (Y - X * X) ^ 2 + (1 - X) ^ 2, { columns = 2 }
for i, way in ipairs(paths) do
  panels[i] = sd.plot.contour { x = xs, y = ys, z = z, log = true, path = way,
                                zrange = { 0.1, 1000 }, labels = false }
end
local figure = sd.plot.grid(panels)
if quick then
  print(figure)
elseif os.execute "gnuplot --version >/dev/null 2>&1" then
  figure:save "out/rosenbrock.png"
  print "\nout/rosenbrock.png"
end
