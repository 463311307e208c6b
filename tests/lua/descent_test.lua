-- Rules reach the minimum: optax's acceptance test, with its rates. From (-1,
-- 10, 1) to (1, -1, 1) on a parabola, and from (0, 0) to Rosenbrock's (1, 1), to
-- 3e-2 in 10,000 steps.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local f64 = { dtype = "f64" }
if os.getenv "SADDLE_GC" then -- too many steps for a collector at each
  tap.skip("10,000 steps of every rule", "the collector is under test")
  return tap.done()
end

local target = sd.tensor({ 1, -1, 1 }, f64)
local problems = {
  parabola = { sd.tensor({ -1, 10, 1 }, f64), target,
               function(x) return ((x - target) ^ 2):sum() end },
  rosenbrock = { sd.zeros(2, f64), sd.ones(2, f64), function(p)
    return (1 - p[1]) ^ 2 + 100 * (p[2] - p[1] ^ 2) ^ 2
  end },
}
for _, rule in ipairs {
  { "adam", { lr = 0.1 } }, -- adamw spikes at this rate, so without them
  { "adamw", { lr = 0.1, weight_decay = 1e-4, amsgrad = true } },
  { "adam", { lr = 0.1, amsgrad = true } }, { "adamax", { lr = 0.1 } },
  { "adan", { lr = 0.1 } }, { "adagrad", { lr = 1 } },
  { "adabelief", { lr = 1e-2 } }, { "adadelta", { lr = 0.1 } },
  { "lamb", { lr = 1e-3 } }, { "lars", { lr = 1 } },
  { "nadam", { lr = 1e-2 } }, { "novograd", { lr = 1e-3 } },
  { "radam", { lr = 5e-3 } }, { "rmsprop", { lr = 5e-3, alpha = 0.9 } },
  { "rmsprop", { lr = 5e-3, alpha = 0.9, momentum = 0.9 } },
  { "rprop", { lr = 0.1 } }, { "sgd", { lr = 1e-3, momentum = 0.9 } },
  { "yogi", { lr = 0.1 } },
} do
  for name, p in pairs(problems) do
    local x, step = p[1], sd.optim[rule[1]](rule[2]):compile(p[3])
    for _ = 1, 10000 do x = step(x) end
    local d = (x - p[2]):abs():max():item()
    tap.ok(d < 3e-2, ("%s reaches the minimum of %s (%.1g)"):format(
      rule[1], name, d))
  end
end
tap.done()
