-- A plan that runs often has its programs made into machine code: the bits
-- are those of the first run.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap

local function bits(x)
  local t = {}
  for i, y in ipairs(x:flatten():totable()) do t[i] = string.pack("d", y) end
  return table.concat(t)
end

-- Of long ones only whether they are equal.
local function same_bits(x, y)
  if x:numel() > 2000 then return x:eq(y):all():item() end
  return bits(x) == bits(y)
end

local cases = {
  { "an Adam step", function(p, g, m, v)
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g ^ 2
    return { p - 0.01 * (m / 0.19) / ((v / 0.002):sqrt() + 1e-8), m, v }
  end },
  { "a derivative of tanh", function(p, g)
    local h = (p + g):tanh()
    return { h, (1 - h * h) * g, -(h * h), sd.abs(h) }
  end },
  { "a sum of rows", function(p, g, m)
    local y = (p * g - m) * (p + 2)
    return { y:sum(-1), y }
  end },
  { "a sum of columns", function(p, g, m)
    return { ((p - g) / (sd.abs(m) + 1)):sum(1), sd.maximum(p, g) - m }
  end },
  { "a bias along rows", function(p, g)
    local b = g:sum(1, { keepdim = true })
    return { sd.relu(p * b + 1) * 0.5, (p - b) / 3 }
  end },
  { "numbers of each dtype in one pass", function(p, g)
    return { (p + g):to("f64") * 2 + 1, (p * g + 1):to("f32") - 2 }
  end },
}

for _, dtype in ipairs { "f32", "f64" } do
  for _, shape in ipairs { { 1 }, { 3 }, { 16 }, { 5, 7 }, { 64, 32 },
                           { 40, 1000 } } do
    for _, case in ipairs(cases) do
      local x = {}
      for i = 1, 4 do
        x[i] = sd.randn(shape, { dtype = dtype,
                                 generator = sd.generator(i) })
      end
      x[4] = x[4] * x[4]
      local f = sd.jit(case[2])
      local first, same = f(table.unpack(x)), true
      for _ = 1, 6 do
        local again = f(table.unpack(x))
        for i, y in ipairs(first) do
          same = same and same_bits(y, again[i])
        end
      end
      tap.ok(same, ("%s, %s of %s"):format(case[1], dtype,
                                           table.concat(shape, " x ")))
    end
  end
end

-- Inputs that lie across are copied first, if they are long.
for _, n in ipairs { 5, 63, 64, 100 } do
  local a, b = sd.randn(n, n), sd.randn(n, n)
  local c = sd.tensor(a:T():totable())
  local d = sd.randn(2, n, n)
  local e = sd.tensor(d:permute(3, 1, 2):totable())
  tap.ok(bits(a:T() * b + a:T()) == bits(c * b + c) and
         bits((a:T() * b):sum(2)) == bits((c * b):sum(2)) and
         bits((a:T() - b):amax(1)) == bits((c - b):amax(1)) and
         bits(d:permute(3, 1, 2) * 2 + d:permute(3, 1, 2)[{ {}, 1 }]
           :unsqueeze(2)) == bits(e * 2 + e[{ {}, 1 }]:unsqueeze(2)),
         ("transposed inputs, %d x %d"):format(n, n))
end

-- Results that no cache holds are written past them; pieces that one does
-- hold are made by the loops, in their first run.
do
  local n, piece = 4200003, 60000
  local x = {}
  for i = 1, 3 do
    x[i] = sd.randn(n, { generator = sd.generator(i) })
  end
  sd.eval(x)
  local function one(a, b, c) return a * b + c end
  local function two(a, b, c)
    local h = (a - b) / (sd.abs(c) + 1)
    return h * h, sd.tanh(h) - c
  end
  for _, f in ipairs { one, two } do
    local whole, worst = { f(x[1], x[2], x[3]) }, 0
    sd.eval(whole)
    for from = 1, n, piece do
      local length, part = math.min(piece, n - from + 1), {}
      for i = 1, 3 do part[i] = x[i]:narrow(1, from, length) end
      for k, y in ipairs { f(part[1], part[2], part[3]) } do
        local d = sd.abs(whole[k]:narrow(1, from, length) - y):amax():item()
        worst = math.max(worst, d)
      end
    end
    tap.ok(worst == 0, "long results, written past the caches")
  end
end

tap.done()
