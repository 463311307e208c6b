-- Do critical points of high loss have more directions down? In random high
-- dimensional functions they do, and in networks (Dauphin et al. 2014): the
-- index of a critical point rises with its loss. Here a small network (with a
-- little weight decay: without it critical points lie in flat valleys) and the
-- critical points that a search for its gradient's zeros finds. Ten seconds.
local quick = arg and arg[1] == "--quick"
local o = { dtype = "f64", generator = sd.generator(1) }
local x = sd.randn(40, 3, o)
local y = sd.eval(x:matmul(sd.randn(3, 3, o)):sin() +
                  0.1 * sd.randn(40, 3, o))

local function loss(p)
  local h = (x:matmul(p.first)):tanh()
  local decay = p.first:square():sum() + p.out:square():sum()
  return (h:matmul(p.out) - y):square():sum() / 80 + 5e-3 * decay
end

local points, flat, failed = {}, 0, 0
for i = 1, quick and 6 or 150 do
  local scale = 0.2 + 1.3 * (i % 10) / 10
  local start = { first = scale * sd.randn(3, 3, o),
                  out = scale * sd.randn(3, 3, o) }
  local _, c = sd.critical.find(loss, start, { kind = "any", max_iter = 100,
                                               tol = 1e-8 })
  if c.converged then points[#points + 1] = c
  elseif c.reason:find "^gradient%-flat" then flat = flat + 1
  else failed = failed + 1 end
end
print(("%d critical points, %d places where the gradient's norm is least " ..
       "but not zero, %d not converged"):format(#points, flat, failed))

table.sort(points, function(a, b) return a.loss < b.loss end)
local levels = {}
for _, c in ipairs(points) do
  local last = levels[#levels]
  if last and math.abs(last.loss - c.loss) < 1e-6 and
     last.index == c.index then
    last.count = last.count + 1
  else
    levels[#levels + 1] = { loss = c.loss, index = c.index, count = 1 }
  end
end
print "  loss    index   times found"
for i, l in ipairs(levels) do
  if i <= 12 or i > #levels - 3 then
    print(("%.5f %6d %10d"):format(l.loss, l.index, l.count))
  elseif i == 13 then
    print "  ..."
  end
end

-- The correlation of ranks (Spearman), ties at their mean.
local function ranks(key)
  local order, rank = {}, {}
  for i = 1, #points do order[i] = i end
  table.sort(order, function(a, b)
    if points[a][key] ~= points[b][key] then
      return points[a][key] < points[b][key]
    end
    return a < b
  end)
  local i = 1
  while i <= #order do
    local j = i
    while order[j + 1] and
          points[order[j + 1]][key] == points[order[i]][key] do
      j = j + 1
    end
    for k = i, j do rank[order[k]] = (i + j) / 2 end
    i = j + 1
  end
  return sd.tensor(rank, { dtype = "f64" })
end
if #points > 2 then
  local a, b = ranks "loss", ranks "index"
  a, b = a - a:mean(), b - b:mean()
  print(("rank correlation of loss and index: %.2f (expected: near 1)"):format(
    ((a * b):sum() / (a:norm() * b:norm())):item()))
end
