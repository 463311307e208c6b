-- grad, vjp, jvp, vmap, jit and checkpoint: known answers, all nestings,
-- and the errors that say what to do instead.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, core, tap = common.sd, common.core, common.tap
local near = common.near
local f64 = { dtype = "f64" }

local function t(v) return sd.tensor(v, f64) end
local function cube(x) return (x ^ 3):sum() end

-- ---- first derivatives -----------------------------------------------------

tap.is(sd.grad(cube)(t { 1, 2, -3 }), { 3, 12, 27 }, "grad of x^3")
tap.near(sd.grad(sd.sin)(t(0.5)), math.cos(0.5), 1e-15, "grad of sin at 0-d")

local value, g, extra, more = sd.value_and_grad(function(x)
  return (x * x):sum(), "aux", { x * 2 }
end)(t { 1, 2 })
tap.is(value, 5, "value_and_grad gives the value")
tap.is(g, { 2, 4 }, "value_and_grad gives the gradient")
tap.is(extra, "aux", "auxiliary values pass through")
tap.is(more[1], { 2, 4 }, "auxiliary tensors keep their values")
local g1, aux = sd.grad(function(x) return x:sum(), 7 end)(t { 1 })
tap.is(g1, { 1 }, "grad with auxiliary values")
tap.is(aux, 7, "grad returns the auxiliary values after the gradient")

local function product(x, y) return (x * y):sum() end
tap.is(sd.grad(product, 2)(t { 1, 2 }, t { 5, 7 }), { 1, 2 },
       "argnums picks the second argument")
local both = sd.grad(product, { 1, 2 })(t { 1, 2 }, t { 5, 7 })
tap.is(both[1], { 5, 7 }, "argnums in a list: the first")
tap.is(both[2], { 1, 2 }, "argnums in a list: the second")
local swapped = sd.grad(product, { 2, 1 })(t { 1, 2 }, t { 5, 7 })
tap.is(swapped[1], { 1, 2 }, "argnums in another order")

local tree = { w = t { 1, 2 }, layers = { { b = t(3) }, { b = t(4) } },
               name = "net" }
local gt = sd.grad(function(p)
  return (p.w * p.layers[1].b):sum() + p.layers[2].b ^ 2
end)(tree)
tap.is(gt.w, { 3, 3 }, "a tree's gradient: w")
tap.is(gt.layers[1].b, 3, "a tree's gradient: inner")
tap.is(gt.layers[2].b, 8, "a tree's gradient: the last")
tap.is(gt.name, "net", "what is no tensor stays in the tree")

tap.is(sd.grad(function(_) return t { 5 } end)(t { 1, 2 }), { 0, 0 },
       "a function that does not depend on x has gradient 0")
tap.is(sd.grad(function(x) return x:gt(0):to("f64"):sum() end)(t { 1, 2 }),
       { 0, 0 }, "a comparison has gradient 0")
tap.is(sd.grad(function(x) return (x * sd.stop_gradient(x)):sum() end)
       (t { 2, 3 }), { 2, 3 }, "stop_gradient is a constant to grad")
tap.is(sd.grad(function(x) return (x:detach() * x):sum() end)(t { 2 }),
       { 2 }, "detach is stop_gradient")
tap.is(sd.grad(function(x) return (x[1] * x[{ 2 }] + x[3] ^ 2) end)
       (t { 2, 3, 4 }), { 3, 2, 8 }, "grad through indexing")
tap.is(sd.grad(function(x)
  local y = x * 1
  y[2] = x[1] * 10
  return (y * t { 1, 2, 3 }):sum()
end)(t { 1, 2, 3 }), { 21, 0, 3 }, "grad through assignment")
tap.is(sd.grad(function(x) return (x * x):sum() end)(sd.tensor { 3 }).dtype,
       "f32", "the gradient has its argument's dtype")
tap.is(sd.grad(function(x) return x:to("f64"):square():sum() end)
       (sd.tensor { 3 }).dtype, "f32", "also when computed in another dtype")

-- A value that was looked at keeps its derivative.
local seen
tap.is(sd.grad(function(x)
  local y = (x * x):sum()
  seen = y:item()
  if y > 4 then y = y * 10 end
  return y
end)(t { 1, 2 }), { 20, 40 }, "values may be looked at inside grad")
tap.is(seen, 5, "and are right")
tap.is(sd.grad(function(x)
  local y = x * x
  sd.eval(y)
  local z = y * y
  sd.eval(z)
  return z:sum()
end)(t { 2 }), { 32 }, "evaluating inside grad changes nothing")

local y, pull = sd.vjp(function(a, b) return a * b end, t { 1, 2 }, t { 3, 4 })
tap.is(y, { 3, 8 }, "vjp gives the value")
local ga, gb = pull(t { 1, 10 })
tap.is(ga, { 3, 40 }, "pullback: first argument")
tap.is(gb, { 1, 20 }, "pullback: second argument")
local ga2 = pull(t { 0, 1 })
tap.is(ga2, { 0, 4 }, "a pullback may be called again")
local _, dy = sd.jvp(function(a, b) return a * b end,
                     { t { 1, 2 }, t { 3, 4 } }, { t { 1, 0 }, t { 0, 1 } })
