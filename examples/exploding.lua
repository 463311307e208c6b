-- Why are gradients clipped? The loss of a recurrent unit, h <- w s(h) + b for
-- fifty steps, has a cliff: flat on both sides, enormous gradients on it, and
-- the valley right at its foot. Descent that meets it is thrown far away; with
-- clipped gradients it takes a small step back (Pascanu, Mikolov and Bengio
-- 2013, whose example this is). Seconds; writes out/exploding.png.
local quick = arg and arg[1] == "--quick"
local f64 = { dtype = "f64" }
local function loss(p)
  local h = sd.tensor(0.5, f64)
  for _ = 1, 50 do h = p[1] * h:sigmoid() + p[2] end
  return (h:sigmoid() - 0.7) ^ 2
end

local steps, lr, bound = quick and 60 or 600, 0.3, 0.1
local start = sd.tensor({ 7, -2.5 }, f64)

local function new_run()
  return { x = {}, y = {}, largest = 0, farthest = 0 }
end
local function note(run, p, q, norm)
  table.insert(run.x, q[1]:item())
  table.insert(run.y, q[2]:item())
  run.largest = math.max(run.largest, norm)
  run.farthest = math.max(run.farthest, (q - p):norm():item())
  run.loss = loss(q):item()
end

-- As it is, watched by a monitor.
local free, p = new_run(), start
local monitor = sd.dynamics.monitor { every = 1 }
local step = monitor:watch(sd.optim.sgd { lr = lr }, loss)
for t = 1, steps do
  local q = step(p)
  note(free, p, q, monitor.record[t].grad_norm)
  p = q
end

-- Clipped.
local clipped, opt = new_run(), sd.optim.sgd { lr = lr }
local grad = sd.jit(sd.grad(loss))
p = start
for _ = 1, steps do
  local g, norm = sd.dynamics.clip.norm((grad(p)), bound)
  local q = opt:apply(p, g)
  note(clipped, p, q, norm:item())
  p = q
end

print "              largest |gradient|   longest step   loss at the end"
print(("as it is %21.3g %17.3g %15.1e"):format(free.largest, free.farthest,
                                              free.loss))
print(("clipped  %21.3g %17.3g %15.1e"):format(clipped.largest,
  clipped.farthest, clipped.loss))
print(("expected: clipped, a longest step of %g = rate times bound, and a " ..
       "lower loss"):format(lr * bound))
print("what the monitor says of the first:\n" .. tostring(monitor:report()))

if not quick then
  local n = 121
  local w, b = sd.linspace(3, 8, n, f64), sd.linspace(-4, 1, n, f64)
  local at = sd.stack({ w:unsqueeze(1):expand(n, n):reshape(-1),
                        b:unsqueeze(2):expand(n, n):reshape(-1) }, 2)
  local z = sd.vmap(loss)(at):reshape(n, n)
  local function panel(run, title)
    return sd.plot.contour { x = w, y = b, z = z, labels = false,
      title = title, xlabel = "w", ylabel = "b", zlabel = "loss", path = run }
  end
  sd.plot.grid { panel({ x = free.x, y = free.y }, "Descent as it is"),
                 panel({ x = clipped.x, y = clipped.y }, "Gradients clipped"),
                 columns = 2 }:save "out/exploding.png"
end
