-- What few repetitions say: quantiles, and whether two samples differ.

local fail = require "saddle.fail"

local statistics = {}

local function sorted(list)
  local copy = {}
  for i, v in ipairs(list) do copy[i] = v == v and v or math.huge end
  table.sort(copy)
  return copy
end

--- The q-quantile of a list, between its neighbours in a straight line (type 7
--- of Hyndman and Fan 1996); not-a-numbers count as infinite.
---@param list number[]
---@param q number in [0, 1]
function statistics.quantile(list, q)
  if #list == 0 then fail "quantile: the list is empty" end
  local s = sorted(list)
  local at = 1 + (#s - 1) * q
  local i = math.floor(at)
  local low, high = s[i], s[math.min(i + 1, #s)]
  if low == high or at == i then return low end
  return low + (high - low) * (at - i)
end

-- Ranks of the values of a, then b, all together; ties share their mean.
local function ranks(a, b)
  local all = {}
  for _, v in ipairs(a) do all[#all + 1] = v == v and v or math.huge end
  for _, v in ipairs(b) do all[#all + 1] = v == v and v or math.huge end
  local order = {}
  for i = 1, #all do order[i] = i end
  table.sort(order, function(i, j)
    if all[i] ~= all[j] then return all[i] < all[j] end
    return i < j
  end)
  local rank, ties, i = {}, 0, 1
  while i <= #order do
    local j = i
    while order[j + 1] and all[order[j + 1]] == all[order[i]] do j = j + 1 end
    for k = i, j do rank[order[k]] = (i + j) / 2 end
    ties = ties + (j - i + 1) ^ 3 - (j - i + 1)
    i = j + 1
  end
  return rank, ties
end

-- The share of the choices of m of the ranks whose sum is as far from its
-- mean as the one seen, by counting over sums of doubled ranks.
local function exact(rank, m, seen)
  local ways = { [0] = { [0] = 1 } }
  for k = 1, m do ways[k] = {} end
  for _, r in ipairs(rank) do
    local r2 = math.floor(2 * r + 0.5)
    for k = m, 1, -1 do
      for s, count in pairs(ways[k - 1]) do
        ways[k][s + r2] = (ways[k][s + r2] or 0) + count
      end
    end
  end
  local n = #rank
  local mean, far, total = m * (n + 1), math.abs(2 * seen - m * (n + 1)), 0
  local extreme = 0
  for s, count in pairs(ways[m]) do
    total = total + count
    if math.abs(s - mean) >= far - 1e-9 then extreme = extreme + count end
  end
  return extreme / total
end

local function normal_tail(z) -- 2 P(Z > z), Abramowitz and Stegun 26.2.17
  local t = 1 / (1 + 0.2316419 * z)
  local poly = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 +
               t * (-1.821255978 + t * 1.330274429))))
  return 2 * poly * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
end

--- The two-sided p-value of the rank-sum test (Mann and Whitney 1947), that two
--- samples come from one distribution: exact, ties included, up to 40 values
--- together; by the normal approximation beyond.
---@param a number[]
---@param b number[]
---@return number p
function statistics.rank_sum(a, b)
  local m, n = #a, #b
  if m == 0 or n == 0 then fail "rank_sum: a sample is empty" end
  local rank, ties = ranks(a, b)
  local seen = 0
  for i = 1, m do seen = seen + rank[i] end
  local N = m + n
  if N <= 40 then return exact(rank, m, seen) end
  local variance = m * n / 12 * (N + 1 - ties / (N * (N - 1)))
  if variance <= 0 then return 1 end
  local far = math.max(math.abs(seen - m * (N + 1) / 2) - 0.5, 0)
  return math.min(1, normal_tail(far / math.sqrt(variance)))
end

--- p-values corrected for being the smallest of several (Holm 1979).
---@param list number[]
---@return number[]
function statistics.holm(list)
  local order, out, most = {}, {}, 0
  for i = 1, #list do order[i] = i end
  table.sort(order, function(i, j)
    if list[i] ~= list[j] then return list[i] < list[j] end
    return i < j
  end)
  for k, i in ipairs(order) do
    most = math.max(most, math.min(1, (#list - k + 1) * list[i]))
    out[i] = most
  end
  return out
end

return statistics
