-- How sharp does descent let the loss become? As sharp as it can bear: the
-- largest curvature rises to 2 / learning rate and stays there, while the loss
-- goes on falling, if not at every step (Cohen et al. 2021). A small tanh net
-- learns a Chebyshev polynomial from 20 points. A few seconds; writes
-- out/edge_of_stability.png.
local quick = arg and arg[1] == "--quick"
local steps, every = quick and 400 or 20000, quick and 100 or 200
local f64 = { dtype = "f64" }
local x = sd.linspace(-1, 1, 20, f64):reshape(20, 1)

local function problem(degree, seed)
  local y = sd.eval((degree * x:acos()):cos())
  local o = { dtype = "f64", generator = sd.generator(seed) }
  local scale = math.sqrt(2 / 101)
  local params = sd.eval { w = 1.9 * scale * sd.randn(1, 100, o),
                           b = sd.zeros(100, f64),
                           out = scale * sd.randn(100, 1, o) }
  local function loss(p)
    local h = (x:matmul(p.w) + p.b):tanh()
    return ((h:matmul(p.out) - y) ^ 2):mean() / 2
  end
  return loss, params
end

local function train(degree, lr, seed, n)
  local loss, p = problem(degree, seed)
  local step = sd.optim.sgd { lr = lr }:compile(loss)
  local run = { step = {}, sharpness = {}, loss = {}, rises = 0 }
  local last = math.huge
  for t = 0, n do
    if t % every == 0 then
      table.insert(run.step, t)
      table.insert(run.sharpness, (sd.curvature.sharpness(loss, p)))
    end
    local value
    p, value = step(p)
    value = value:item()
    if value > last then run.rises = run.rises + 1 end
    last = value
    if t % every == 0 then table.insert(run.loss, value) end
  end
  local tail, k = 0, math.min(25, #run.sharpness)
  for i = #run.sharpness - k + 1, #run.sharpness do
    tail = tail + run.sharpness[i] / k
  end
  run.tail, run.ratio = tail, tail * lr / 2
  return run
end

print "degree  rate  seed   sharpness: first   at the end   2 / rate   ratio"
local runs = {}
for _, case in ipairs { { 4, 0.4, 1 }, { 4, 0.4, 2 }, { 4, 0.4, 3 },
                        { 3, 0.2, 1 }, { 5, 0.1, 1 } } do
  local degree, lr, seed = table.unpack(case)
  local r = train(degree, lr, seed, steps)
  runs[#runs + 1] = r
  print(("%4d %8.2g %4d %15.2f %13.3f %11.3g %8.3f"):format(
    degree, lr, seed, r.sharpness[1], r.tail, 2 / lr, r.ratio))
end
local r = runs[1]
print(("the loss rose in %d of %d steps, and fell from %.3g to %.2g"):format(
  r.rises, steps, r.loss[1], r.loss[#r.loss]))
local slow = train(4, 0.02, 1, steps)
print(("at a rate of 0.02, below the edge: %d rises, sharpness %.3g of %g")
  :format(slow.rises, slow.tail, 2 / 0.02))
print "expected: a ratio within 0.03 of 1, no rises below the edge"

local function panel(run, lr, title)
  return sd.plot.lines { x = run.step, y = run.sharpness, title = title,
    xlabel = "step", ylabel = "largest curvature", legend = "none",
    hlines = { { at = 2 / lr, name = "2 / rate" } } }
end
if not quick then
  sd.plot.grid { panel(r, 0.4, "learning rate 0.4"),
                 panel(slow, 0.02, "learning rate 0.02"),
                 columns = 2 }:save "out/edge_of_stability.png"
end