tap.is(dy, { 3, 2 }, "jvp of two arguments")
local v1, d1 = sd.jvp(sd.sin, t(0), t(1))
tap.is(v1, 0, "jvp of a single argument: value")
tap.is(d1, 1, "jvp of a single argument: tangent")

do -- cotangents of another dtype are taken for ones of the result's
  local one = sd.ones({ 3 }, { dtype = "f32" })
  local _, pull = sd.vjp(function(x) return x * 2 end, one)
  local back = pull(sd.ones({ 3 }, { dtype = "f64" }))
  tap.is({ back.dtype, back:sum():item() }, { "f32", 6 }, "f64 for f32")
  _, pull = sd.vjp(function(x) return x * 2 end, one:to "f64")
  tap.is(pull(one).dtype, "f64", "f32 for f64")
end

-- ---- higher derivatives ----------------------------------------------------

local function d(f) return function(x) return (sd.grad(f)(x)) end end
local function fourth(x) return x ^ 4 end
tap.is(d(d(d(fourth)))(t(2)), 48, "grad of grad of grad")
tap.is(d(d(d(d(fourth))))(t(2)), 24, "and once more")
tap.near(d(d(d(sd.sin)))(t(0.7)), -math.cos(0.7), 1e-14,
         "third derivative of sin")
local function forward(f)
  return function(x) return select(2, sd.jvp(f, x, sd.ones_like(x))) end
end
tap.near(d(forward(d(sd.exp)))(t(0.3)), math.exp(0.3), 1e-14,
         "grad of jvp of grad")
tap.near(forward(d(forward(sd.exp)))(t(0.3)), math.exp(0.3), 1e-14,
         "jvp of grad of jvp")
tap.near(forward(forward(forward(sd.sin)))(t(0.3)), -math.cos(0.3), 1e-14,
         "jvp of jvp of jvp")
tap.is(d(function(x) return x * d(function(z) return z * x end)(t(5)) end)
       (t(3)), 6, "nested tracers are not confused")
tap.is(d(function(x)
  return x * forward(function(z) return x + z end)(t(1))
end)(t(3)), 1, "nor in forward mode inside reverse mode")

tap.is(sd.hvp(cube, t { 1, 2 }, t { 1, 10 }), { 6, 120 }, "hvp of x^3")
tap.is(sd.hessian(cube)(t { 1, 2 }), { { 6, 0 }, { 0, 12 } }, "hessian of x^3")
tap.is(sd.jacobian(function(x) return x * x end)(t { 1, 2, 3 }),
       { { 2, 0, 0 }, { 0, 4, 0 }, { 0, 0, 6 } }, "jacobian of x^2")
local A = sd.arange(1, 6, f64):reshape(2, 3)
tap.is(sd.jacobian(function(x) return A:matmul(x) end)(t { 1, 1, 1 }), A,
       "a wide jacobian")
tap.is(sd.jacobian(function(x) return x:matmul(A) end)(t { 1, 1 }), A:T(),
       "a tall jacobian")
tap.is(sd.jacobian(function(x) return x:reshape(2, 2) * 2 end)
       (t { 1, 2, 3, 4 }).shape, { 2, 2, 4 }, "jacobian's shape")
tap.is(sd.hessian(function(x) return x ^ 3 end)(t(2)), 12, "hessian at 0-d")
tap.is(sd.jacobian(sd.sin)(t(0)), 1, "jacobian at 0-d")

-- ---- a small network against differences -----------------------------------

local make = common.makers(4)
local X, labels = make.r { 6, 3 }, make.i(2, { 6 })
local params = { w1 = make.r { 3, 4 }, b1 = make.r { 4 }, w2 = make.r { 4, 2 },
                 b2 = make.r { 2 } }
local vector, unravel = sd.tree.ravel(params)
sd.eval(vector)
local function loss(p)
  p = unravel(p)
  local h = (X:matmul(p.w1) + p.b1):tanh()
  return sd.cross_entropy(h:matmul(p.w2) + p.b2, labels)
end

local function differences(f, x, h)
  local rows, n = {}, x:numel()
  local I = sd.eye(n, f64)
  for i = 1, n do
    rows[i] = (f(x + h * I[i]) - f(x - h * I[i])) / (2 * h)
  end
  return sd.eval(sd.stack(rows, 1))
end

local gradient = d(loss)
tap.ok(common.distance(gradient(vector), differences(loss, vector, 1e-5))
       < 1e-8, "the network's gradient against differences")
