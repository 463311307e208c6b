-- What options of the tensor functions do; the numbers are NumPy's, those of
-- round PyTorch's.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local f64 = { dtype = "f64" }

local function t(v) return sd.tensor(v, f64) end
local function near(x, wanted, name)
  wanted = sd.is_tensor(wanted) and wanted or t(wanted)
  if table.concat(x.shape, ",") ~= table.concat(wanted.shape, ",") then
    tap.ok(false, ("%s: shape {%s}"):format(name, table.concat(x.shape, ", ")))
    return
  end
  tap.ok(common.distance(x, wanted) < 1e-13, name)
end
local function bad(f, pattern, name)
  tap.throws(f, "options_test%.lua:%d+: " .. pattern, name)
end

-- ---- order -----------------------------------------------------------------

local x = t { { 3, 1, 4, 1, 5 }, { 9, 2, 6, 5, 3.5 } }
local q = t { 0.1, 0.35, 0.5, 1 }
for how, wanted in pairs {
  linear = { { 1, 2.6 }, { 1.8, 4.1 }, { 3, 5 }, { 5, 9 } },
  lower = { { 1, 2 }, { 1, 3.5 }, { 3, 5 }, { 5, 9 } },
  higher = { { 1, 3.5 }, { 3, 5 }, { 3, 5 }, { 5, 9 } },
  nearest = { { 1, 2 }, { 1, 3.5 }, { 3, 5 }, { 5, 9 } },
  midpoint = { { 1, 2.75 }, { 2, 4.25 }, { 3, 5 }, { 5, 9 } } } do
  near(x:quantile(q, 2, { interpolation = how }), wanted, "quantile, " .. how)
end
near(x:quantile(t { 0.2, 0.8 }), { 1.8, 5.2 }, "quantiles of all elements")
near(x:quantile(0.5, -1, { keepdim = true }), { { 3 }, { 5 } },
     "quantile keeps a dim")
near(x:T():quantile(q, 1), x:quantile(q, 2), "quantiles along the first dim")
tap.is(x:quantile(q, 2, { keepdim = true }).shape, { 4, 2, 1 },
       "quantiles keep a dim, after the new one")
tap.near(sd.grad(function(v) return x[1]:quantile(v) end)(t(0.3)), 8, 1e-12,
         "the slope of a quantile in q")
bad(function() x:quantile(t { 0.5, 1.5 }) end,
    "quantile: q must lie in %[0, 1%], not 1.5", "q above 1")
bad(function() x:quantile(0 / 0) end, "quantile: q must lie in", "q of NaN")
bad(function() x:quantile(0.5, 1, { interpolation = "cubic" }) end,
    "quantile: interpolation is .*not 'cubic'", "an unknown interpolation")

local ties = t { 2, 1, 2, 1, 2 }
local _, places = ties:sort { stable = true }
tap.is(places, { 2, 4, 1, 3, 5 }, "sort keeps the order of equal elements")
_, places = ties:sort { descending = true, stable = true }
tap.is(places, { 1, 3, 5, 2, 4 }, "downwards too")
tap.is((x:topk(2, { sorted = true })), { { 5, 4 }, { 9, 6 } }, "topk, sorted")
tap.is((x:topk(1, { dim = 1, largest = false })), { { 3, 1, 4, 1, 3.5 } },
       "topk of the smallest along dim 1")

local h, w = t { 1, 2, 2.5, 3, 9, 10 }, t { 1, 2, 3, 4, 5, 6 }
near((h:histogram(3, { weight = w })), { 10, 0, 11 }, "histogram of weights")
near((h:histogram(3, { density = true })), { 2 / 9, 0, 1 / 9 },
     "histogram as a density")
near((h:histogram { bins = 4, range = { 0, 8 }, density = true, weight = w }),
     { 0.05, 0.45, 0, 0 }, "both, over a range that leaves some out")
bad(function() h:histogram(3, { weight = t { 1 } }) end,
    "histogram: weights of shape {1} for {6}", "weights of another shape")

-- ---- elementwise -------------------------------------------------------------

near(t { 1.2345, -2.675, 0.125 }:round(2), { 1.23, -2.68, 0.12 },
     "round to two decimals")
