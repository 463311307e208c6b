-- Random probes: rows of random signs, or the columns the caller brings.

local fail = require "saddle.fail"
local interrupt = require "saddle.interrupt"
local sd = require "saddle.init"

-- budget: elements of the probes that are there at once.
local probes = { budget = 2 ^ 25 }

local function signs(self, count, g)
  local u = sd.randint(0, 1, { count, self.n }, { generator = g })
  return (u * 2 - 1):to(self.dtype)
end

local function columns(self, given)
  if not sd.isfinite(given):all():item() then
    fail "probes: an entry is not finite"
  end
  return self:columns(given, "probes")
end

local function check(count)
  if math.type(count) ~= "integer" or count < 1 then
    fail("probes: needs a count or a matrix of columns, not %s",
         tostring(count))
  end
  return count
end

--- All of them as one matrix of rows.
function probes.rows(self, given, otherwise, seed)
  if sd.is_tensor(given) then return columns(self, given) end
  return signs(self, check(given or otherwise), sd.generator(seed or 1))
end

--- By how much a standard error of so many degrees of freedom is widened for
--- twice it to hold the truth 19 times of 20: Student's 97.5 % quantile over
--- the normal one, from its expansion (Abramowitz and Stegun 1964, 26.7.5).
function probes.widening(degrees)
  local z, exact = 1.959963984540054, { 12.706204736432, 4.302652729911 }
  if exact[degrees] then return exact[degrees] / z end
  local v, z2 = degrees, z * z
  return 1 + (z2 + 1) / (4 * v) + ((5 * z2 + 16) * z2 + 3) / (96 * v ^ 2) +
         (((3 * z2 + 19) * z2 + 17) * z2 - 15) / (384 * v ^ 3) +
         ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) /
         (92160 * v ^ 4)
end

local function widened(error, count)
  return count > 1 and error * probes.widening(count - 1) or error
end

--- The mean of estimate(rows) -> value, standard error, probes done, cut (by
--- Ctrl-C) over all probes, some at a time, and its standard error (Chan, Golub
--- and LeVeque 1979), widened when the probes are few; after Ctrl-C those so
--- far, and "interrupted".
function probes.mean(self, given, otherwise, seed, estimate)
  local function once(rows)
    local value, error, done, cut = estimate(rows)
    return interrupt.marked(cut, value, widened(error, done))
  end
  if sd.is_tensor(given) then return once(columns(self, given)) end
  local count, g = check(given or otherwise), sd.generator(seed or 1)
  local size = math.max(2, probes.budget // self.n)
  if count <= size then return once(signs(self, count, g)) end
  local s = interrupt.steps((count + size - 1) // size,
                            { total = 0, mean = 0, square = 0 }, function(s)
    local rows = math.tointeger(math.min(size, count - s.total))
    local value, error, m, cut = estimate(signs(self, rows, g))
    local delta, all = value - s.mean, s.total + m
    local own = m > 1 and error ^ 2 * (m * (m - 1)) or 0
    local new = { total = all, mean = s.mean + delta * (m / all),
                  square = s.square + own + delta ^ 2 * (s.total * m / all) }
    if sd.is_tensor(new.mean) then sd.eval(new.mean, new.square) end
    return new, cut
  end)
  if s.total == 0 then interrupt.raise() end
  local error = (s.square / (s.total * (s.total - 1))) ^ 0.5
  return interrupt.marked(s.total < count, s.mean, widened(error, s.total))
end

return probes
