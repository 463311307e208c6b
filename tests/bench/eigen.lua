-- Symmetric eigenproblems in f64.
local bench = require "bench"
for _, n in ipairs { 1000, 2000 } do
  local a = sd.randn(n, n, { dtype = "f64" })
  a = sd.eval(a + a:T())
  bench.time("eigh " .. n .. " f64", function() sd.eval(sd.linalg.eigh(a)) end)
end
