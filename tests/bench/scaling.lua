-- Time per node against the size of the graph, in one evaluation: a chain of
-- additions of 4 elements, built and evaluated anew each time.
local bench = require "bench"

local a, b = sd.randn(4), sd.randn(4)
for _, n in ipairs { 10, 100, 1000, 10000, 100000, 1000000 } do
  bench.time(("chain of %d nodes, per node"):format(n), function()
    local c = a
    for _ = 1, n do c = c + b end
    sd.eval(c)
  end, { scale = n })
end