local H = sd.hessian(loss)(vector)
tap.ok(common.distance(H, differences(gradient, vector, 1e-5)) < 1e-8,
       "its hessian against differences of the gradient")
tap.ok(common.distance(H, H:T()) < 1e-14, "its hessian is symmetric")
local v = make.r { vector:numel() }
tap.ok(common.distance(sd.hvp(loss, vector, v), H:matmul(v)) < 1e-12,
       "hvp is the hessian times the vector")
local J = sd.jacobian(gradient)(vector)
tap.ok(common.distance(J, H) < 1e-12, "the jacobian of grad is the hessian")
local rev = select(2, sd.vjp(gradient, vector))
tap.ok(common.distance(rev(v), H:matmul(v)) < 1e-12,
       "reverse over reverse is the hessian times the vector")
local T3 = sd.jacobian(function(p) return sd.hessian(loss)(p) end)
           (vector):matmul(v)
tap.ok(common.distance(T3, (sd.hessian(loss)(vector + 1e-5 * v) -
                            sd.hessian(loss)(vector - 1e-5 * v)) / 2e-5)
       < 1e-7, "the jacobian of the hessian against differences")

-- ---- vmap ------------------------------------------------------------------

local dots = sd.vmap(function(a, b) return (a * b):sum() end)
local P, Q = make.r { 4, 3 }, make.r { 4, 3 }
tap.ok(common.distance(dots(P, Q), (P * Q):sum(2)) < 1e-15, "vmap of a dot")
tap.ok(common.distance(sd.vmap(dots)(make.r { 2, 4, 3 }:mul(0) + P,
                                     make.r { 2, 4, 3 } * 0 + Q)[2],
                       (P * Q):sum(2)) < 1e-15, "vmap of vmap")
tap.ok(common.distance(
  sd.vmap(function(a)
    return sd.vmap(function(b) return (a * b):sum() end)(Q)
  end)(P), P:matmul(Q:T())) < 1e-14,
  "an inner vmap sees the outer one's example")
tap.is(sd.vmap(function(a, b) return a + b end, { 1, false })
       (t { { 1, 2 }, { 3, 4 } }, t { 10, 20 }), { { 11, 22 }, { 13, 24 } },
       "in_dims false shares an argument")
tap.is(sd.vmap(function(a) return a * 2 end, 2)(t { { 1, 2 }, { 3, 4 } }),
       { { 2, 6 }, { 4, 8 } }, "in_dims of 2 maps over columns")
tap.is(sd.vmap(function(a) return a * 2 end, 2, 2)(t { { 1, 2 }, { 3, 4 } }),
       { { 2, 4 }, { 6, 8 } }, "out_dims puts the new dim back")
local m1, m2 = sd.vmap(function(a) return a:sum(), a end, 1, { 1, 2 })
               (t { { 1, 2 }, { 3, 4 } })
tap.is(m1, { 3, 7 }, "vmap of two results: first")
tap.is(m2, { { 1, 3 }, { 2, 4 } }, "vmap of two results: out_dims each")
tap.is(sd.vmap(function(_) return t { 1, 2 } end)(t { 0, 0, 0 }),
       { { 1, 2 }, { 1, 2 }, { 1, 2 } }, "a constant result is repeated")
tap.is(sd.vmap(function(p) return p.a * p.b[1] end)
       { a = t { 1, 2 }, b = { t { 3, 4 } } }, { 3, 8 }, "vmap over a tree")
local per = sd.vmap(function(x, l)
  return (sd.grad(function(p) return sd.cross_entropy(x:matmul(p), l) end)
          (params.w1:narrow(2, 1, 2)))
end)(X, labels)
tap.is(per.shape, { 6, 3, 2 }, "per-sample gradients' shape")
tap.ok(common.distance(per:mean(1), (sd.grad(function(p)
  return sd.cross_entropy(X:matmul(p), labels)
end)(params.w1:narrow(2, 1, 2)))) < 1e-14,
  "per-sample gradients average to the batch's")
local batch = make.r { 3, vector:numel() }
local hs = sd.vmap(sd.hessian(loss))(batch)
tap.ok(common.distance(hs[2], sd.hessian(loss)(batch[2])) < 1e-13,
       "vmap of hessian")
tap.is(sd.grad(function(x) return sd.vmap(fourth)(x):sum() end)(t { 1, 2 }),
       { 4, 32 }, "grad of vmap")
tap.is(sd.vmap(function(x) return x[{ { 2, 3 } }]:sum() end)
       (t { { 1, 2, 3 }, { 4, 5, 6 } }), { 5, 11 }, "slices inside vmap")
tap.is(sd.vmap(function(x, k) return x:gather(1, k) end)
       (t { { 1, 2, 3 }, { 4, 5, 6 } }, sd.tensor({ { 3 }, { 1 } },
        { dtype = "i64" })), { { 3 }, { 4 } }, "gather inside vmap")
