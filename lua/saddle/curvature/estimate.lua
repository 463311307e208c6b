-- Traces, diagonals and norms of operators from products with random probes,
-- each with its standard error. Ctrl-C returns those of the probes so far, and
-- "interrupted" after them; what is exact only when whole raises the error.

local core = require "saddle.core"
local fail = require "saddle.fail"
local interrupt = require "saddle.interrupt"
local operator = require "saddle.curvature.operator"
local probes = require "saddle.curvature.probes"
local sd = require "saddle.init"

local methods = { ["hutchinson"] = 1, ["hutch++"] = 1, ["xtrace"] = 1 }

--- The trace, and the estimate's standard error. Each sample is a probe;
--- Hutch++ takes one and a half products for each, XTrace two. The errors of
--- Hutchinson's mean and of Hutch++, whose spread half the samples tell, are
--- widened when these are few, so that twice them hold 19 times of 20.
--- Ctrl-C returns the estimate so far (from a sketch alone, Hutchinson's), its
--- error and "interrupted".
---@param o? table method "hutchinson" | "hutch++" | "xtrace", samples (32),
---  probes (a matrix of columns), seed
function operator:trace(o)
  o = sd.check_options(o, { "method:S", "samples:N", "probes", "seed:I" },
                       "trace")
  local method = o.method or "hutchinson"
  if not methods[method] then
    fail("trace: method must be hutchinson, hutch++, xtrace, not '%s'", method)
  end
  local count = o.samples or 32
  local A = self:frugal()
  if method == "hutchinson" then
    return probes.mean(self, o.probes or count, count, o.seed, function(rows)
      return core.trace_estimate(A, rows, method)
    end)
  end
  local rows = probes.rows(self, o.probes, count, o.seed)
  if rows:size(1) < 2 then
    fail("trace: %s needs two samples or more, not %d", method, rows:size(1))
  end
  local value, error, done, cut = core.trace_estimate(A, rows, method)
  if method == "hutch++" and done > 3 then
    error = error * probes.widening(done // 2 - 1)
  end
  return interrupt.marked(cut, value, error)
end

-- In the form of the parameters, where the operator has one.
local function shaped(self, v)
  return self.unravel and self.unravel(v:to(self.dtype)) or v
end

--- The diagonal and its standard errors, widened as a trace's, in the form of
--- the parameters. With
--- method = "exact" from n products, all of them with a unit vector. Ctrl-C
--- returns the estimate so far, its errors and "interrupted".
---@param o? table samples (64), probes (a matrix of columns), seed, method
---  "hutchinson" | "exact"
function operator:diag(o)
  o = sd.check_options(o, { "samples:N", "probes", "seed:I", "method:S" },
                       "diag")
  if o.method == "exact" then
    local list = {}
    self:each_columns(function(rows, e)
      list[#list + 1] = sd.eval((rows * e):sum(2))
    end)
    local d = sd.cat(list, 1)
    return shaped(self, d), shaped(self, sd.zeros_like(d))
  elseif o.method and o.method ~= "hutchinson" then
    fail("diag: method must be hutchinson or exact, not '%s'", o.method)
  end
  local value, error, cut = probes.mean(
    self, o.probes or o.samples, 64, o.seed, function(rows)
      return core.diagonal(self, rows)
    end)
  return interrupt.marked(cut, shaped(self, value), shaped(self, error))
end

--- The Frobenius norm, and the estimate's standard error, widened as a trace's;
--- after Ctrl-C those so far, and "interrupted".
---@param o? table samples (32), probes (a matrix of columns), seed
function operator:frobenius(o)
  o = sd.check_options(o, { "samples:N", "probes", "seed:I" }, "frobenius")
  local A = self:frugal()
  local square, error, cut = probes.mean( -- of |A v|^2
    self, o.probes or o.samples, 32, o.seed, function(rows)
      local value, e, done, stopped = core.frobenius(A, rows)
      return value ^ 2, 2 * value * e, done, stopped
    end)
  local norm = math.sqrt(square)
  return interrupt.marked(cut, norm, norm > 0 and error / (2 * norm) or error)
end
