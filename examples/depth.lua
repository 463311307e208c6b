-- Why do deep networks train at all? Because gradients survive the depth: each
-- layer multiplies them by a factor that activation and initialisation decide
-- (Glorot and Bengio 2010, He et al. 2015). Twenty layers of 64 without bias,
-- 256 inputs, medians of 5 draws. And orthogonal layers keep all directions,
-- Gaussian ones lose them (Saxe et al. 2014). A few seconds; writes
-- out/depth.png.
local quick = arg and arg[1] == "--quick"
local width, layers, examples = 64, 20, quick and 32 or 256
local f64 = { dtype = "f64" }

-- Root mean squares of the gradient at each layer's input, for a random
-- gradient at the output: of sums that are moved by z at each layer.
local function gradients(activation, gain, seed)
  local o = { dtype = "f64", generator = sd.generator(seed) }
  local x, push = sd.randn(examples, width, o), sd.randn(examples, width, o)
  local W, zeros = {}, {}
  for l = 1, layers do
    W[l] = gain / math.sqrt(width) * sd.randn(width, width, o)
    zeros[l] = sd.zeros(examples, width, f64)
  end
  local g = sd.grad(function(z)
    local h = x
    for l = 1, layers do h = activation(h:matmul(W[l]) + z[l]) end
    return (h * push):sum()
  end)(zeros)
  local size = {}
  for l = 1, layers do size[l] = g[l]:square():mean():sqrt():item() end
  return size
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local he = math.sqrt(2)
print "activation, initialisation   factor a layer   expected   over 19 layers"
local curves = { xlabel = "layer", ylabel = "gradient beside the last layer's",
                 logy = true, legend = "outside",
                 title = "What is left of a gradient on its way back" }
for _, case in ipairs {
  { "sigmoid, Xavier", sd.sigmoid, 1, 0.234 },
  { "sigmoid, He", sd.sigmoid, he, 0.314 },
  { "tanh, Xavier", sd.tanh, 1, 0.911 },
  { "ReLU, Xavier", sd.relu, 1, 0.692 },
  { "ReLU, He", sd.relu, he, 0.978 } } do
  local factors, y = {}, nil
  for seed = 1, 5 do
    local size = gradients(case[2], case[3], seed)
    factors[seed] = (size[1] / size[layers]) ^ (1 / (layers - 1))
    if seed == 1 then
      y = {}
      for l = 1, layers do y[l] = size[l] / size[layers] end
    end
  end
  local factor = median(factors)
  print(("%-28s %14.3f %10.3f %16.1e"):format(case[1], factor, case[4],
                                             factor ^ 19))
  curves[#curves + 1] = { y = y, name = case[1] }
end

-- Products of 50 linear layers.
local o = { dtype = "f64", generator = sd.generator(1) }
local function product(make)
  local P = sd.eye(width, f64)
  for _ = 1, 50 do P = sd.eval(P:matmul(make())) end
  return (sd.linalg.eigh(P:T():matmul(P))):clamp(0, 1e300):sqrt():totable()
end
local s = product(function()
  local A = sd.randn(width, width, o)
  local _, Q = sd.linalg.eigh(A + A:T())
  return Q
end)
print(("\n50 orthogonal layers: singular values within %.0e of 1 " ..
       "(expected: rounding)"):format(math.max(s[width] - 1, 1 - s[1])))
local t = product(function()
  return sd.randn(width, width, o) / math.sqrt(width)
end)
local left = 0
for _, v in ipairs(t) do if v > 1e-6 * t[width] then left = left + 1 end end
print(("50 Gaussian layers: %d of %d singular values are above a millionth " ..
       "of the largest (expected: a few)"):format(left, width))
if not quick then sd.plot.lines(curves):save "out/depth.png" end