tap.is(sd.vmap(function(x, k) return x[k] end)
       (t { { 1, 2, 3 }, { 4, 5, 6 } }, sd.tensor({ 3, 1 },
        { dtype = "i64" })), { 3, 4 }, "a mapped 0-d index")

-- ---- jit -------------------------------------------------------------------

local runs = 0
local step = sd.jit(function(x, s)
  runs = runs + 1
  return x * 2 + (s or 0), { x:sum() }
end)
local r1, r2 = step(t { 1, 2 })
tap.is(r1, { 2, 4 }, "jit's first call")
tap.is(r2[1], 3, "jit's results may be trees")
tap.is(step(t { 5, 6 }), { 10, 12 }, "a replay sees new values")
tap.is(runs, 1, "without running Lua again")
tap.is(step(t { 1 }), { 2 }, "another shape is traced again")
tap.is(runs, 2, "once")
tap.is(step(t { 1, 2 }, 3), { 5, 7 }, "another number is traced again")
tap.is(step(sd.tensor { 1, 2 }).dtype, "f32", "another dtype too")
local jg = sd.jit(sd.grad(loss))
tap.ok(common.distance(jg(vector), gradient(vector)) < 1e-14, "jit of grad")
tap.ok(common.distance(jg(vector * 0.5), gradient(vector * 0.5)) < 1e-14,
       "replayed at another point")
local jh = sd.jit(sd.hessian(loss))
jh(vector * 0)
tap.ok(common.distance(jh(vector), H) < 1e-13, "jit of hessian")
local jv = sd.jit(sd.vmap(d(fourth)))
jv(t { 0, 0 })
tap.is(jv(t { 1, 2 }), { 4, 32 }, "jit of vmap of grad")
local ddd = sd.jit(d(forward(d(sd.exp))))
ddd(t(0))
tap.near(ddd(t(0.3)), math.exp(0.3), 1e-14, "jit of grad of jvp of grad")
tap.is(sd.grad(function(x) return sd.jit(cube)(x) end)(t { 2 }), { 12 },
       "grad of jit")
tap.is(sd.vmap(sd.jit(fourth))(t { 1, 2 }), { 1, 16 }, "vmap of jit")
tap.is(sd.jit(sd.jit(fourth))(t(2)), 16, "jit of jit")
local same = sd.jit(function(x) return x, x, t { 9 } end)
same(t { 1 })
local s1, s2, s3 = same(t { 4 })
tap.is({ s1:item(), s2:item(), s3:item() }, { 4, 4, 9 },
       "jit may return its argument, twice, and a constant")
local first = step(t { 1, 2 })
step(t { 8, 9 })
tap.is(first, { 2, 4 }, "a replay leaves earlier results alone")
local x0 = t { 1, 2 }
local inplace = sd.jit(function(x) return x + 1 end)
inplace(x0)
inplace(x0)
tap.is(x0, { 1, 2 }, "a replay leaves its arguments alone")
local trained = sd.jit(function(p) return p - 0.1 * sd.grad(cube)(p) end)
local p = t { 1 }
local q = 1
for _ = 1, 50 do
  p = trained(p)
  q = q - 0.1 * 3 * q * q
end
tap.near(p, { q }, 1e-13, "fifty replays of a descent step")

local draw = sd.jit(function(x) return x + sd.rand(4, f64) end)
local a, b, c = draw(t { 0, 0, 0, 0 }), draw(t { 0, 0, 0, 0 }),
                draw(t { 0, 0, 0, 0 })
tap.ok(not a:eq(b):any():item() and not b:eq(c):any():item(),
       "rand under jit draws fresh numbers at each replay")
local twice = sd.jit(function(x)
  return x + sd.rand(4, f64), sd.rand(4, f64)
end)
twice(t { 0, 0, 0, 0 })
local u1, u2 = twice(t { 0, 0, 0, 0 })
tap.ok(not u1:eq(u2):any():item(), "and at each place inside")
local consistent = sd.jit(function(x)
  local r = sd.randn(4, f64)
  return (x + r) - r
end)
consistent(t { 0, 0, 0, 0 })
tap.near(consistent(t { 1, 2, 3, 4 }), { 1, 2, 3, 4 }, 1e-14,
         "one draw has one value, used twice")
local noisy = sd.jit(sd.grad(function(x)
  return (x * sd.rand(4, f64)):sum()
end))
local n1, n2 = noisy(t { 1, 1, 1, 1 }), noisy(t { 1, 1, 1, 1 })
tap.ok(not n1:eq(n2):any():item(), "also in a gradient")
sd.seed(11)
local e1 = draw(t { 0, 0, 0, 0 })
sd.seed(11)
local e2 = draw(t { 0, 0, 0, 0 })
tap.ok(e1:eq(e2):all():item(), "the seed decides a replay's numbers")

