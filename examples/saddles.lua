-- Do critical points of high loss have more directions down? In random high
-- dimensional functions they do, and in networks (Dauphin et al. 2014): the
-- index of a critical point rises with its loss. Here a small network (with a
-- little weight decay: without it critical points lie in flat valleys) and the
-- zeros of its gradient that a search finds. Seconds; draws out/saddles.png.
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

print "index   points   mean loss"
local sum, count = {}, {}
for _, c in ipairs(points) do
  sum[c.index] = (sum[c.index] or 0) + c.loss
  count[c.index] = (count[c.index] or 0) + 1
end
for index = 0, 18 do
  if count[index] then
    print(("%5d %8d %11.4f"):format(index, count[index],
                                    sum[index] / count[index]))
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
local x_of, y_of = {}, {}
for i, c in ipairs(points) do x_of[i], y_of[i] = c.loss, c.index / 18 end
if not quick then
  sd.plot.scatter { x = x_of, y = y_of, xlabel = "loss",
                    ylabel = "share of negative eigenvalues",
                    title = "Critical points of a small network" }
    :save "out/saddles.png"
end
if #points > 2 then
  local a, b = ranks "loss", ranks "index"
  a, b = a - a:mean(), b - b:mean()
  print(("rank correlation of loss and index: %.2f (expected: near 1)"):format(
    ((a * b):sum() / (a:norm() * b:norm())):item()))
end
