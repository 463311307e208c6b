-- Does the neural tangent kernel stay where it was (Jacot, Gabriel and Hongler
-- 2018)? In networks of growing width its change in training vanishes: as 1 /
-- width (Dyer and Gur-Ari 2020; Huang and Yau 2020). A second; draws
-- out/tangent_kernel.png.
local quick = arg and arg[1] == "--quick"
local o = { dtype = "f64", generator = sd.generator(1) }
local x = sd.randn(20, 3, o)
local y = sd.eval(x:narrow(2, 1, 1):sin())

-- Weights N(0, 1), scaled by 1 / sqrt(inputs) in the network: NTK's
-- parametrisation.
local function model(p, a)
  local width = p.out:size(1)
  return (a:matmul(p.first) / math.sqrt(3)):tanh():matmul(p.out) /
         math.sqrt(width)
end

local function change(width, seed)
  local g = { dtype = "f64", generator = sd.generator(seed) }
  local params = { first = sd.randn(3, width, g), out = sd.randn(width, 1, g) }
  local function loss(p) return (model(p, x) - y):square():sum() / 2 end
  local before = sd.curvature.ntk(model, params, x)
  local K = before:dense()
  local rate = 1 / before:eigs({ k = 1 }).values:item()
  local start = loss(params):item()
  local step = sd.jit(function(p)
    return sd.tree.axpy(-rate, sd.grad(loss)(p), p)
  end)
  for _ = 1, quick and 20 or 200 do params = step(params) end
  local L = sd.curvature.ntk(model, params, x):dense()
  return ((L - K):norm() / K:norm()):item(), loss(params):item() / start
end

print " width   change of the kernel   times width   loss left"
local sizes, changes = { 32, 128, 512, 2048 }, {}
if quick then sizes = { 32, 128 } end
for i, width in ipairs(sizes) do
  local sum, left, seeds = 0, 0, quick and 1 or 3
  for seed = 1, seeds do
    local c, l = change(width, seed)
    sum, left = sum + c / seeds, left + l / seeds
  end
  changes[i] = sum
  print(("%6d %22.4f %13.2f %11.3f"):format(width, sum,
                                           sum * width, left))
end
if not quick then
  local law = {}
  for i, w in ipairs(sizes) do law[i] = changes[4] * sizes[4] / w end
  sd.plot.lines { { x = sizes, y = changes, name = "measured", style = "both" },
                  { x = sizes, y = law, name = "1 / width", style = "dashed" },
                  xlabel = "width", ylabel = "change of the kernel",
                  logx = true, logy = true }:save "out/tangent_kernel.png"
end
print(("from one width to the next (4 times) it falls %.2f times " ..
       "(expected: towards 4)"):format(
  (changes[1] / changes[#changes]) ^ (1 / (#changes - 1))))