local scale = t { 3 }
local captured = sd.jit(function(x) return x * scale end)
tap.is(captured(t { 2 }), { 6 }, "a captured tensor is a constant")
scale = t { 4 }
tap.throws(function() captured(t { 2 }) end, "%.lua:%d+: .*scale.*rebound",
           "a captured tensor rebound by = is reported")
local held = { w = t { 3 } }
local through = sd.jit(function(x) return x * held.w end)
through(t { 2 })
held.w[1] = 5
tap.throws(function() through(t { 2 }) end, "rebound",
           "a captured tensor rebound by assignment is reported")
local table_held = { w = t { 3 } }
local via = sd.jit(function(x) return x * table_held.w end)
via(t { 2 })
table_held = { w = t { 7 } }
tap.throws(function() via(t { 2 }) end, "rebound",
           "a captured table replaced whole is reported")

-- ---- looking where there is nothing to see ---------------------------------

for _, how in ipairs { "jit", "vmap" } do
  local make_it = sd[how]
  for name, look in pairs {
    item = function(x) return x:sum():item() end,
    totable = function(x) return (x * 2):totable() end,
    print = function(x) return tostring(x + 1) end,
    compare = function(x) if x:sum() > 0 then return x end return -x end,
    mask = function(x) return x[x:gt(0)] end,
    eval = function(x) sd.eval(x * 2) return x end,
    unique = function(x) return sd.unique(x) end,
  } do
    tap.throws(function() make_it(look)(t { { 1, 2 }, { 3, 4 } }) end,
               "%.lua:%d+: .*" .. how, how .. ": looking by " .. name ..
               " is an error that names it")
  end
end
tap.throws(function()
  sd.jit(function(x) if x > 0 then return x end return -x end)(t(1))
end, "sd%.where", "the message names sd.where")
tap.throws(function()
  sd.jit(function(x) return sd.grad(function(z)
    return z * z:item()
  end)(x) end)(t(1))
end, "jit", "also inside a grad inside")
tap.is(sd.jit(function(x) return x:sum() end)(t { 1, 2 }), 3,
       "and the next jit works")
local leaked
sd.vmap(function(x) leaked = x return x end)(t { 1, 2 })
tap.throws(function() return leaked:item() end, "vmap",
           "a tracer that escaped from vmap is an error to look at")

-- ---- checkpoint ------------------------------------------------------------

local function body(x) return (x:sin() * x:exp()):tanh() end
local light = sd.checkpoint(body)
local z = make.r { 3, 2 }
tap.ok(common.distance(light(z), body(z)) == 0, "checkpoint: values")
local function total(f) return function(x) return (f(x) * x):sum() end end
tap.ok(common.distance(d(total(light))(z), d(total(body))(z)) < 1e-14,
       "checkpoint: gradients")
tap.ok(common.distance(sd.hessian(total(light))(z),
                       sd.hessian(total(body))(z)) < 1e-13,
       "checkpoint: hessians")
local function twice_back(f)
  return d(function(x) return d(f)(x):sin():sum() end)
end
tap.ok(common.distance(twice_back(total(light))(z), twice_back(total(body))(z))
       < 1e-13, "checkpoint: reverse over reverse")
local _, lt = sd.jvp(light, z, z * 2)
local _, bt = sd.jvp(body, z, z * 2)
tap.ok(common.distance(lt, bt) < 1e-15, "checkpoint: forward derivatives")
sd.check_grad(total(light), z, { order = 3, tolerance = 1e-5 })
tap.ok(true, "checkpoint: third derivatives against differences")

local function outer(wrap)
  return function(w)
    local inner = wrap(function(x)
      local scaled = w[1] * 2
      return (x * scaled):sin() + w[2] * x + w:sum()
    end)
    return (inner(z * w[3]) * inner(z)):sum()
  end
end
local function plain(f) return f end
local w = t { 0.3, -0.7, 1.1 }
tap.ok(common.distance(outer(sd.checkpoint)(w), outer(plain)(w)) == 0,
       "checkpoint over captured tensors: values")
tap.ok(common.distance(d(outer(sd.checkpoint))(w), d(outer(plain))(w)) < 1e-14,
       "checkpoint: the gradient of a captured traced tensor")
tap.ok(common.distance(sd.hessian(outer(sd.checkpoint))(w),
                       sd.hessian(outer(plain))(w)) < 1e-13,
       "checkpoint: its hessian")
tap.ok(common.distance(twice_back(outer(sd.checkpoint))(w),
                       twice_back(outer(plain))(w)) < 1e-13,
       "checkpoint: reverse over reverse over a capture")
tap.is(d(function(x)
  return sd.checkpoint(function() return x * x end)(t(1))
end)(t(3)), 6, "a checkpoint that uses nothing but what it captured")
tap.is(d(function(x)
  return sd.checkpoint(function() return x end)(t(1)) * 2
end)(t(3)), 2, "or returns it")
local wanted = sd.vmap(d(outer(plain)))(make.r { 4, 3 } * 0 + w * 1.5)
local ws = make.r { 4, 3 }
tap.ok(common.distance(sd.vmap(outer(sd.checkpoint))(ws),
                       sd.vmap(outer(plain))(ws)) < 1e-14,
       "vmap of checkpoint, captured tensors mapped")
