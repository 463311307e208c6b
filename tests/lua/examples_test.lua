-- The examples, scaled down, by the program under test.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local tap = require "tap"
local program = os.getenv "SADDLE" or "build/saddle"

local function run(command)
  local pipe = io.popen(command .. " 2>&1; echo status $?")
  local out = pipe:read "a"
  pipe:close()
  return out:match "status (%d+)%s*$", out
end

local dir = os.tmpname()
os.remove(dir)
local has_gnuplot = run "gnuplot --version" == "0"

if has_gnuplot then
  local status, out = run(("%s examples/demo.lua --quick %s"):format(program,
                                                                   dir))
  tap.is(status, "0", "the demo runs")
  tap.ok(out:find "test accuracy", "and says how good its networks are")
  for _, name in ipairs { "training.png", "density-sgd.png",
                          "surface-adam.png", "surface-signed.png",
                          "report.html", "log.jsonl" } do
    local file = io.open(dir .. "/" .. name, "rb")
    tap.ok(file and #file:read "a" > 200, "it writes " .. name)
    if file then file:close() end
  end
  os.execute("rm -rf " .. dir)
else
  tap.skip("the demo", "gnuplot is not installed")
end

for _, name in ipairs { "derivatives", "optimizer", "curvature", "outliers",
                        "lanczos", "kinks", "rescaling", "critical",
                        "gauss_newton", "tangent_kernel", "saddles",
                        "adversarial", "edge_of_stability", "adaptive_edge",
                        "catapult", "depth", "learning_rate", "schedules",
                        "exploding", "momentum", "adam_fails" } do
  local status, out = run(("%s examples/%s.lua --quick"):format(program, name))
  tap.is(status, "0", name .. ".lua runs")
  tap.ok(#out > 100, name .. ".lua prints its answer")
end
tap.done()
