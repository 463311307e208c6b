-- What the optimizers' tests share: four small problems in f64, and rules
-- written as text.

local sd = require "saddle"
local f64 = { dtype = "f64" }
local shared = {}

-- ---- the problems ----------------------------------------------------------

local function points()
  local rows = {}
  for i = 0, 7 do rows[i + 1] = { 0.1 * i - 0.35, math.sin(i + 1) } end
  return sd.tensor(rows, f64)
end
local X = points()
local Y = X:narrow(2, 1, 1) * X:narrow(2, 2, 1)

local function first_weights()
  local w = {}
  for i = 0, 2 do
    w[i + 1] = {}
    for j = 0, 1 do
      w[i + 1][j + 1] = 0.1 * (i + 1) * (-1) ^ (i + j) + 0.05 * j
    end
  end
  return sd.tensor(w, f64)
end

shared.problems = {
  rosenbrock = { lr = 1e-4, start = sd.tensor({ -1.2, 1 }, f64),
    f = function(p)
      return (1 - p[1]) ^ 2 + 100 * (p[2] - p[1] ^ 2) ^ 2
    end },
  beale = { lr = 1e-3, start = sd.tensor({ 1, 1.5 }, f64),
    f = function(p)
      local x, y = p[1], p[2]
      return (1.5 - x + x * y) ^ 2 + (2.25 - x + x * y ^ 2) ^ 2 +
             (2.625 - x + x * y ^ 3) ^ 2
    end },
  quadratic = { lr = 5e-4, start = sd.ones(4, f64),
    f = function(p)
      local s = 10.0 ^ sd.linspace(0, 3, 4, f64)
      return 0.5 * (s * p * p):sum()
    end },
  mlp = { lr = 5e-2,
    start = { first_weights(), sd.tensor({ 0.1, -0.2, 0.05 }, f64),
              sd.tensor({ { 0.3, -0.2, 0.4 } }, f64),
              sd.tensor({ 0.01 }, f64) },
    f = function(p)
      local h = (X:matmul(p[1]:T()) + p[2]):tanh()
      return sd.mse(h:matmul(p[3]:T()) + p[4], Y)
    end },
}

-- With a collector that runs at every step numbers are not under test.
if os.getenv "SADDLE_GC" then
  shared.problems = { mlp = shared.problems.mlp }
end

--- "sgd momentum=0.9 nesterov=true" as a rule and its options.
function shared.read(name, lr)
  local rule = name:match "^%S+"
  local o = { lr = lr }
  for k, v in name:gmatch "([%w_]+)=(%S+)" do
    o[k] = v == "true" or tonumber(v) or v
  end
  return rule, o
end

--- The elements of a tree as a vector.
function shared.flat(p)
  return (sd.tree.ravel(sd.is_tensor(p) and { p } or p))
end

--- The largest relative difference of a tree from a list of numbers.
function shared.worst(p, want)
  local got, most = shared.flat(p):totable(), 0
  for i, v in ipairs(want) do
    local d = math.abs(got[i] - v) / math.max(math.abs(v), 1e-6)
    most = math.max(most, d)
  end
  return most
end

return shared