tap.ok(common.distance(sd.vmap(d(outer(sd.checkpoint)))(ws),
                       sd.vmap(d(outer(plain)))(ws)) < 1e-13,
       "vmap of its gradient")
tap.ok(common.distance(d(function(x)
         return sd.vmap(outer(sd.checkpoint))(x):sin():sum()
       end)(ws), d(function(x)
         return sd.vmap(outer(plain))(x):sin():sum()
       end)(ws)) < 1e-13, "gradient of vmap of checkpoint")
tap.ok(common.distance(sd.vmap(function(x) return light(x):sum() end)(z),
                       body(z):sum(2)) < 1e-15, "vmap of checkpoint's argument")
tap.ok(common.distance(
  d(function(x)
    return sd.vmap(function(e) return light(e * x[1]):sum() end)(z):sum()
  end)(w), d(function(x) return body(z * x[1]):sum() end)(w)) < 1e-14,
  "shared and mapped arguments together")
tap.ok(wanted ~= nil and common.distance(
  sd.vmap(sd.hessian(outer(sd.checkpoint)))(ws),
  sd.vmap(sd.hessian(outer(plain)))(ws)) < 1e-12, "vmap of its hessian")
local nested = function(wrap)
  return function(x)
    local f = wrap(function(a)
      local inner = wrap(function(b) return (a * b * x):sin() end)
      return inner(a + 1) * x
    end)
    return f(x * 2):sum()
  end
end
tap.ok(common.distance(d(nested(sd.checkpoint))(w), d(nested(plain))(w))
       < 1e-13, "checkpoint inside checkpoint")
tap.ok(common.distance(sd.hessian(nested(sd.checkpoint))(w),
                       sd.hessian(nested(plain))(w)) < 1e-12,
       "its hessian")
tap.ok(common.distance(sd.vmap(d(nested(sd.checkpoint)))(ws),
                       sd.vmap(d(nested(plain)))(ws)) < 1e-12, "under vmap")
local jc = sd.jit(d(nested(sd.checkpoint)))
jc(w * 0)
tap.ok(common.distance(jc(w), d(nested(plain))(w)) < 1e-13, "under jit")
local drop = sd.jit(sd.grad(function(x)
  return sd.checkpoint(function(e) return (e * sd.rand(4, f64)):square() end)(x)
         :sum()
end))
local one = t { 1, 1, 1, 1 }
local k1, k2 = drop(one), drop(one)
tap.ok(not k1:eq(k2):any():item(), "random numbers in a checkpoint under jit")
tap.is(sd.grad(function(x)
  local m
  local yy = sd.checkpoint(function(e)
    m = sd.rand(4, f64)
    return e * m
  end)(x)
  return (yy / sd.stop_gradient(yy)):sum()
end)(one), { 1, 1, 1, 1 }, "a checkpoint recomputes with the same numbers")
local pair = sd.checkpoint(function(a1, tr)
  return { s = a1 + tr.b, p = a1 * tr.b }
end)
local gp = sd.grad(function(a1, b1)
  local r = pair(a1, { b = b1 })
  return r.s + r.p * 10
end, { 1, 2 })(t(2), t(3))
tap.is({ gp[1]:item(), gp[2]:item() }, { 31, 21 }, "trees in and out")

-- ---- errors ----------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "transform_test%.lua:%d+: .*" .. pattern, name)
end
bad(function() sd.grad(function(x) return x end)(t { 1, 2 }) end,
    "shape {2}; it must be one element", "grad of a vector function")
bad(function() sd.grad(function(x) return x:sum() end)(sd.arange(1, 3)) end,
    "i64; derivatives need f32 or f64", "grad of an i64 argument")
bad(function() sd.grad(function(x) return x:gt(0):any() end)(t { 1 }) end,
    "returned bool", "grad of a bool result")
bad(function() sd.grad(function() return 3 end)(t { 1 }) end,
    "returned a number", "grad of a number")
bad(function() sd.grad(function() end)(t { 1 }) end, "returned a nil",
    "grad of nothing")
bad(function() sd.grad(3) end, "expected a function", "grad of no function")
bad(function() sd.grad(cube)(3) end, "no tensors", "grad at a number")
bad(function() sd.grad(cube, 2)(t { 1 }) end, "no argument 2",
    "argnums out of range")
bad(function() pull(t { 1 }, t { 2 }) pull { t { 1 }, t { 2 } } end,
    "2 cotangents for 1", "too many cotangents")
bad(function() sd.jvp(sd.sin, { t(1) }, {}) end, "0 tangents for 1",
    "too few tangents")
