-- Making, looking, indexing and operators: known answers, and what each
-- mistake is told.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local f64, i64 = { dtype = "f64" }, { dtype = "i64" }
local is, near = tap.is, tap.near

local function t(v) return sd.tensor(v, f64) end
local function k(v) return sd.tensor(v, i64) end
-- An error with this text, at a line of this file.
local function bad(f, pattern, name)
  tap.throws(f, "index_test%.lua:%d+: " .. pattern, name)
end

-- ---- making ----------------------------------------------------------------

is(sd.tensor(5).shape, {}, "a number makes a 0-d tensor")
is(sd.tensor(5):item(), 5, "that holds it")
is(sd.tensor { 1, 2 }.dtype, "f32", "numbers are f32")
is(sd.tensor { true, false }.dtype, "bool", "booleans are bool")
is(sd.tensor { true, false }, { true, false }, "and stay so")
is(sd.tensor({ 1.9, -1.9 }, i64), { 1, -1 }, "i64 drops the fraction")
is(k { 2 ^ 53 | 0, math.maxinteger }, { 2 ^ 53 | 0, math.maxinteger },
   "long integers are exact")
is(sd.tensor { { 1, 2, 3 }, { 4, 5, 6 } }.shape, { 2, 3 }, "nested tables")
is(sd.tensor {}.shape, { 0 }, "an empty table")
is(sd.tensor { {}, {} }.shape, { 2, 0 }, "empty rows")
is(sd.tensor { sd.tensor(1), sd.tensor(2) * 3 }, { 1, 6 },
   "one-element tensors inside a table are numbers")
