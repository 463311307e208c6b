-- Where are all critical points of a deep linear network? Theory knows
-- (Baldi and Hornik 1989): with whitened data and targets of singular values
-- s, the loss at each is half the sum of s^2 less those of at most h chosen
-- ones; each level has one index; only the lowest is a minimum. Here 4-2-4,
-- s = (2, 1.5, 1, .5), from random starts. A few seconds.
local quick = arg and arg[1] == "--quick"
local o = { dtype = "f64", generator = sd.generator(1) }
local s = { 2, 1.5, 1, 0.5 }

-- Whitened inputs: X'X / 200 = 1.
local X = sd.randn(200, 4, o)
local L = sd.linalg.cholesky(X:T():matmul(X) / 200)
X = sd.linalg.solve(L, X:T()):T()
local Y = sd.eval(X * sd.tensor(s, { dtype = "f64" }))
local function loss(p)
  local r = X:matmul(p.first):matmul(p.second) - Y
  return r:square():sum() / 400
end

local expected = {} -- level -> index
for i, v in ipairs { 0.625, 1.25, 1.625, 1.75, 2.125, 2.5, 2.625, 3.125, 3.25,
                     3.625 } do
  expected[v] = ({ 0, 1, 2, 3, 2, 3, 4, 4, 5, 6 })[i]
end
expected[3.75] = 8

local function nearest(v)
  local best
  for level in pairs(expected) do
    if not best or math.abs(level - v) < math.abs(best - v) then
      best = level
    end
  end
  return best
end

local found, worst, converged = {}, 0, 0
local starts = quick and 5 or 100
for _ = 1, starts do
  local p = { first = 0.7 * sd.randn(4, 2, o),
              second = 0.7 * sd.randn(2, 4, o) }
  local _, c = sd.critical.find(loss, p, { kind = "any", max_iter = 400 })
  if c.converged then
    local level = nearest(c.loss)
    converged, worst = converged + 1, math.max(worst, math.abs(c.loss - level))
    found[level] = found[level] or {}
    found[level][c.index] = (found[level][c.index] or 0) + 1
  end
end

print(("%d of %d starts converge, losses within %.0e of a level"):format(
  converged, starts, worst))
print "level   index: expected   found (times)"
local levels = {}
for level in pairs(found) do levels[#levels + 1] = level end
table.sort(levels)
for _, level in ipairs(levels) do
  local text = {}
  for index, count in pairs(found[level]) do
    text[#text + 1] = ("%d (%d)"):format(index, count)
  end
  print(("%.3f %14d          %s"):format(level, expected[level],
                                        table.concat(text, ", ")))
end

-- And the picture everyone knows: all of Himmelblau's function.
print "\nHimmelblau's function: expected 4 minima, 4 saddles, 1 maximum"
for _, c in ipairs(sd.critical.sweep(function(p)
  return (p[1] ^ 2 + p[2] - 11) ^ 2 + (p[1] + p[2] ^ 2 - 7) ^ 2
end, { { -5, 5 }, { -5, 5 } })) do
  print(("%-8s index %d at (%8.5f, %8.5f), loss %.4f"):format(
    c.kind, c.index, c.at[1], c.at[2], c.loss))
end