bad(function() sd.vmap(sd.sin)(t(1)) end, "no dim 1", "vmap over 0-d")
bad(function() sd.vmap(product)(t { 1, 2 }, t { 1, 2, 3 }) end,
    "2 examples in one argument, 3", "vmap over unequal sizes")
bad(function() sd.vmap(sd.sin)(3) end, "no argument to map over",
    "vmap over nothing")
bad(function() sd.hessian(loss)(params) end, "expected a vector, not a table",
    "a tree for a function of a vector")
bad(function() sd.hessian(sd.sin)(3) end, "expected one tensor",
    "hessian at a number")
bad(function() sd.grad(function(x) return (x * "a"):sum() end)(t { 1 }) end,
    "cannot take tensor and string", "an error inside keeps its place")
tap.throws(function()
  sd.grad(function(_) error({ code = 7 }) end)(t { 1 })
end, "table:", "an error value passes through")
tap.is(sd.grad(cube)(t { 1 }), { 3 }, "grad works after errors")

tap.ok(pcall(sd.check_grad, cube, t { 1, 2 }), "check_grad of a right rule")
bad(function()
  sd.check_grad(function(x) return (x * sd.stop_gradient(x)):sum() end,
                t { 1, 2 })
end, "check_grad: order 1, forward: entry %d", "check_grad finds a wrong rule")
bad(function()
  sd.check_grad(function(x) return (x * sd.stop_gradient(x)):sum() end,
                t { 1, 2, 3 })
end, "entry 3: gradient 3, central differences [56]%.?[09]*", "with its values")
bad(function()
  sd.check_grad(function(p)
    local w = p.layer.weight
    local wrong = sd.stop_gradient(w) * w * t { { 0, 0 }, { 1, 0 } }
    return p.bias:sin() * 2 + wrong:sum()
  end, { bias = t { 1, 2 }, layer = { weight = t { { 1, 2 }, { 3, 4 } } } })
end, "forward: result [12], entry %(2, 1%) of layer%.weight: gradient 3, ",
    "an entry of a tree is named by its path")
bad(function() sd.check_grad(cube, t { 1 }, { oder = 2 }) end,
    "did you mean 'order'", "check_grad refuses unknown options")
core.eval {}
-- ---- functions that capture, and that assign ------------------------------

do
  local D = { dtype = "f64" }
  local function T(t) return sd.tensor(t, D) end
  local function same(x, y, name)
    tap.ok((x - T(y)):abs():sum():item() < 1e-12, name)
  end
  same(sd.grad(function(p)
    return sd.jit(function(x) return (x * p):sum() end)(T { 3 })
  end)(T { 2 }), { 3 }, "grad through a jit that captured its argument")
  same(sd.vmap(function(p)
    return sd.jit(function() return (p * p):sum() end)()
  end)(T { { 1 }, { 2 } }), { 1, 4 }, "vmap of the same")

  local function change(w) w[1] = 5 return w end
  local x = T { 2, 3 }
  same(sd.grad(function(w) return (change(w) ^ 2):sum() end)(x), { 0, 6 },
       "grad with respect to what came in, not what was assigned")
  same(select(2, sd.jvp(change, { x }, { T { 1, 1 } })), { 0, 1 },
       "jvp likewise")
  same(sd.grad(function(w) return sd.checkpoint(change)(w):sum() end)(x),
       { 0, 1 }, "checkpoint likewise")
  same(sd.vmap(change)(T { { 2, 3 }, { 8, 9 } }), { { 5, 3 }, { 5, 9 } },
       "vmap likewise")
  same(sd.jit(change)(x), { 5, 3 }, "jit likewise")
  same(x, { 2, 3 }, "the caller's tensor is untouched")

  local deep = { a = { b = { c = { d = { e = T { 1 } } } } } }
  local class = setmetatable({}, { __index = { w = T { 1 } } })
  local bystander = { T { 7 } }
  local reads = sd.jit(function(z)
    return z * deep.a.b.c.d.e * class.w, #bystander
  end)
  same(reads(T { 2 }), { 2 }, "captures far away are constants")
  bystander[1] = T { 8 }
  same(reads(T { 2 }), { 2 }, "what the function does not read may change")
  deep.a.b.c.d.e = T { 3 }
  tap.throws(function() reads(T { 2 }) end, "deep%.a%.b%.c%.d%.e",
             "a capture deep in tables")
  local inherits = sd.jit(function(z) return z * class.w end)
  inherits(T { 2 })
  getmetatable(class).__index.w = T { 3 }
  tap.throws(function() inherits(T { 2 }) end, "class%.w",
             "a capture behind a metatable")
  rawset(_G, "scale", T { 1 })
  local global = sd.jit(load "local z = ... return z * scale")
  global(T { 2 })
  rawset(_G, "scale", T { 2 })
  tap.throws(function() global(T { 2 }) end, "_G%.scale", "a global capture")
  rawset(_G, "scale", nil)

  local H = sd.hessian(function(p) return (p.a * p.a):sum() * p.b end)(
    { a = T { 1, 2 }, b = T(3) })
  same(H.a.a, { { 6, 0 }, { 0, 6 } }, "the Hessian of a tree, by blocks")
  same(H.a.b, { 2, 4 }, "and its mixed block")
  local J = sd.jacobian(function(p) return { u = p.a * p.b, v = p.b } end)(
    { a = T { 1, 2 }, b = T(3) })
  same(J.u.a, { { 3, 0 }, { 0, 3 } }, "the Jacobian of a tree")
  same(J.v.a, { 0, 0 }, "a block of zeros")
  same(sd.grad(function(_, b) return b * b end, -1)(T(1), T(3)), 6,
       "arguments count from the end too")
  local still = sd.stop_gradient { a = T { 1 }, b = { T { 2 } } }
  same(still.b[1], { 2 }, "stop_gradient of a tree")
