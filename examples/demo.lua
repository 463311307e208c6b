-- Where do three optimizers take one network, and what does the loss look
-- like there? Digits by default; --data DIR takes MNIST's files.
-- About a minute on two cores. Writes out/demo/.
local nn, plot = sd.nn, sd.plot
local dir, quick, data_dir = "out/demo", false, nil
for i, a in ipairs(arg or {}) do
  if a == "--data" then data_dir = arg[i + 1] end
  if a == "--quick" then quick, dir = true, arg[i + 1] or dir end
end

-- 1. Data: 8,000 pictures to learn from, 2,000 to be tested on.
local pictures = data_dir and sd.data.mnist(data_dir).test
                 or sd.data.digits { n = quick and 600 or 10000, seed = 1 }
local train, test = sd.data.split(pictures, { 0.8, 0.2 }, { seed = 1 })

-- 2. One network and its loss; the second result is the accuracy.
local net = nn.mlp { 784, 48, 10, activation = "tanh" }
local start = net:init { seed = 1 }
local function loss(params, x, y)
  local z = net(params, x:flatten(2))
  return sd.cross_entropy(z, y), z:argmax(2):eq(y):to("f32"):mean()
end

-- 3. An optimizer in ten lines: the sign of an averaged gradient.
local signed = sd.optim.rule {
  name = "signed", defaults = { lr = 1e-3, beta = 0.9 },
  init = function(p) return { m = sd.zeros_like(p) } end,
  update = function(p, g, s, h)
    s.m = h.beta * s.m + (1 - h.beta) * g
    return p - h.lr * s.m:sign()
  end,
}
local rules = { sd.optim.sgd { lr = 0.1, momentum = 0.9 },
                sd.optim.adam { lr = 2e-3 }, signed { lr = 5e-4 } }

-- 4. Train from the same start, then study each solution.
local log, curves = {}, {}
local report = sd.report { title = "Three optimizers, one network",
  subtitle = ("%d pictures, %d parameters"):format(
    #train.y, sd.tree.numel(start)) }
local few = { x = train.x:narrow(1, 1, math.min(1000, #train.y)),
              y = train.y:narrow(1, 1, math.min(1000, #train.y)) }
local function surface_loss(p) return loss(p, few.x, few.y) end
sd.eval(few.x, few.y)
local draw, rows = plot.live(), {}
local epochs, side = quick and 2 or 10, quick and 7 or 51

for k, opt in ipairs(rules) do
  local params, step = start, opt:compile(loss)
  curves[k] = { name = opt.name, x = {}, y = {} }
  for epoch = 1, epochs do
    local total, n = 0, 0
    for _, b in sd.data.batches(train, { size = 64, seed = epoch }) do
      local l; params, l = step(params, b.x, b.y)
      total, n = total + l:item(), n + 1
    end
    table.insert(curves[k].x, epoch); table.insert(curves[k].y, total / n)
    log[#log + 1] = { optimizer = opt.name, epoch = epoch, loss = total / n }
    draw(plot.lines { xlabel = "epoch", ylabel = "training loss",
                      logy = true, table.unpack(curves, 1, k) },
         k == #rules and epoch == epochs)
  end
  rows[k] = { opt = opt, params = params, test = select(2,
    loss(params, test.x, test.y)):item() }
end
local fig = plot.lines { xlabel = "epoch", ylabel = "training loss",
                         logy = true, table.unpack(curves) }
report:figure(fig:save(dir .. "/training.png"), "Loss while training.")

for _, r in ipairs(rows) do
  local name = r.opt.name
  local point = sd.critical.classify(surface_loss, r.params, { k = 4 })
  local w = point.eigenvalues
  r.words = ("%s: test accuracy %.1f %%, |gradient| %.2g, sharpness %.3g, "
    .. "lowest eigenvalues %.2g %.2g: %s"):format(name, 100 * r.test,
    point.gradient_norm, w[#w], w[1], w[2], point.kind)
  print(r.words)
  report:heading(name):text(r.words)
  local H = sd.curvature.hessian(surface_loss, r.params)
  local density = H:density { steps = 60, probes = 2 }
  report:figure(density:plot(dir .. "/density-" .. name .. ".png"),
                "Density of the Hessian's eigenvalues.")
  local scan = sd.landscape.plane(surface_loss, r.params,
    sd.landscape.random(r.params, { norm = "filter", seed = 1 }),
    sd.landscape.random(r.params, { norm = "filter", seed = 2 }),
    { x = { -1, 1, side }, y = { -1, 1, side } })
  report:surface(scan:plot(dir .. "/surface-" .. name .. ".png",
                           { log = true, title = "Around " .. name }))
  log[#log + 1] = { optimizer = name, test_accuracy = r.test,
    kind = point.kind, gradient_norm = point.gradient_norm,
    top = w[#w], bottom = w[1] }
end

report:save(dir .. "/report.html")
for i, entry in ipairs(log) do log[i] = require "saddle.json".encode(entry) end
require "saddle.fs".write_atomic(dir .. "/log.jsonl",
                                 table.concat(log, "\n") .. "\n")
print("wrote " .. dir .. "/report.html")
