-- Points of problems, and coordinates that only a root gives.

local sd = require "saddle.init"

local point = {}
local f64 = { dtype = "f64" }

function point.tensor(values) return sd.tensor(values, f64) end

--- A list of points of rows { x, y, ..., loss = }, with index and what else
--- is given.
function point.list(rows, index)
  local list = {}
  for i, row in ipairs(rows) do
    local at = table.move(row, 1, #row, 1, {})
    list[i] = { at = point.tensor(at), loss = row.loss or 0,
                index = row.index or index or 0, degenerate = row.degenerate,
                kink = row.kink }
  end
  return list
end

--- The same interval for each of n coordinates.
function point.box(n, from, to)
  local list = {}
  for i = 1, n do list[i] = { from, to } end
  return list
end

--- n copies of v, a list.
function point.copies(n, v)
  local list = {}
  for i = 1, n do list[i] = v end
  return list
end

--- The root of f between a and b, where it changes its sign, to rounding.
function point.root(f, a, b)
  local low = f(a)
  for _ = 1, 200 do
    local m = (a + b) / 2
    if m == a or m == b then break end
    local v = f(m)
    if (v < 0) == (low < 0) then a, low = m, v else b = m end
  end
  return (a + b) / 2
end

--- All critical points of sum_i u(x_i) with n coordinates out of those of u,
--- { x, loss, down (u'' < 0) }: minima, saddles, maxima.
function point.products(n, critical)
  local minima, saddles, maxima = {}, {}, {}
  local function extend(at, loss, index)
    if #at == n then
      local list = index == 0 and minima or index == n and maxima or saddles
      local row = { loss = loss, index = index, table.unpack(at) }
      list[#list + 1] = row
      return
    end
    for _, c in ipairs(critical) do
      at[#at + 1] = c[1]
      extend(at, loss + c[2], index + (c[3] and 1 or 0))
      at[#at] = nil
    end
  end
  extend({}, 0, 0)
  table.sort(minima, function(a, b)
    if a.loss ~= b.loss then return a.loss < b.loss end
    return a[1] < b[1]
  end)
  return point.list(minima), point.list(saddles), point.list(maxima)
end

--- A random orthogonal matrix {n, n}: the eigenvectors of a random symmetric
--- one.
function point.rotation(n, random)
  local A = sd.randn(n, n, random)
  local _, Q = sd.linalg.eigh(A + A:T())
  return sd.eval(Q)
end

return point
