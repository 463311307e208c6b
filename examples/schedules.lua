-- Is a falling learning rate worth it? At one rate, noisy steps keep the loss
-- at a level proportional to the rate; a schedule starts as fast and ends as
-- low as a small rate would (Robbins and Monro 1951, Loshchilov and Hutter
-- 2017). On the noisy quadratic where theory knows the level, then on drawn
-- digits. Half a minute; writes out/schedules.png.
local quick = arg and arg[1] == "--quick"
local S, steps = sd.schedule, quick and 60 or 1000

-- With noise of variance c_i times the curvature c_i, descent at the rate h
-- ends at the mean loss sum_i h c_i / (2 (2 - h c_i)) (Zhang et al. 2019).
local p = sd.problems.noisy_quadratic { dim = 10, condition = 10 }
print "noisy quadratic            mean loss at the end   expected"
for _, h in ipairs { 0.1, 0.01 } do
  local x, step, mean = p.start, sd.optim.sgd { lr = h }:compile(p.f), 0
  local all = quick and 200 or 20000
  for t = 1, all do
    x = step(x, p.batch(t))
    if t > all // 2 then mean = mean + 2 * p.f(x):item() / all end
  end
  local c = h * p.eigenvalues
  print(("rate %-5g %36.4f %10.4f"):format(h, mean,
                                         (c / (2 * (2 - c))):sum():item()))
end

-- One label in ten is wrong, so that there is noise at the optimum, too.
local function flat(set) return sd.eval(set.x:flatten(2)) end
local train = sd.data.digits { n = quick and 200 or 2000, seed = 1 }
local test = sd.data.digits { n = quick and 100 or 1000, seed = 2 }
local g = sd.generator(3)
local n = #train.y
local wrong = sd.rand(n, { generator = g }):lt(0.1)
local labels = sd.eval(sd.where(wrong, sd.randint(1, 10, { n },
                                                  { generator = g }), train.y))
local pictures, unseen = flat(train), flat(test)
local net = sd.nn.mlp { 784, 32, 10 }
local function loss(q, x, y) return sd.cross_entropy(net(q, x), y) end

local top = 0.5
local list = {
  { "constant", S.constant(top) },
  { "constant, a tenth", S.constant(top / 10) },
  { "step", S.step { lr = top, step_size = steps // 3 } },
  { "cosine", S.cosine { from = top, steps = steps } },
  { "one cycle", S.one_cycle { max_lr = top, total_steps = steps } },
  { "warm-up, stable, decay", S.wsd { lr = top, warmup = steps // 20,
    stable = steps * 3 // 4, decay = steps // 5 } },
}
local rates = { title = "Learning rates", xlabel = "step", legend = "outside" }
local losses = { title = "Loss on unseen digits", xlabel = "step",
                 logy = true, legend = "outside" }
print "\ndigits                  loss: trained on    unseen   right of unseen"
local result = {}
for _, case in ipairs(list) do
  local name, schedule = table.unpack(case)
  local q = net:init { seed = 1 }
  local step = sd.optim.sgd { lr = schedule }:compile(loss)
  local at, y = {}, {}
  for t = 1, steps do
    local which = sd.randint(1, n, { 16 }, { generator = sd.generator(t) })
    q = step(q, pictures:index_select(1, which), labels:index_select(1, which))
    if t % (steps // 20) == 0 then
      at[#at + 1], y[#y + 1] = t, loss(q, unseen, test.y):item()
    end
  end
  local right = net(q, unseen):argmax(2):eq(test.y):to("f32"):mean():item()
  result[name] = y[#y]
  print(("%-22s %17.3f %9.3f %15.1f %%"):format(name,
    loss(q, pictures, labels):item(), y[#y], 100 * right))
  rates[#rates + 1] = { y = schedule:values(steps), name = name }
  losses[#losses + 1] = { x = at, y = y, name = name }
end
print(("cosine / constant: %.2f of the unseen loss (expected: below 1)")
  :format(result.cosine / result.constant))
if not quick then
  sd.plot.grid { sd.plot.lines(rates), sd.plot.lines(losses),
                 columns = 1 }:save "out/schedules.png"
end
