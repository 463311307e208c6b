-- The optimizer's step alone: 10 M parameters in one tensor and in 161, and
-- ResNet-56's 173 tensors; Adam built in, and as a rule in Lua of the same
-- arithmetic.
local bench = require "bench"
local optim = sd.optim

local function sizes(count)
  if count == 1 then return { 10000000 } end
  local s = {}
  for _, group in ipairs { { 16, 20 }, { 32, 18 }, { 64, 16 } } do
    for _ = 1, group[2] do
      local w = group[1]
      s[#s + 1], s[#s + 2], s[#s + 3] = w * w * 9, w, w
    end
  end
  s = table.move(s, 1, 160, 1, {})
  s[161] = 640
  local total = 0
  for _, n in ipairs(s) do total = total + n end
  for i, n in ipairs(s) do s[i] = math.max(1, n * 10000000 // total) end
  return s
end

local function resnet56()
  local s, c = { 3 * 16 * 9, 16, 16 }, 16
  for _, w in ipairs { 16, 32, 64 } do
    for _ = 1, 9 do
      for _, n in ipairs { c * w * 9, w, w, w * w * 9, w, w } do
        s[#s + 1] = n
      end
      if c ~= w then
        for _, n in ipairs { c * w, w, w } do s[#s + 1] = n end
      end
      c = w
    end
  end
  s[#s + 1], s[#s + 2] = 640, 10
  return s
end

local written = optim.rule {
  name = "written", defaults = { lr = 1e-5, beta1 = 0.9, beta2 = 0.999,
                                 eps = 1e-8 },
  init = function(p) return { m = sd.zeros_like(p), v = sd.zeros_like(p) } end,
  update = function(p, g, s, h)
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.v = h.beta2 * s.v + (1 - h.beta2) * (g * g)
    local c1, c2 = 1 - h.beta1 ^ h.t, 1 - h.beta2 ^ h.t
    return p - h.lr / c1 * (s.m / (s.v:sqrt() * (1 / c2 ^ 0.5) + h.eps))
  end }

local function measure(name, list, rule)
  local params, grads, n = {}, {}, 0
  for i, k in ipairs(list) do
    params[i], grads[i] = sd.randn(k), sd.randn(k) * 1e-3
    n = n + k
  end
  sd.eval(params, grads)
  local opt = rule { lr = 1e-5 }
  bench.time(name, function() params = opt:apply(params, grads) end,
             { bytes = 28 * n })
end

measure("adam 10 M, 1 tensor", sizes(1), optim.adam)
measure("adam 10 M, 1 tensor, rule in Lua", sizes(1), written)
measure("adam 10 M, 161 tensors", sizes(161), optim.adam)
measure("adam 10 M, 161 tensors, rule in Lua", sizes(161), written)
measure("adam resnet-56, 173 tensors", resnet56(), optim.adam)