near(t { 1234.5, -2675, 150 }:round { decimals = -2 }, { 1200, -2700, 200 },
     "round to hundreds")

-- ---- products ----------------------------------------------------------------

local a = sd.arange(1, 24, f64):reshape(2, 3, 4)
local b = sd.arange(1, 12, f64):reshape(3, 4) / 7
tap.near(sd.einsum("...ij,jk->...ik", a, b:T()[{ {}, { 1, 2 } }]):sum(),
         2760 / 7, 1e-10, "einsum: ... before, sum")
near(sd.einsum("...ij,...ij->...", a, b), { 650 / 7, 1586 / 7 },
     "einsum: ... of different lengths")
near(sd.einsum("i...->...", a), a:sum(1), "einsum: ... behind")
near(sd.einsum("...ij->...ji", a), a:transpose(2, 3), "einsum: a transpose")
near(sd.einsum("...ij", a), a, "einsum: no output named")
near(sd.einsum("...k,...k->...", a, sd.arange(1, 8, f64):reshape(2, 1, 4)),
     { { 30, 70, 110 }, { 382, 486, 590 } }, "einsum: ... broadcasts")
near(sd.einsum("...,...->...", sd.ones({ 1, 1 }, f64), sd.ones({ 1 }, f64)),
     { { 1 } }, "einsum: ... of extents 1 alone")
tap.ok(sd.check_grad(function(u, v) return sd.einsum("...k,k->...", u, v) end,
                     { a, b[1] }), "einsum: derivatives through ...")
bad(function() return (sd.einsum("..ij->ij", a)) end, "einsum: cannot read",
    "two dots")
bad(function() return (sd.einsum("...ijkl->...", a)) end,
    "einsum: '...ijkl' for a tensor of 3 dims", "too few dims")

near(sd.kron(t { { 1, 2 }, { 3, 4 } }, t { 1, 2, 3 }),
     { { 1, 2, 3, 2, 4, 6 }, { 3, 6, 9, 4, 8, 12 } }, "kron with a vector")
near(sd.kron(sd.arange(1, 4, f64):reshape(2, 1, 2),
             sd.arange(1, 4, f64):reshape(2, 2)),
     { { { 1, 2, 2, 4 }, { 3, 4, 6, 8 } }, { { 3, 6, 4, 8 }, { 9, 12, 12, 16 } } },
     "kron of three dims with two")
near(sd.cross(t { { 1, 4 }, { 2, 5 }, { 3, 6 } },
              t { { 2, -1 }, { 1, 3 }, { 0, 5 } }, 1),
     { { -3, 7 }, { 6, -26 }, { -3, 17 } }, "cross along dim 1")
bad(function() return (sd.cross(x, x)) end,
    "cross: dim %-1 must have 3 elements, not 5 and 5", "cross of 5 elements")

local m = t { { 4, 99, 99 }, { 2, 5, 99 }, { 0.5, 1, 3 } }
local values = { 2.316257728474518, 2.8111670774842694, 6.8725751940412145 }
near((sd.linalg.eigh(m)), values, "eigh reads the lower triangle")
near((sd.linalg.eigh(m:T(), { UPLO = "U" })), values, "or the upper one")
near(sd.linalg.cholesky(m:T(), { upper = true }),
     { { 2, 1, 0.25 }, { 0, 2, 0.375 }, { 0, 0, 1.6723860200324565 } },
     "cholesky, upper")
bad(function() sd.linalg.eigh(m, { UPLO = "X" }) end,
    "linalg.eigh: UPLO is 'L' or 'U', not 'X'", "another triangle")

-- ---- optimizers --------------------------------------------------------------

bad(function() sd.optim.sgd { nesterov = true } end,
    "sgd: nesterov needs a momentum", "nesterov without momentum")
bad(function()
  sd.optim.sgd { nesterov = true, momentum = 0.9, dampening = 0.1 }
end, "sgd: nesterov needs", "nesterov with dampening")
local opt = sd.optim.sgd { nesterov = true, momentum = 0.9 }
bad(function() opt.momentum = 0 end, "sgd: nesterov needs",
    "momentum set to 0 under nesterov")
tap.is(opt.momentum, 0.9, "which leaves it as it was")

tap.done()
