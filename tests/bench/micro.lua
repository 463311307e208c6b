-- Elementwise passes, reductions, copies, small products, random numbers.
local bench = require "bench"

local function one(name, f, o) bench.time(name, function() sd.eval(f()) end, o) end

for _, n in ipairs { 1000000, 100000000 } do
  local a, b, c = sd.randn(n), sd.randn(n), sd.randn(n)
  sd.eval(a, b, c)
  local label = n == 1000000 and "10^6" or "10^8"
  local far = n > 1000000 -- less lies in the caches
  one("a*b+c " .. label, function() return a * b + c end,
      { triad = far and 16 * n })
  one("sum " .. label, function() return a:sum() end,
      { reads = far and 4 * n })
end
collectgarbage()
local x = sd.randn(10000000)
sd.eval(x)
for _, f in ipairs { "tanh", "exp", "erf", "sigmoid" } do
  one(f .. " 10^7", function() return sd[f](x) end)
end
local m = sd.randn(10000, 1000)
sd.eval(m)
local bytes = 4 * m:numel()
one("softmax rows 10000x1000", function() return m:softmax(2) end,
    { bytes = 2 * bytes })
one("log_softmax rows 10000x1000", function() return m:log_softmax(2) end,
    { bytes = 2 * bytes })
for d = 1, 2 do
  one("sum over dim " .. d .. " of 10000x1000",
      function() return m:sum(d) end, { rereads = bytes })
  one("max over dim " .. d .. " of 10000x1000",
      function() return (m:amax(d)) end, { rereads = bytes })
  one("variance over dim " .. d .. " of 10000x1000",
      function() return m:var(d) end, { rereads = bytes })
end
local q = sd.randn(4096, 4096)
sd.eval(q)
one("transposed copy 4096x4096", function() return q:T():reshape(-1) end,
    { bytes = 8 * q:numel() })
local a, b = sd.randn(64, 32, 32), sd.randn(64, 32, 32)
sd.eval(a, b)
one("64 matmuls of 32x32", function() return a:matmul(b) end,
    { flops = 64 * 2 * 32 ^ 3 })
one("randn 10^7", function() return sd.randn(10000000) end)