is(sd.tensor(sd.tensor { 1, 2 }, f64).dtype, "f64", "a tensor is cast")
is(sd.zeros(2, 3), { { 0, 0, 0 }, { 0, 0, 0 } }, "zeros of numbers")
is(sd.zeros { 2, 1 }, { { 0 }, { 0 } }, "zeros of a list")
is(sd.zeros(2, f64).dtype, "f64", "options come last")
is(sd.zeros().shape, {}, "zeros of nothing is 0-d")
is(sd.zeros {}.shape, {}, "zeros of an empty list too")
is(sd.zeros { 0, 3 }:totable(), {}, "zeros of no rows")
is(sd.ones(2, i64), { 1, 1 }, "ones of integers")
is(sd.full({ 2 }, 7), { 7, 7 }, "full")
is(sd.full({}, 7):item(), 7, "full of 0-d")
is(sd.eye(2), { { 1, 0 }, { 0, 1 } }, "eye")
is(sd.eye(2, 3, f64), { { 1, 0, 0 }, { 0, 1, 0 } }, "a wide eye")
is(sd.arange(1, 4), { 1, 2, 3, 4 }, "arange includes its end")
is(sd.arange(1, 4).dtype, "i64", "arange of integers is i64")
is(sd.arange(1, 2, 0.5), { 1, 1.5, 2 }, "arange by fractions")
is(sd.arange(5, 1, -2), { 5, 3, 1 }, "arange downwards")
is(sd.arange(3, 1).shape, { 0 }, "arange of nothing")
is(#sd.arange(0, 1, 0.1), 11, "arange to 1 by 0.1 ends at 1")
is(sd.linspace(0, 1, 5, f64), { 0, .25, .5, .75, 1 }, "linspace")
is(sd.linspace(3, 9, 1), { 3 }, "linspace of one")
is(sd.linspace(0.1, 0.7, 7, f64)[7]:item(), 0.7, "linspace's end is exact")
is(sd.rand(3, 2).shape, { 3, 2 }, "rand's shape")
tap.ok(sd.rand(1000):ge(0):all():item() and sd.rand(1000):lt(1):all():item(),
       "rand lies in [0, 1)")
local z = sd.randn(20000, f64)
tap.ok(math.abs(z:mean():item()) < .03 and math.abs(z:std():item() - 1) < .03,
       "randn has mean 0 and deviation 1")
local dice = sd.randint(1, 6, { 2000 })
is(dice:min():item(), 1, "randint includes its low end")
is(dice:max():item(), 6, "randint includes its high end")
is(dice.dtype, "i64", "randint is i64")
is((sd.sort(sd.randperm(50))), sd.arange(1, 50), "randperm is a permutation")
is(sd.zeros_like(k { 1, 2 }).dtype, "i64", "zeros_like keeps the dtype")
is(sd.ones_like(t { 1, 2 }), { 1, 1 }, "ones_like")
is(sd.full_like(t { 1, 2 }, 3), { 3, 3 }, "full_like")
is(sd.rand_like(t { 1, 2 }).dtype, "f64", "rand_like")
is(sd.randn_like(t { { 1, 2 } }).shape, { 1, 2 }, "randn_like")
sd.seed(1)
local draw = sd.rand(5)
sd.seed(1)
is(sd.rand(5), draw, "a seed repeats the numbers")
local a = sd.rand(5, { generator = sd.generator(3) })
is(sd.rand(5, { generator = sd.generator(3) }), a, "so does a generator")
tap.ok(not sd.rand(5, { generator = sd.generator(4) }):eq(a):any():item(),
       "another seed, other numbers")
is(sd.default_dtype(), "f32", "the default dtype")
sd.default_dtype "f64"
is(sd.tensor { 1 }.dtype, "f64", "can be set")
sd.default_dtype "f32"

-- ---- looking ---------------------------------------------------------------

local m = t { { 1, 2, 3 }, { 4, 5, 6 } }
is(m.shape, { 2, 3 }, "shape")
is(m.ndim, 2, "ndim")
is(m.dtype, "f64", "dtype")
is(m:numel(), 6, "numel")
is({ m:size(1), m:size(-1) }, { 2, 3 }, "size")
is(#m, 2, "# is the first dim")
is(m:totable(), { { 1, 2, 3 }, { 4, 5, 6 } }, "totable")
is(m:T():totable(), { { 1, 4 }, { 2, 5 }, { 3, 6 } }, "totable of a view")
is(math.type(k { 3 }[1]:item()), "integer", "an i64 is a Lua integer")
is(math.type(t { 3 }[1]:item()), "float", "an f64 is a Lua float")
is(m:to("i32").dtype, "i32", "to casts")
is(t { 1.7, -1.7, 300 }:to "i64", { 1, -1, 300 }, "floats become integers")
is(t { 0, 2, 0 / 0 }:to "bool", { false, true, true }, "and booleans")
is(sd.tensor { true, false }:to "f32", { 1, 0 }, "booleans become numbers")
tap.ok(tostring(m):find "f64" and tostring(m):find "2" and
       tostring(m):find "6", "tostring shows values and dtype")
tap.ok(tostring(sd.zeros(0, 3)), "tostring of an empty tensor")
tap.ok(tostring(sd.zeros(100, 100, 3)):len() < 5000, "tostring elides")
tap.ok(tostring(t(0 / 0)):find "nan", "tostring of NaN")
tap.ok(t(1) < t(2) and t(2) > 1 and t(1) <= t(1) and t(3) >= 2,
       "one-element tensors compare as numbers")
tap.ok(t(1) == t(1) and t(1) ~= t(2), "and are equal as numbers")
local e1, e2 = m + 1, m * 2
sd.eval(e1, { e2 })
is(e1[1], { 2, 3, 4 }, "eval of trees")

-- ---- indexing --------------------------------------------------------------

local c = sd.arange(1, 24, f64):reshape(2, 3, 4)
is(m[1], { 1, 2, 3 }, "a row")
is(m[-1], { 4, 5, 6 }, "the last row")
is(m[2][3], 6, "an element")
is(m[{ 2, 3 }], 6, "an element by a list")
is(m[{ 2, 3 }].shape, {}, "is 0-d")
is(m[{ -1, -1 }], 6, "from the end")
is(m[{ {}, 2 }], { 2, 5 }, "a column")
is(m[{ {}, -1 }], { 3, 6 }, "the last column")
is(m[{ 1, { 2, 3 } }], { 2, 3 }, "a range of a row")
is(m[{ { 1, 2 }, { 1, 2 } }], { { 1, 2 }, { 4, 5 } }, "a block")
is(m[{ {}, { 1, 3, 2 } }], { { 1, 3 }, { 4, 6 } }, "every second column")
is(m[{ {}, { 3, 1, -1 } }], { { 3, 2, 1 }, { 6, 5, 4 } }, "backwards")
is(m[{ {}, { -2, -1 } }], { { 2, 3 }, { 5, 6 } }, "ranges from the end")
is(m[{ {}, { 3, 2 } }].shape, { 2, 0 }, "an empty range")
is(m[{}], m, "an empty list is everything")
is(c[2][{ 3, 4 }], 24, "three dims, element")
is(c[{ 2, {}, 1 }], { 13, 17, 21 }, "three dims, a middle range")
is(c[{ {}, 2 }], { { 5, 6, 7, 8 }, { 17, 18, 19, 20 } }, "fewer entries")
is(c[{ {}, {}, { 4, 1, -3 } }][1][1], { 4, 1 }, "a negative step of 3")
is(m[k { 2, 1, 2 }], { { 4, 5, 6 }, { 1, 2, 3 }, { 4, 5, 6 } },
   "an i64 tensor gathers")
is(m[k { { 1 }, { 2 } }].shape, { 2, 1, 3 }, "in the index's shape")
is(m[k(2)], { 4, 5, 6 }, "a 0-d index")
is(t { 5, 6, 7 }[k { -1 }], { 7 }, "negative indices gather from the end")
is(m[m:gt(3)], { 4, 5, 6 }, "a mask selects")
is(m[sd.tensor { false, true }], { { 4, 5, 6 } }, "a mask of rows")
is(m[m:gt(9)].shape, { 0 }, "a mask of nothing")

local old = t { 1, 2, 3 }
local new = old
local doubled = old * 2
local kept = old + 0
new[2] = 9
is(new, { 1, 9, 3 }, "assignment of an element")
is(doubled, { 2, 4, 6 }, "what was made from the old x keeps it")
is(kept, { 1, 2, 3 }, "also when not computed yet")
local q = m * 1
q[1] = t { 7, 8, 9 }
is(q, { { 7, 8, 9 }, { 4, 5, 6 } }, "assignment of a row")
q[{ {}, 2 }] = 0
is(q, { { 7, 0, 9 }, { 4, 0, 6 } }, "assignment of a column")
q[{ { 1, 2 }, { 3, 1, -2 } }] = t { { 1, 2 }, { 3, 4 } }
is(q, { { 2, 0, 1 }, { 4, 0, 3 } }, "assignment backwards by 2")
q[q:gt(2)] = -1
is(q, { { 2, 0, 1 }, { -1, 0, -1 } }, "assignment through a mask")
q[k { 2 }] = 5
is(q, { { 2, 0, 1 }, { 5, 5, 5 } }, "assignment through an index")
local ints = k { 1, 2, 3 }
ints[2] = 7
is(ints, { 1, 7, 3 }, "assignment keeps integers")
is(ints.dtype, "i64", "and their dtype")
ints[ints:gt(2)] = 0
is(ints, { 1, 0, 0 }, "also through a mask")
ints[k { 1, 3 }] = 4
is(ints, { 4, 0, 4 }, "and through an index")
local twice = sd.zeros(4, f64)
twice[k { 1, 1, 4, -1 }] = t { 5, 7, 1, 2 }
is(twice, { 7, 0, 0, 2 }, "of values for one place the last stays")
local long = sd.zeros(2, i64)
long[k { 1, 2 }] = k { (1 << 60) + 1, 3 }
is(long[1]:item(), (1 << 60) + 1, "long integers are assigned exactly")
local bytes = sd.zeros(2, { dtype = "u8" })
bytes[k { 1, 1 }] = sd.tensor({ 200, 250 }, { dtype = "u8" })
is(bytes, { 250, 0 }, "bytes do not overflow")
local square = sd.zeros(3, f64)
square[k { { 1, 2 }, { 3, 1 } }] = t { { 1, 2 }, { 3, 4 } }
is(square, { 4, 2, 3 }, "assignment through an index of two dims")
local slopes = sd.grad(function(p)
  local z = p[1] * 1
  z[k { 1, 1 }] = p[2]
  return (z * t { 1, 2, 3 }):sum()
end)({ sd.ones(3, f64), sd.ones(2, f64) })
is(slopes[1], { 0, 2, 3 }, "what is kept has its slope")
is(slopes[2], { 0, 1 }, "and so has what stays")
is(sd.vmap(function(v, at)
  local z = sd.zeros(3, f64)
  z[at] = v
  return z
end)(t { { 1, 2 }, { 3, 4 } }, k { { 1, 2 }, { 3, 3 } }),
   { { 1, 2, 0 }, { 0, 0, 4 } }, "under vmap as well")
local picked = sd.zeros(4, f64)
picked[sd.tensor { true, false, true, false }] = t { 5, 7 }
is(picked, { 5, 0, 7, 0 }, "a value for each true of a mask")
local corner = sd.zeros(2, 2, f64)
corner[sd.tensor { { true, false }, { true, true } }] = t { 5, 7, 8 }
is(corner, { { 5, 0 }, { 7, 8 } }, "also over two dims")
local whole = sd.zeros(2, 2, f64)
whole[sd.tensor { true, true }] = t { 5, 7 }
is(whole, { { 5, 7 }, { 5, 7 } }, "a row for each true of a row mask")
is(m[2.0], { 4, 5, 6 }, "a whole float is a place")
is(m[{ 2.0, { 2.0, 3 } }], { 5, 6 }, "also in a list")
bad(function() return m[math.maxinteger] end,
    "index 9223372036854775807 is outside dim 1", "long indices are printed")
bad(function() return m[{ { math.mininteger, 2 } }] end,
    "index: range {%-9223372036854775805, 2, 1} is outside dim 1",
    "also those of ranges")
is(m[{ {}, { 2, 3, math.maxinteger } }], { { 2 }, { 5 } }, "a long step")
bad(function() return m[1.5] end, "index: a tensor has no place 1%.5",
    "no place between two")
bad(function() return m[t { 1.9 }] end,
    "index: an index tensor must be i64 or bool, not f64", "no float index")
bad(function() twice[t { 1 }] = 2 end,
    "index: an index tensor must be i64 or bool, not f64",
    "nor for assignment")
local flags = sd.tensor { true, true }
flags[1] = false
is(flags, { false, true }, "assignment to booleans")

-- ---- operators -------------------------------------------------------------

local maxint = math.maxinteger
local x, y = t { 1, -2, 3 }, t { 2, 2, -2 }
is(x + y, { 3, 0, 1 }, "+")
is(x - y, { -1, -4, 5 }, "-")
is(x * y, { 2, -4, -6 }, "*")
is(x / y, { .5, -1, -1.5 }, "/")
is(x // y, { 0, -1, -2 }, "// rounds down")
is(x % y, { 1, 0, -1 }, "% has the divisor's sign")
is(x ^ 2, { 1, 4, 9 }, "^")
is(-x, { -1, 2, -3 }, "unary minus")
is(2 - x, { 1, 4, -1 }, "a number on the left")
is(2 ^ x, { 2, .25, 8 }, "2 ^ x")
is(10 // k { 3, -3 }, { 3, -4 }, "// of integers")
is(k { 7, -7 } % 3, { 1, 2 }, "% of integers")
is((k { 1 } + 1).dtype, "i64", "integers stay integers")
is((k { 1 } / 2).dtype, "f32", "except in a quotient")
is((k { 1 } * 0.5).dtype, "f32", "or with a fraction")
is((sd.tensor { 1 } * 0.5).dtype, "f32", "numbers leave f32 alone")
is((sd.tensor { 1 } + t { 1 }).dtype, "f64", "f32 and f64 make f64")
is((sd.tensor { 1 } + t(1)).dtype, "f32", "0-d tensors do not widen")
is((sd.tensor { true } + 1).dtype, "i64", "bool and integer")
is((sd.tensor({ 200 }, { dtype = "u8" }) + 100), { 44 }, "u8 wraps")
is((k { 3, -3 } ^ 2), { 9, 9 }, "^ of integers")
is((k { 3 } ^ 2).dtype, "i64", "is an integer")
is((k { 3 } ^ 2.0).dtype, "f32", "except by a float")
is(k { 3 }[1] ^ 39, k(4052555153018976267), "and exact")
is(2 ^ k { 3, -1 }, { 8, 0 }, "of no whole value it is 0")
is((sd.tensor({ 200 }, { dtype = "u8" }) ^ 2), { 64 }, "^ of u8 wraps")
is((sd.tensor { true, false } ^ 2).dtype, "i64", "^ of booleans counts")
bad(function() return k { 2 } ^ -1 end,
    "pow: i64 to the negative power %-1 is no integer", "no negative power")
bad(function() local _ = sd.pow(2, -1) end,
    "pow: i64 to the negative power %-1 is no integer", "of a number either")
is(sd.fmod(k { 7, -7 }, 3), { 1, -1 }, "fmod of integers")
is(sd.fmod(k { 7 }, 3).dtype, "i64", "is an integer")
is(m + t { 10, 20, 30 }, { { 11, 22, 33 }, { 14, 25, 36 } }, "rows broadcast")
is(m + t { { 10 }, { 20 } }, { { 11, 12, 13 }, { 24, 25, 26 } },
   "columns broadcast")
is((t { { 1 }, { 2 } } * t { 1, 10 }), { { 1, 10 }, { 2, 20 } },
   "both broadcast")
is((sd.zeros(0, 3) + sd.ones(3)).shape, { 0, 3 }, "empty ones broadcast")
is(x:lt(y), { true, true, false }, "lt")
is(x:le(1), { true, true, false }, "le")
is(x:gt(y), { false, false, true }, "gt")
is(x:ge(3), { false, false, true }, "ge")
is(x:eq(1), { true, false, false }, "eq")
is(x:ne(1), { false, true, true }, "ne")
is(x:gt(0):logical_and(y:gt(0)), { true, false, false }, "logical_and")
is(x:gt(0):logical_or(y:gt(0)), { true, true, true }, "logical_or")
is(x:gt(0):logical_not(), { false, true, false }, "logical_not")
is(sd.where(x:gt(0), x, 0), { 1, 0, 3 }, "where")
is(t { 0 / 0 }:eq(0 / 0), { false }, "NaN equals nothing")
is(m:matmul(m:T()), { { 14, 32 }, { 32, 77 } }, "matmul")
is(m:mm(m:T()), { { 14, 32 }, { 32, 77 } }, "mm")
is(m:matmul(t { 1, 1, 1 }), { 6, 15 }, "matrix times vector")
is(t { 1, 1 }:matmul(m), { 5, 7, 9 }, "vector times matrix")
is(t { 1, 2 }:matmul(t { 3, 4 }), 11, "vector times vector")
is(c:matmul(sd.ones(2, 4, 5, f64)).shape, { 2, 3, 5 }, "stacks of matrices")
is(c:matmul(sd.ones(4, 5, f64)).shape, { 2, 3, 5 }, "a stack times a matrix")
is(sd.zeros(2, 0):matmul(sd.zeros(0, 3)), sd.zeros(2, 3), "no inner elements")
is(sd.sum(m, 1), m:sum(1), "functions and methods are the same")

-- ---- reductions and shapes, known answers ----------------------------------

is(m:sum():item(), 21, "sum")
is(m:sum(1), { 5, 7, 9 }, "sum of columns")
is(m:sum(-1), { 6, 15 }, "sum of rows")
is(m:sum({ 1, 2 }):item(), 21, "sum of listed dims")
is(m:sum(2, { keepdim = true }), { { 6 }, { 15 } }, "keepdim")
is(m:sum { dim = 2 }, { 6, 15 }, "dim by name")
is(m:mean(1), { 2.5, 3.5, 4.5 }, "mean")
is(m:prod():item(), 720, "prod")
local v, at = m:max(2)
is(v, { 3, 6 }, "max's values")
is(at, { 3, 3 }, "max's indices, from 1")
is(m:max():item(), 6, "max of all")
is(m:argmin(1), { 1, 1, 1 }, "argmin")
is(m:argmax():item(), 6, "argmax of all")
is(m:gt(5):any():item(), true, "any")
is(m:gt(5):all():item(), false, "all")
near(m:var():item(), 3.5, 1e-15, "var")
near(m:std(2), { 1, 1 }, 1e-15, "std")
near(m:std(1, { unbiased = false }), { 1.5, 1.5, 1.5 }, 1e-15, "biased std")
near(t { 3, 4 }:norm():item(), 5, 1e-15, "norm")
near(t { 3, -4 }:norm(1):item(), 7, 1e-15, "1-norm")
is(t { 3, -4 }:norm(math.huge):item(), 4, "infinity norm")
for _, p in ipairs { .5, 1, 1.5, 2, 3, 4, math.huge } do
  local slope = sd.grad(function(v) return v:norm(p) end)
  is(slope(t { 0, 0 }), { 0, 0 }, p .. "-norm's slope at 0")
  near(slope(t { 0, -3 }), { 0, -1 }, 1e-15, "and beside 0")
end
is(sd.grad(function(v) return v:norm(-1) end)(t { 0, 3 }), { 0, 0 },
   "a negative norm's slope")
near(t { 2, 2 }:norm(-1):item(), 1, 1e-15, "a negative norm")
is(t { 0, 2 }:norm(-1):item(), 0, "is 0 with a 0")
is(sd.digamma(0):item(), -math.huge, "digamma at 0")
is(sd.polygamma(1, t { 0, -1 }), { math.huge, math.huge }, "trigamma's poles")
is(t { 1, 2, 3 }:cumsum(1), { 1, 3, 6 }, "cumsum")
is(t { 1, 2, 3 }:cumprod(1), { 1, 2, 6 }, "cumprod")
is(t { 0, 2, 0 }:count_nonzero():item(), 1, "count_nonzero")
is(t { 3, 1, 2, 4 }:median():item(), 2, "median is the lower of two")
is(t { 1, 2, 3, 4 }:quantile(0.5):item(), 2.5, "quantile")
tap.ok(t { 3, 0 / 0, 1 }:median():isnan():item(), "median passes NaN")
tap.ok(t { 3, 0 / 0, 1 }:quantile(0.5):isnan():item(), "so does quantile")
local counts, edges = t { 0, 1, 1, 2 }:histogram(2)
is(counts, { 1, 3 }, "histogram")
is(sd.vmap(function(v) return (v:histogram(2, { range = { 0, 2 } })) end)(
     t { { 0, 1, 2 }, { 0, 0, 2 } }), { { 1, 2 }, { 2, 1 } },
   "histograms under vmap")
is(edges, { 0, 1, 2 }, "its edges")
is(k { 5, 3 }:sum().dtype, "i64", "sum of integers is i64")
is(sd.tensor { true, true }:sum():item(), 2, "sum counts trues")
is(sd.zeros(0):sum():item(), 0, "sum of nothing")
local u8 = sd.tensor({ 3, 200 }, { dtype = "u8" })
is(u8:prod(), 600, "prod of bytes does not overflow")
is(u8:prod().dtype, "i64", "and is i64")
is(u8:cumsum(1), { 3, 203 }, "nor does cumsum")
is(u8:cumprod(1), { 3, 600 }, "nor cumprod")
is(sd.tensor { true, true }:cumsum(1), { 1, 2 }, "cumsum counts trues")
is(sd.tensor { true, false }:prod():item(), 0, "prod of booleans")
is(sd.tensor { true, false }:max(), true, "max of booleans")
is(sd.tensor { true, false }:amin(1, { keepdim = true }), { false },
   "amin of booleans")
is(sd.tensor { true, false }:sign(), { true, false }, "sign of booleans")
is(sd.tensor { true, false }:square(), { 1, 0 }, "square of booleans")
is(m:argmax { keepdim = true }, { { 6 } }, "argmax of all keeps its dims")
is(m:argmin { keepdim = true }, { { 1 } }, "so does argmin")
is(sd.zeros(0):prod():item(), 1, "prod of nothing")
tap.ok(sd.zeros(0):mean():isnan():item(), "mean of nothing is NaN")

is(m:reshape(3, 2), { { 1, 2 }, { 3, 4 }, { 5, 6 } }, "reshape")
is(m:view(-1), { 1, 2, 3, 4, 5, 6 }, "view with -1")
is(c:flatten(2).shape, { 2, 12 }, "flatten")
is(sd.zeros(1, 2, 1):squeeze().shape, { 2 }, "squeeze")
is(sd.zeros(1, 2, 1):squeeze(-1).shape, { 1, 2 }, "squeeze of one dim")
is(t { 1, 2 }:unsqueeze(1).shape, { 1, 2 }, "unsqueeze in front")
is(t { 1, 2 }:unsqueeze(-1).shape, { 2, 1 }, "unsqueeze at the end")
is(c:transpose(1, 3).shape, { 4, 3, 2 }, "transpose")
is(c:permute(2, 3, 1).shape, { 3, 4, 2 }, "permute")
is(c:movedim(1, -1).shape, { 3, 4, 2 }, "movedim")
is(t { 1, 2 }:expand(2, 2), { { 1, 2 }, { 1, 2 } }, "expand")
is(t { { 1 }, { 2 } }:broadcast_to(2, 2), { { 1, 1 }, { 2, 2 } },
   "broadcast_to")
is(m:narrow(2, 2, 2), { { 2, 3 }, { 5, 6 } }, "narrow")
is(m:flip(2), { { 3, 2, 1 }, { 6, 5, 4 } }, "flip")
is(t { 1, 2, 3 }:roll(1), { 3, 1, 2 }, "roll")
is(t { 1, 2 }:tile(2), { 1, 2, 1, 2 }, "tile")
is(t { 1, 2 }:repeat_(2, 1), { { 1, 2 }, { 1, 2 } }, "repeat_")
is(sd.cat({ m, m }, 1).shape, { 4, 3 }, "cat")
is(sd.cat({ t { 1 }, t { 2, 3 } }, 1), { 1, 2, 3 }, "cat of unequal lengths")
is(sd.stack({ t { 1, 2 }, t { 3, 4 } }, 2), { { 1, 3 }, { 2, 4 } }, "stack")
local pieces = t { 1, 2, 3, 4, 5 }:split(2)
is(#pieces, 3, "split")
is(pieces[3], { 5 }, "its last piece")
is(#t { 1, 2, 3, 4, 5 }:chunk(2), 2, "chunk")
is(t { 1, 2 }:pad { 1, 2 }, { 0, 1, 2, 0, 0 }, "pad")
is(t { 1, 2, 3, 4 }:unfold(1, 2, 2), { { 1, 2 }, { 3, 4 } }, "unfold")
is(t { 1, 2 }:diag(), { { 1, 0 }, { 0, 2 } }, "diag of a vector")
is(m:diag(), { 1, 5 }, "diag of a matrix")
local odd = t { { 1, 0 / 0 }, { 1 / 0, 2 } }
is(odd:diag(), { 1, 2 }, "what is beside the diagonal stays there")
is(sd.einsum("ii->i", odd), { 1, 2 }, "also in einsum")
is(sd.einsum("ii", odd):item(), 3, "and in a trace")
is(t { 1, 1 / 0 }:diag(), { { 1, 0 }, { 0, 1 / 0 } }, "zeros beside infinity")
is(t { 1, 2 }:diag(-1), { { 0, 0, 0 }, { 1, 0, 0 }, { 0, 2, 0 } },
   "a vector below the diagonal")
is(m:diag(1), { 2, 6 }, "an upper diagonal")
is(m:diag(5).shape, { 0 }, "a diagonal of nothing")
is(sd.tensor { { true, false }, { true, true } }:diag(), { true, true },
   "diag of booleans")
is(k { 3, 4 }:diag(), { { 3, 0 }, { 0, 4 } }, "diag of integers")
is(k { 3, 4 }:diag().dtype, "i64", "stays so")
is(sd.tensor { true }:diag(), { { true } }, "a boolean diagonal")
is(sd.einsum("iji->ij", sd.arange(1, 12, f64):reshape(2, 3, 2)),
   { { 1, 3, 5 }, { 8, 10, 12 } }, "einsum: a diagonal of outer dims")
is(sd.vmap(function(w) return w:diag() end)(sd.stack { m, m + 1 }),
   { { 1, 5 }, { 2, 6 } }, "diag under vmap")
bad(function() local _ = sd.einsum("ii", m) end,
    "einsum: index 'i' has extents 2 and 3", "no diagonal of unequal dims")
is(m:tril(), { { 1, 0, 0 }, { 4, 5, 0 } }, "tril")
is(m:triu(1), { { 0, 2, 3 }, { 0, 0, 6 } }, "triu")
is(m:gather(2, k { { 3 }, { 1 } }), { { 3 }, { 4 } }, "gather")
is(t { 1, 2, 3 }:scatter(1, k { 2 }, t { 9 }), { 1, 9, 3 }, "scatter")
is(t { 0, 0 }:scatter(1, k { 1, 1 }, t { 5, 7 }), { 7, 0 },
   "the last of two stays")
is(k { 0, 0 }:scatter(1, k { 1 }, 16777217), { 16777217, 0 },
   "integers are exact")
is(k { 0, 0 }:scatter(1, k { 1 }, 16777217).dtype, "i64", "and stay so")
is(sd.zeros(3, f64):scatter_add(1, k { 2, 2 }, t { 1, 2 }), { 0, 3, 0 },
   "scatter_add")
is(m:index_select(2, k { 3, 1 }), { { 3, 1 }, { 6, 4 } }, "index_select")
is(t { 1, 2 }:masked_fill(sd.tensor { true, false }, 9), { 9, 2 },
   "masked_fill")
is(k { 2, 1 }:one_hot(3), { { 0, 1, 0 }, { 1, 0, 0 } }, "one_hot")
is(m:gather(2, k { { 3 } }), { { 3 } }, "gather by fewer rows")
is(m:scatter(2, k { { 3, 1 } }, 0), { { 0, 2, 0 }, { 4, 5, 6 } },
   "scatter by fewer rows")
is(m:scatter_add(2, k { { 3 } }, t { { 9, 9 }, { 9, 9 } }),
   { { 1, 2, 12 }, { 4, 5, 6 } }, "scatter_add of what the index covers")
is(sd.grad(function(v) return v:gather(2, k { { 3 } }):sum() end)(m),
   { { 0, 0, 1 }, { 0, 0, 0 } }, "the slope of a small gather")
bad(function() sd.eval((k { 2, 5 }:one_hot(4))) end,
    "one_hot: label 5 is outside 1 .. 4", "one_hot of too few classes")
is(m:flip(1, 2), { { 6, 5, 4 }, { 3, 2, 1 } }, "flip of two dims")
is(m:roll({ 1, 1 }, { 1, 2 }), { { 6, 4, 5 }, { 3, 1, 2 } },
   "roll of two dims")
is(c:movedim({ 1, 2 }, { 2, 1 }).shape, { 3, 2, 4 }, "movedim of two dims")
is(c:movedim({ 1, 2 }, { -1, 1 }).shape, { 3, 4, 2 }, "with one to the end")
is(c:flatten { start_dim = 2, end_dim = 3 }.shape, { 2, 12 },
   "flatten's dims by name")
is(c:flatten { end_dim = 2 }.shape, { 6, 4 }, "one of them")
local over, up = sd.meshgrid(t { 1, 2 }, t { 3, 4, 5 }, { indexing = "xy" })
is(over, { { 1, 2 }, { 1, 2 }, { 1, 2 } }, "meshgrid by x and y")
is(up, { { 3, 3 }, { 4, 4 }, { 5, 5 } }, "its second part")
is(sd.tensor { m[1], m[2] }, m, "a table of tensors stacks them")
bad(function() local _ = sd.tensor { m[1], 3 } end,
    "tensor: entry 2 of a table of tensors is of another shape",
    "all of one shape")
is(sd.tensor { m[1], m[2] }.dtype, "f64", "in their dtype")
is(sd.tensor({ { m, m } }, i64).shape, { 1, 2, 2, 3 }, "nested ones too")
is(t { 1, 2, 3 }:pad({ 2, 1 }, { mode = "reflect" }), { 3, 2, 1, 2, 3, 2 },
   "pad by reflection")
is(t { 1, 2, 3 }:pad(2, 1, { mode = "replicate" }), { 1, 1, 1, 2, 3, 3 },
   "by the ends")
is(t { 1, 2, 3 }:pad { widths = { 2, 1 }, mode = "circular" },
   { 2, 3, 1, 2, 3, 1 }, "round the ends")
is(m:pad({ -1, 1, 0, 1 }, { mode = "replicate" }),
   { { 2, 3, 3 }, { 5, 6, 6 }, { 5, 6, 6 } }, "cropped, and over two dims")
is(t { 1, 2 }:pad({ 1, 0 }, { mode = "constant", value = 7 }), { 7, 1, 2 },
   "by a constant")
is(sd.grad(function(v)
  return v:pad({ 2, 0 }, { mode = "circular" }):sum()
end)(t { 1, 2, 3 }), { 1, 2, 2 }, "its slope")
bad(function() local _ = t { 1, 2 }:pad({ 2, 0 }, { mode = "reflect" }) end,
    "pad: widths 2 and 0 around 2 elements", "no reflection of the whole")
local s, order = t { 3, 1, 2 }:sort()
is(s, { 1, 2, 3 }, "sort")
is(order, { 2, 3, 1 }, "its indices")
is((t { 3, 1, 2 }:sort(1, { descending = true })), { 3, 2, 1 },
   "sort, descending")
local top, where = t { 3, 1, 2 }:topk(2)
is(top, { 3, 2 }, "topk")
is(where, { 1, 3 }, "its indices")
local u, n = t { 2, 1, 2 }:unique()
is(u, { 1, 2 }, "unique")
is(n, { 1, 2 }, "its counts")
is(sd.grad(function(v) return (v:unique() * t { 1, 2 }):sum() end)(t { 7, 3 }),
   { 2, 1 }, "its slopes")
is(sd.zeros(0):unique().shape, { 0 }, "unique of nothing")
local g1, g2 = sd.meshgrid(t { 1, 2 }, t { 3, 4, 5 })
is(g1, { { 1, 1, 1 }, { 2, 2, 2 } }, "meshgrid")
is(g2, { { 3, 4, 5 }, { 3, 4, 5 } }, "its second part")
is(t { 1, 2 }:dot(t { 3, 4 }):item(), 11, "dot")
is(t { 1, 2 }:outer(t { 3, 4 }), { { 3, 4 }, { 6, 8 } }, "outer")
is(t { 1, 0, 0 }:cross(t { 0, 1, 0 }), { 0, 0, 1 }, "cross")
is(sd.einsum("ij->ji", m), m:T(), "einsum: transpose")
is(sd.einsum("ij,kj->ik", m, m), { { 14, 32 }, { 32, 77 } }, "einsum: product")
is(sd.einsum("ii", t { { 1, 2 }, { 3, 4 } }):item(), 5, "einsum: trace")
is(sd.einsum("ij->", m):item(), 21, "einsum: sum")
is(t { -2, .5, 3 }:clamp(-1, 1), { -1, .5, 1 }, "clamp")
is(t { -2, .5, 3 }:clamp { min = -1, max = 1 }, { -1, .5, 1 },
   "its bounds by name")
is(t { -2, .5, 3 }:clamp { max = 1 }, { -2, .5, 1 }, "one bound by name")
is(t { -2, .5, 3 }:hardtanh { min_val = -1.5, max_val = 2 }, { -1.5, .5, 2 },
   "hardtanh's bounds by name")
local scores = sd.zeros(2, 10, f64)
bad(function() sd.eval(sd.cross_entropy(scores, k { 1, 11 })) end,
    "cross_entropy: label 11 is outside 1 .. 10 %(number 2%)",
    "a label too large")
bad(function() sd.eval(sd.cross_entropy(scores, k { 0, 1 })) end,
    "cross_entropy: label 0 is outside 1 .. 10", "labels from 0")
bad(function() sd.eval(sd.nll(scores, k { 1, -1 })) end,
    "nll: label %-1 is outside 1 .. 10", "labels do not count from the end")
bad(function()
  sd.eval(sd.grad(sd.cross_entropy)(scores, k { 0, 1 }))
end, "cross_entropy: label 0 is outside 1 .. 10", "also in the gradient")
is(t { 0 / 0, 1 / 0 }:nan_to_num(), { 0, 1.7976931348623157e308 },
   "nan_to_num")
is(k { maxint }:nan_to_num(), { maxint }, "integers have no NaN")
for _, round in ipairs { "floor", "ceil", "round", "trunc" } do
  is(k { maxint }[round](k { maxint }), { maxint }, round .. " of integers")
end
is(t { .5, 1.5, 2.5, -.5 }:round(), { 0, 2, 2, 0 }, "round is to even")
is(t { 1, 0 / 0 }:maximum(0):isnan(), { false, true }, "maximum passes NaN")
is(t { 1, 0 / 0, 3 }:amax():isnan():item(), true, "so does amax")

-- ---- mistakes --------------------------------------------------------------

bad(function() return (t { 1, 2 } + t { 1, 2, 3 }) end,
    "add: shapes .*{2}.*{3}", "shapes that do not broadcast")
bad(function() return (sd.zeros(128, 784):matmul(sd.zeros(512, 10))) end,
    "matmul: inner dimensions differ: {128, 784} x {512, 10}",
    "matmul of the wrong shapes")
bad(function() return (t(1):matmul(m)) end, "matmul:", "matmul of a number")
bad(function() return (m:mm(t { 1 })) end, "mm: needs two matrices",
    "mm of a vector")
bad(function() return (m:dot(m)) end,
    "dot: needs two vectors", "dot of matrices")
bad(function() return (m + "a") end, "%+: cannot take tensor and string",
    "adding a string")
bad(function() return (m * {}) end, "%*: cannot take tensor and table",
    "multiplying by a table")
bad(function() return (nil + m) end, "%+: cannot take nil and tensor",
    "nil on the left")
bad(function() return (m.shap) end,
    "a tensor has no field or method 'shap' %(did you mean 'shape'",
    "a misspelt field")
bad(function() return (m:summ()) end,
    ".*did you mean 'sum'", "a misspelt method")
bad(function() return (sd.reluu) end, "sd has no field 'reluu'.*'relu'",
    "a misspelt function")
bad(function() return (m:sum(3)) end, "sum: no dim 3 in a tensor of 2 dims",
    "a dim that is not there")
bad(function() return (m:sum(0)) end, "sum: no dim 0", "dim 0")
bad(function() return (m:sum({ 1, 1 })) end, "sum: dim 1 given twice",
    "a dim twice")
bad(function() return (m:sum(1, { keepdims = true })) end,
    "sum: unknown option 'keepdims'", "an unknown option of an op")
bad(function() return (m:mean(1, { keepdims = true })) end,
    "mean: unknown option 'keepdims' %(did you mean 'keepdim'",
    "an unknown option of a composite")
bad(function() return (m:sum(1.5)) end, "sum: dim: expected a whole number",
    "a fraction for a dim")
bad(function() return (m:sum(0 / 0)) end, "sum: dim: expected a whole number",
    "NaN for a dim")
bad(function() return (m:sum("x")) end, "sum: dim: expected a whole number",
    "a string for a dim")
bad(function() return (m:sum(1, 2, 3, 4)) end, "sum:", "too many arguments")
bad(function() return (sd.sum()) end,
    "sum: x: expected a tensor", "no argument")
bad(function() return (sd.sum(3)) end, "sum: x: expected a tensor, got number",
    "a number where a tensor is needed")
bad(function() return (m:to "f16") end,
    "cast: no dtype 'f16'", "an unknown dtype")
bad(function() return (sd.zeros(2, { dtype = "float" })) end,
    "zeros: no dtype 'float'", "an unknown dtype in options")
bad(function() return (sd.zeros(2, { dtpe = "f64" })) end,
    "zeros: unknown option 'dtpe'", "a misspelt option")
bad(function() return (sd.tensor({ 1 }, { dtpe = "f64" })) end,
    "tensor: unknown option 'dtpe' %(did you mean 'dtype'", "of tensor")
bad(function() return (sd.zeros(-1)) end, "zeros:.*%-1", "a negative extent")
bad(function() return (sd.zeros(1 << 40, 1 << 40)) end, "zeros:",
    "a shape that overflows")
bad(function() return (sd.zeros(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)) end,
    "zeros: more than", "too many dims")
bad(function() return (sd.zeros("a")) end, "zeros:", "a string for a shape")
bad(function() return (sd.zeros(2.5)) end, "zeros: shape: expected a whole",
    "a fraction for a shape")
bad(function() return (sd.tensor { { 1, 2 }, { 3 } }) end,
    "tensor: .*unequal length", "ragged rows")
bad(function() return (sd.tensor { 1, "a" }) end, "tensor: .*string",
    "a string in a tensor")
bad(function() return (sd.tensor { 1, { 2 } }) end, "tensor: .*table",
    "a table among numbers")
bad(function() return (sd.tensor "a") end, "tensor: .*string", "a string")
bad(function() return (sd.tensor(nil)) end, "tensor: .*nil", "nothing")
bad(function() return (sd.arange(1, 0 / 0)) end, "arange:", "arange to NaN")
bad(function() return (sd.arange(1, 5, 0)) end, "arange:", "a step of 0")
bad(function() return (sd.linspace(0, 1, 0)) end,
    "linspace: n: expected a whole",
    "linspace of none")
bad(function() return (sd.randint(5, 1, { 2 })) end,
    "randint: no i64 from 5 to 1",
    "an empty range of numbers")
bad(function() return (sd.rand(2, { dtype = "i64" })) end,
    "rand: dtype must be f32 or f64", "rand of integers")
bad(function() return (sd.rand(2, { generator = 3 })) end,
    "rand: generator: expected a generator", "no generator")
bad(function() sd.default_dtype "i64" end, "default_dtype: f32 or f64",
    "a default dtype of integers")
bad(function() sd.threads(0) end, "threads: 1 to 1024", "no threads")

bad(function() return (m[3]) end, "index 3 is outside dim 1 of shape {2, 3}",
    "a row past the end")
bad(function() return (m[0]) end, "index 0 is outside dim 1", "row 0")
bad(function() return (m[-3]) end, "index %-3 is outside dim 1",
    "a row before the first")
bad(function() return (m[{ 1, 4 }]) end, "index 4 is outside dim 2",
    "a column past the end")
bad(function() return (m[{ 1, 1, 1 }]) end, "index: 3 entries for shape",
    "too many entries")
bad(function() return (m[{ 1, { 2, 5 } }]) end,
    "index: range {2, 5, 1} is outside",
    "a range past the end")
bad(function() return (m[{ {}, { 1, 3, 0 } }]) end, "index: range",
    "a step of 0 in a range")
bad(function() return (m[{ { 1 } }]) end, "index: a range needs {from, to}",
    "half a range")
bad(function() return (m[{ "a" }]) end, "index: entry 1 is a string",
    "a string in a list")
bad(function() return (m[1.5]) end, "index: a tensor has no place 1.5",
    "a fraction")
bad(function() return (m[0 / 0]) end, "index: a tensor has no place",
    "NaN as a place")
bad(function() return (m[true]) end, "index: a tensor has no place true",
    "a boolean")
bad(function() return (t(5)[1]) end, "index: the tensor has no dims",
    "an element of a number")
bad(function() return (#t(5)) end, "#: the tensor has no dims",
    "the length of a number")
bad(function() return (sd.eval(m[k { 3 }])) end,
    "index_select: index 3 .*outside 1 .. 2",
    "an index tensor past the end")
bad(function() return (sd.eval(m[k { 0 }])) end,
    "index_select: index 0 .*outside 1 .. 2",
    "an index tensor with 0")
bad(function() return (m[sd.tensor { true }]) end,
    "index: a mask of shape {1} for shape {2, 3}",
    "a mask of another shape")
bad(function() m[1] = t { 1, 2 } end, ".*{2}.*{3}",
    "a row of the wrong length")
bad(function() m[1] = "a" end, "index: cannot assign a string",
    "a string assigned")
bad(function() m[1] = nil end, "index: cannot assign a nil", "nil assigned")
bad(function() m.foo = 1 end, "index: cannot assign to place foo",
    "a field assigned")
bad(function() m[5] = 1 end, "index 5 is outside", "assignment past the end")
bad(function() return (m:item()) end, "item: needs one element, not shape",
    "item of many")
bad(function() return (m < m) end, "<.*elementwise", "comparing many by <")
bad(function() return (m == m + 0) end,
    "==.*elementwise", "comparing many by ==")
bad(function() return (t(1) < "a") end, "", "comparing with a string")
bad(function() return (m:size(3)) end, "size: no dim 3", "size of no dim")
bad(function() return (m:reshape(4)) end,
    "reshape: {2, 3} does not fit {4}", "reshape to the wrong size")
bad(function() return (m:reshape(-1, 4)) end, "reshape: {2, 3} does not fit",
    "reshape with -1 that leaves a rest")
bad(function() return (m:expand(3, 3)) end, "expand:", "expand of 2 to 3")
bad(function() return (m:permute(1, 1)) end, "permute: dim 1 given twice",
    "permute with a dim twice")
bad(function() return (m:permute(1)) end, "permute: 1 dims given",
    "permute with too few")
bad(function() return (m:narrow(2, 2, 5)) end, "narrow: start 2, length 5",
    "narrow past the end")
bad(function() return (sd.cat({ m, t { { 1, 2 } } }, 1)) end, "cat:",
    "cat of unequal rows")
bad(function() return (sd.cat({}, 1)) end, "cat:", "cat of nothing")
bad(function() return (sd.stack {}) end, "stack: the list is empty",
    "stack of nothing")
bad(function() return (sd.cat(m, 1)) end, "cat: .*list of tensors",
    "cat of a tensor")
bad(function() return (m:gather(2, t { { 1 } })) end, "gather:",
    "gather by floats")
bad(function() return (sd.eval(m:gather(2, k { { 4 }, { 1 } }))) end,
    "gather: index 4 .*outside 1 .. 3", "gather past the end")
bad(function() return (m:topk(7)) end, "topk: k is 7 of 3", "topk of too many")
bad(function() return (m:quantile(2)) end, "quantile: q must lie in",
    "a quantile past 1")
bad(function() return (m:max(5)) end, "max: no dim 5", "max of no dim")
bad(function() return (sd.zeros(0):max()) end,
    "a?max: no elements", "max of nothing")
bad(function() return (sd.zeros(0):argmax()) end, "argmax", "argmax of nothing")
bad(function() return (sd.einsum("ij,jk->ik", m, m)) end,
    "einsum: index 'j' has extents 3 and 2", "einsum of unequal extents")
bad(function() return (sd.einsum("ijk->i", m)) end,
    "einsum: 'ijk' for a tensor of 2 dims", "einsum with too many letters")
bad(function() return (sd.einsum("ij->k", m)) end,
    "einsum: output index 'k' is in no input", "einsum to an unknown letter")
bad(function() return (sd.einsum("ij,ij", m)) end,
    "einsum: 'ij,ij' names 2 tensors, 1 given", "einsum with one missing")
bad(function() return (sd.cross_entropy(m, k { 1, 4 }):item()) end,
    ".*4 .*outside 1 .. 3", "a label past the classes")
bad(function() return (sd.cross_entropy(m, k { 1 })) end, ".*shapes",
    "too few labels")
bad(function() return (sd.mse(m, t { 1 })) end, "mse: shapes differ",
    "a loss of unequal shapes")
bad(function() return (sd.mse(m, m, { reduction = "avg" })) end,
    "mse: reduction must be", "an unknown reduction")
bad(function() return (sd.huber(m, m, { dleta = 1 })) end,
    "huber: unknown option 'dleta' %(did you mean 'delta'",
    "a loss's misspelt option")
bad(function() return (sd.linalg.cholesky(-sd.eye(2)):item()) end, "",
    "cholesky of a negative matrix")
bad(function() return (sd.eval(sd.linalg.cholesky(-sd.eye(2)))) end,
    "cholesky: ", "says so in words")
bad(function()
  return (sd.eval(sd.linalg.solve(sd.zeros(2, 2), sd.ones(2))))
end,
    "solve: .*singular", "solve of a singular matrix")
bad(function() return (sd.eval(sd.linalg.solve(m, m))) end, "linalg.solve: ",
    "solve of an oblong matrix")
bad(function()
  return (sd.eval(sd.linalg.eigh(t { { 1, 0 / 0 }, { 0, 1 } })))
end, "eigh: ", "eigh of NaN")
bad(function() return (m:to()) end, "cast: dtype: expected", "to of nothing")
bad(function() return (sd.eye(-1)) end, "eye: ", "eye of a negative size")
tap.done()
