-- Where do three optimizers take one network, and what does the loss look
-- like there? On built-in digits, or with --data DIR on MNIST's own files.
-- Takes about 20 s on two cores; writes out/demo/report.html and more.
local o = { dir = "out/demo", epochs = 12, grid = 51, n = 10000 }
for i, a in ipairs(arg) do
  if a == "--data" then o.data = arg[i + 1] end
  if a == "--quick" then o = { dir = arg[2], epochs = 2, grid = 5, n = 500 } end
end

-- 1. Pictures: four fifths to learn from, the rest to be tested on.
local pictures = o.data and sd.data.mnist(o.data).test
                 or sd.data.digits { n = o.n, seed = 1 }
local train, test = sd.data.split(pictures, { 0.8, 0.2 }, { seed = 1 })
-- 2. One network and its loss; the second result is the accuracy.
local net = sd.nn.mlp { 784, 64, 10 }
local start = net:init { seed = 1 }
local function loss(params, x, y)
  local z = net(params, x:flatten(2))
  return sd.cross_entropy(z, y), z:argmax(2):eq(y):to("f32"):mean()
end
-- 3. An optimizer in ten lines: follow the sign of the averaged gradient.
local signed = sd.optim.rule {
  name = "signed", defaults = { lr = 1e-3, beta = 0.9 },
  init = function(p) return { m = sd.zeros_like(p) } end,
  update = function(p, g, s, h)
    s.m = h.beta * s.m + (1 - h.beta) * g
    return p - h.lr * s.m:sign()
  end,
}
local function fall(t) return 1e-3 / (1 + t / 500) end
local rules = { sd.optim.sgd { lr = 0.1, momentum = 0.9 },
                sd.optim.adam { lr = 3e-3 }, signed { lr = fall } }

-- 4. Train from the same start, with live curves.
local plot, log, curves, solutions = sd.plot, {}, {}, {}
local draw = plot.live()
local function chart()
  return plot.lines { xlabel = "epoch", ylabel = "training loss", logy = true,
                      table.unpack(curves) }
end
for k, opt in ipairs(rules) do
  local params, step = start, opt:compile(loss)
  curves[k] = { name = opt.name, y = {} }
  for epoch = 1, o.epochs do
    local total, n, batch_loss = 0, 0
    for _, b in sd.data.batches(train, { size = 64, seed = epoch }) do
      params, batch_loss = step(params, b.x, b.y)
      total, n = total + batch_loss:item(), n + 1
    end
    curves[k].y[epoch] = total / n
    log[#log + 1] = { rule = opt.name, epoch = epoch, loss = total / n }
    draw(chart(), k == #rules and epoch == o.epochs)
  end
  solutions[k] = params
end
local report = sd.report { title = "Three optimizers, one network" }
report:figure(chart():save(o.dir .. "/training.png"), "Loss while training.")

-- 5. Study each solution on a thousand of the pictures.
local x, y = train.x:narrow(1, 1, o.n // 10), train.y:narrow(1, 1, o.n // 10)
local function study(params) return loss(params, x, y) end
for k, p in ipairs(solutions) do
  local name, n, at = rules[k].name, { -1, 1, o.grid }, sd.landscape
  local _, accuracy = loss(p, test.x, test.y)
  local words = ("%s: test accuracy %.1f %%\n%s"):format(name,
    100 * accuracy:item(), sd.critical.classify(study, p, { k = 5 }))
  print(words)
  report:heading(name):text(words)
  local density = sd.curvature.hessian(study, p):density { probes = 2 }
  report:figure(density:plot(o.dir .. "/density-" .. name .. ".png",
    { title = "Eigenvalues of the Hessian at the solution of " .. name }))
  local scan = at.plane(study, p, at.random(p, { seed = 1 }),
                        at.random(p, { seed = 2 }), { x = n, y = n })
  report:surface(scan:plot(o.dir .. "/surface-" .. name .. ".png",
    { log = true, title = "Loss around the solution of " .. name }))
  log[#log + 1] = { rule = name, test_accuracy = accuracy:item() }
end
report:save(o.dir .. "/report.html")
sd.save(o.dir .. "/log.jsonl", log)
print("open " .. o.dir .. "/report.html")