end

do -- a finalizer may call the very replay whose call collects
  local f = sd.jit(function(x, y) return x * 2 + y, { x - y }, x:sum() end)
  local runs, wrong = 0, 0
  local function litter()
    setmetatable({}, { __gc = function()
      runs = runs + 1
      if runs > 3000 then return end
      local m = runs % 17 + 1
      f(sd.ones(m), sd.ones(m))
      litter()
    end })
  end
  for _ = 1, 20 do litter() end
  local mode = collectgarbage("incremental", 1, 1000, 10)
  for i = 1, 3000 do
    local m = i % 5 + 1
    local a, b, c = f(sd.ones(m), sd.full({ m }, 3))
    if a:size(1) ~= m or a[m]:item() ~= 5 or b[1][m]:item() ~= -2 or
       c:item() ~= m then
      wrong = wrong + 1
    end
  end
  collectgarbage(mode)
  tap.ok(runs > 100 and wrong == 0, ("%d calls by finalizers, %d wrong results")
    :format(runs, wrong))
end

-- ---- stacks that share a factor --------------------------------------------------

for _, s in ipairs { { 3, 8 }, { 8, 10 }, { 9, 8 }, { 3, 11 }, { 1, 4 } } do
  local m, n = s[1], s[2]
  for _, dtype in ipairs { "f32", "f64" } do
    local a = sd.eval(sd.randn(50, m, { dtype = dtype }))
    local stack = sd.eval(sd.randn(7, 50, n, { dtype = dtype }))
    local y, worst = a:T():matmul(stack):to "f64", 0
    for i = 1, 7 do
      local want = (a:to("f64"):unsqueeze(3) *
                    stack[i]:to("f64"):unsqueeze(2)):sum(1)
      worst = math.max(worst, (y[i] - want):abs():max():item())
    end
    tap.ok(worst < (dtype == "f32" and 1e-4 or 1e-12),
           ("a turned {50, %d} of %s by a stack {7, 50, %d}"):format(m, dtype,
                                                                     n))
  end
end

-- ---- stacks of outer products ---------------------------------------------------

do -- the product takes the factors where the stack is pending
  local f64, g = { dtype = "f64" }, sd.generator(5)
  local rand = { dtype = "f64", generator = g }
  local x, z = sd.randn(7, 5, rand), sd.randn(7, 4, rand)
  local function loop(a, E)
    local list = {}
    for i = 1, E:size(1) do list[i] = a:matmul(E[i]) end
    return sd.stack(list, 1)
  end
  for _, k in ipairs { { 3, 3 }, { 1, 3 }, { 3, 1 } } do
    local c, r = sd.randn(k[1], 5, 1, rand), sd.randn(k[2], 1, 4, rand)
    local E = sd.tensor((c * r):totable(), f64)
    local name = ("outer products, factors %d and %d: "):format(k[1], k[2])
    near(x:matmul(c * r), loop(x, E), 1e-14, name .. "x (c r)")
    near(x:matmul(r * c), loop(x, E), 1e-14, name .. "x (r c)")
    near(z:matmul((c * r):transpose(2, 3)), loop(z, E:transpose(2, 3)), 1e-14,
         name .. "turned")
    near(z:matmul(r:transpose(2, 3) * c:transpose(2, 3)),
         loop(z, E:transpose(2, 3)), 1e-14, name .. "of turned factors")
    tap.ok(sd.check_grad(function(t)
      return sd.sin(t[1]:matmul(t[2] * t[3])):sum()
    end, { x, c, r }), name .. "derivatives")
  end
  local c, r = sd.randn(3, 5, 1, rand), sd.randn(3, 1, 4, rand)
  local E = sd.eval(c * r)
  near(x:matmul(E), loop(x, sd.tensor(E:totable(), f64)), 1e-14,
       "a stack that is there already")
  near(sd.vmap(function(u, v) return x:matmul(u * v) end)(c, r),
       x:matmul(E), 1e-14, "under vmap")
end

tap.done()
