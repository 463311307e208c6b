-- Curvature operators against dense matrices made another way.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local curvature = sd.curvature
local f64 = { dtype = "f64" }
local g = sd.generator(2)
local rand = { dtype = "f64", generator = g }

local near = common.near

-- ---- a classifier -------------------------------------------------------------

local net = sd.nn.mlp { 3, 5, 4, activation = "tanh" }
local params = net:init { seed = 1, dtype = "f64" }
local x, y = sd.randn(30, 3, rand), sd.randint(1, 4, { 30 }, { generator = g })
local function model(p, a) return (net(p, a)) end
local function loss(p, a, b) return sd.cross_entropy(model(p, a), b) end
local flat, unravel = sd.tree.ravel(params)
local n = flat:numel()
local J = sd.jacobian(function(v)
  return model(unravel(v), x):reshape(-1)
end)(flat)                                                        -- {120, n}
local z = model(params, x)
local H = sd.hessian(function(v) return loss(unravel(v), x, y) end)(flat)
local v = sd.randn(n, rand)
local V = sd.randn(n, 7, rand)

-- Products of every kind with what the dense matrix gives.
local function matches(A, want, name)
  local size = want:size(1)
  local u, U = v, V
  if size ~= n then
    u, U = sd.randn(size, rand), sd.randn(size, 7, rand)
  end
  tap.is(A.n, size, name .. ": its size")
  near(A:dense(), want, 1e-12, name .. ": dense")
  near(A:dense { chunk = 4 }, want, 1e-12, name .. ": dense by four columns")
  near(A:matvec(u), want:mv(u), 1e-12, name .. ": matvec")
  near(A:matmat(U), want:matmul(U), 1e-12, name .. ": matmat")
end

local B = sd.zeros(120, 120, f64)
local p = sd.softmax(z, 2)
for i = 1, 30 do
  local q = p[i]
  local block = (sd.diag(q) - sd.outer(q, q)) / 30
  B[{ { 4 * i - 3, 4 * i }, { 4 * i - 3, 4 * i } }] = block
end
local G = J:T():matmul(B):matmul(J)
local whole = curvature.chunks({ x = x, y = y }, { size = 7 })
local D = curvature.hessian(loss, params, x, y):dense()
tap.ok(D[{ { 1, 20 }, { 21, n } }]:eq(D[{ { 21, n }, { 1, 20 } }]:T()):all()
         :item(), "the first layer's columns are the others' rows, mirrored")
matches(curvature.hessian(loss, params, x, y), H, "Hessian")
matches(curvature.hessian(loss, params, whole), H,
        "Hessian over chunks of 7, 7, 7, 7, 2")
matches(curvature.ggn(model, sd.cross_entropy, params, x, y), G, "GGN")

-- ---- leaves of every form ------------------------------------------------------

do
  local tree = { a = sd.tensor(0.3, f64), b = sd.randn(4, rand),
                 c = sd.randn(3, 4, rand), d = sd.randn(2, 2, 1, 3, rand),
                 e = sd.zeros(0, 3, f64), f = sd.randn(4, 1, rand),
                 g = sd.randn(1, 5, rand), h = sd.randn(3, 4, rand) }
  local data = sd.randn(6, 3, rand)
  local function f(q, at)
    local hidden = sd.tanh(at:matmul(q.c) * q.a + q.b)        -- {6, 4}
    local back = hidden:matmul(q.h:T())                       -- {6, 3}
    local twice = (back + at):matmul(q.d:reshape(4, 3):T())   -- {6, 4}
    local out = sd.sin(twice:matmul(q.f)):matmul(q.g)         -- {6, 5}
    return out:square():sum() + (q.c * q.c * q.h):sum() + q.e:sum()
  end
  local list, back = sd.tree.ravel(tree)
  local want = sd.hessian(function(u) return f(back(u), data) end)(list)
  local A = curvature.hessian(f, tree, data)
  for _, chunk in ipairs { 1, 3, 100 } do
    near(A:dense { chunk = chunk }, want, 1e-12,
         ("leaves of every form, %d columns at once"):format(chunk))
  end
  near(A:dense(), want, 1e-12, "and as many as it likes")
  near(A:block({ "d", "g" }):dense(),
       sd.cat({ sd.cat({ want[{ { 18, 29 }, { 18, 29 } }],
                         want[{ { 18, 29 }, { 34, 38 } }] }, 2),
                sd.cat({ want[{ { 34, 38 }, { 18, 29 } }],
                         want[{ { 34, 38 }, { 34, 38 } }] }, 2) }, 1), 1e-12,
       "a block of two leaves")
end
matches(curvature.ggn(model, sd.cross_entropy, params, whole), G,
        "GGN over chunks")
matches(curvature.fisher(model, params, x), G,
        "the Fisher matrix of softmax is the GGN of its cross-entropy")
matches(curvature.fisher(model, sd.cross_entropy, params, x, y), G,
        "Fisher by its loss, as the others are called")
matches(curvature.fisher(model, params, whole), G, "Fisher over chunks")
local function summed(q, a, b)
  return sd.cross_entropy(model(q, a), b, { reduction = "sum" })
end
matches(curvature.hessian(summed, params, curvature.chunks({ x, y },
  { size = 8, reduction = "sum" })), 30 * H, "a sum over chunks")

do -- more vectors than go at once, with and without some to fill up
  local a, b = sd.randn(3000, 3, rand), sd.randint(1, 4, { 3000 },
                                                   { generator = g })
  local wider = sd.nn.mlp { 3, 40, 4, activation = "tanh" }
  local A = curvature.hessian(function(q)
    return sd.cross_entropy(wider(q, a), b)
  end, wider:init { seed = 1, dtype = "f64" })
  for _, k in ipairs { 8, 9, 21, 31 } do
    local U = sd.randn(A.n, k, rand)
    local alone = {}
    for i = 1, k do alone[i] = A:matvec(U[{ {}, i }]) end
    local once = sd.eval(A:matmat(U))
    near(once, sd.stack(alone, 2), 1e-12, k .. " vectors in pieces")
    sd.threads(2)
    local other = sd.eval(A:matmat(U))
    sd.threads(1)
    tap.ok(once:eq(other):all():item(), "the same bits on two threads")
  end
end

local per_example = sd.vmap(function(a, b)
  local grad = sd.grad(function(q)
    return loss(unravel(q), a:unsqueeze(1), b:unsqueeze(1))
  end)(flat)
  return grad
end)(x, y)
local E = per_example:T():matmul(per_example) / 30
matches(curvature.empirical_fisher(model, sd.cross_entropy, params, x, y), E,
        "empirical Fisher")
matches(curvature.empirical_fisher(model, sd.cross_entropy, params, whole), E,
        "empirical Fisher over chunks")
local function sum_loss(a, b)
  return sd.cross_entropy(a, b, { reduction = "sum" })
end
matches(curvature.empirical_fisher(model, sum_loss, params, x, y,
                                   { reduction = "sum" }), 30 * E,
        "empirical Fisher of a sum")

-- Sampled labels: the mean over many draws is the exact one.
local F1 = curvature.fisher(model, params, x, { samples = 400, seed = 3 })
local scale = G:norm():item()
near(F1:dense() / scale, G / scale, 0.02, "400 sampled labels come close")
near(F1:dense(), F1:dense():T(), 1e-14, "and are symmetric")
near(curvature.fisher(model, params, x, { samples = 2, seed = 3 }):dense(),
     curvature.fisher(model, params, x, { samples = 2, seed = 3 }):dense(), 0,
     "the seed fixes the labels")
for _, how in ipairs { "gaussian", "bernoulli" } do
  local F = curvature.fisher(model, params, x, { likelihood = how })
  local M = sd.eye(120, f64) / 30
  if how == "bernoulli" then
    local s = sd.sigmoid(z):reshape(-1)
    M = sd.diag(s * (1 - s)) / 120
  end
  local want = J:T():matmul(M):matmul(J)
  matches(F, want, how .. " Fisher")
  local S = curvature.fisher(model, params, x,
                             { likelihood = how, samples = 400, seed = 5 })
  local size = want:norm()
  near(S:dense() / size, want / size, 0.03, how .. " Fisher, sampled")
end

tap.is(curvature.hessian(loss, params, x, y):matmat(sd.zeros(n, 0, f64)).shape,
       { n, 0 }, "the product of no columns")

-- ---- Jacobians --------------------------------------------------------------------

matches(curvature.ntk(model, params, x), J:matmul(J:T()), "NTK")
matches(curvature.ntk(net, params, x), J:matmul(J:T()),
        "NTK of a net, by its layers' factors")
local bare_net = sd.nn.chain { sd.nn.dense(3, 4, { bias = false }), sd.nn.tanh(),
                               sd.nn.chain { sd.nn.dense(4, 2) } }
local bare_params = bare_net:init { seed = 2, dtype = "f64" }
near(curvature.ntk(bare_net, bare_params, x):dense(),
     curvature.ntk(function(q, a) return (bare_net(q, a)) end, bare_params,
                   x):dense(), 1e-13, "also without a bias, in nested chains")
local A = curvature.jacobian(model, params, x)
near(A:dense(), J, 1e-13, "Jacobian: dense")
near(A:matvec(v), J:mv(v), 1e-13, "Jacobian: J v")
local u = sd.randn(120, rand)
near(A:rmatvec(u), J:T():mv(u), 1e-13, "Jacobian: J' u")
near(A:matvec(unravel(v)), J:mv(v), 1e-13, "Jacobian: J v of a tree")
local C = curvature.jacobian(model, params, whole)
near(C:matvec(v), J:mv(v), 1e-13, "Jacobian over chunks: J v")
near(C:rmatvec(u), J:T():mv(u), 1e-13, "Jacobian over chunks: J' u")
near(curvature.ntk(model, params, whole):matvec(u), J:matmul(J:T()):mv(u),
     1e-12, "NTK over chunks")
local S = sd.sqrt(sd.linalg.eigh(J:T():matmul(J)):flip(1))
local s = A:svd { k = 4 }
near(s.values, S[{ { 1, 4 } }], 1e-9, "the largest singular values")
near(J:matmul(s.right), s.left * s.values, 1e-9, "with their vectors")
tap.ok(s.residuals:max():item() < 1e-8, "and residuals")
local wide = curvature.jacobian(function(q) return q:sum():reshape(1) end,
                                params[1].weight, x)
near(wide:svd().values, sd.tensor({ math.sqrt(15) }, f64), 1e-12,
     "of a Jacobian with one row")

-- ---- Kronecker factors -----------------------------------------------------------

-- The part of M within layers.
local function layers_of(M)
  local out, from = sd.zeros(n, n, f64), 1
  for _, size in ipairs { 20, 24 } do -- {3, 5} and {5, 4} with biases
    local range = { from, from + size - 1 }
    out[{ range, range }] = M[{ range, range }]
    from = from + size
  end
  return out
end
local single = x:narrow(1, 1, 1)
for _, how in ipairs { "categorical", "gaussian", "bernoulli" } do
  local F = curvature.fisher(model, params, single, { likelihood = how }):dense()
  matches(curvature.kfac(net, params, single, { likelihood = how }), layers_of(F),
          "K-FAC of one example is exact, " .. how)
  local E2 = curvature.kfac(net, params, x, { likelihood = how, corrected = true })
  local all = curvature.fisher(model, params, x, { likelihood = how }):dense()
  tap.near(E2:dense():diag():sum():item(), all:diag():sum():item(), 1e-12,
           "EKFAC's trace is that of the Fisher matrix, " .. how)
end
local K = curvature.kfac(net, params, x)
near(K.inverse(0.1):matvec(K:damped(0.1):matvec(v)), v, 1e-10, "K-FAC's inverse")
tap.near((K:logdet { damping = 0.1 }),
         (K:logdet { damping = 0.1, method = "dense" }), 1e-10,
         "and its log-determinant")
local drawn = curvature.kfac(net, params, x, { samples = 300 }):dense()
near(drawn / K:dense():norm(), K:dense() / K:dense():norm(), 0.03,
     "K-FAC from drawn labels")
local fisher = curvature.fisher(model, params, x)
local bare = fisher:solve(v, { damping = 1e-4 })
local helped = fisher:solve(v, { damping = 1e-4, precondition = K.inverse(1e-4) })
tap.ok(helped.converged and helped.iterations < bare.iterations,
       ("CG with K-FAC: %d products, without %d"):format(helped.iterations,
                                                       bare.iterations))
tap.throws(function() K.inverse(0) end, "kfac: the damping", "a damping of 0")
tap.throws(function() curvature.kfac(model, params, x) end, "kfac: needs a net",
           "K-FAC of no net")

-- ---- algebra ----------------------------------------------------------------------

local O = curvature.hessian(loss, params, x, y)
local P = curvature.ggn(model, sd.cross_entropy, params, x, y)
local I = sd.eye(n, f64)
matches(O - P, H - G, "a difference")
matches(2 * O + P / 4, 2 * H + G / 4, "multiples and a sum")
matches(-O, -H, "minus")
matches(O:damped(0.3), H + 0.3 * I, "damping")
local e = O:eigs { k = 2 }
local Q = I - e.vectors:matmul(e.vectors:T())
matches(O:deflated(e), Q:matmul(H):matmul(Q), "deflation")
near(O:deflated(e):eigs { k = 1 }.values,
     (sd.linalg.eigh(H))[{ { n - 2, n - 2 } }], 1e-9,
     "after deflation the third eigenvalue is the first")
local D = sd.rand(n, rand) + 0.5
local R = sd.diag(D:rsqrt())
matches(O:preconditioned(D), R:matmul(H):matmul(R), "preconditioned")

local function rows_of(pattern)
  local list, at = {}, 0
  for i, l in ipairs((sd.tree.leaves(params))) do
    local path = select(2, sd.tree.leaves(params))[i]
    for j = 1, l:numel() do
      if path:find(pattern) then list[#list + 1] = at + j end
    end
    at = at + l:numel()
  end
  return sd.tensor(list, { dtype = "i64" })
end
for _, pattern in ipairs { "^1%.", "bias$", "3.weight" } do
  local idx = rows_of(pattern)
  local want = H:index_select(1, idx):index_select(2, idx)
  matches(O:block(pattern), want, "block " .. pattern)
  matches((O + P):block(pattern), (H + G):index_select(1, idx)
    :index_select(2, idx), "block of a sum " .. pattern)
  matches(O:damped(1):block(pattern),
          want + sd.eye(want:size(1), f64), "block of a damped one")
end
matches(O:block { "1.bias", "3.bias" }:block "^3", H:index_select(1,
  rows_of "3.bias"):index_select(2, rows_of "3.bias"), "a block of a block")
tap.is(#O:block "bias$".parts, 2, "a block knows its parts")
near(sd.tree.ravel(O:block("bias$").unravel(sd.ones(9, f64))):sum(),
     sd.tensor(9, f64), 0, "a block's vector is a tree of parameters")

-- ---- one's own --------------------------------------------------------------------

local M = sd.randn(20, 20, rand)
M = M + M:T()
local own = curvature.operator { n = 20, dtype = "f64",
                                 matvec = function(w) return M:mv(w) end }
near(own:dense(), M, 1e-13, "an operator of one's own: dense")
near(own:matmat(M), M:matmul(M), 1e-12, "matmat, one by one")
local many = 0
local both = curvature.operator {
  n = 20, dtype = "f64", matvec = function(w) return M:mv(w) end,
  matmat = function(W)
    many = many + 1
    return M:matmul(W)
  end }
near(both:trace { probes = math.sqrt(20) * sd.eye(20, f64) } * sd.ones(1, f64),
     M:diag():sum():reshape(1), 1e-11, "a trace through matmat")
tap.ok(many > 0, "and it was used")

-- ---- parameters of f32, data of f64 ---------------------------------------------

do
  local X, t = sd.randn(50, 4, rand), sd.randn(50, 2, rand)
  local w = sd.randn(4, 2, { generator = g })
  local function fit(q, a, b) return sd.mse(a:matmul(q):tanh(), b) end
  local function one(q, a) return a:matmul(q):tanh() end
  local wide = curvature.hessian(fit, w:to "f64", X, t):dense()
  local A = curvature.hessian(fit, w, X, t)
  local u = sd.randn(8, { generator = g })
  near(A:dense():to "f64", wide, 1e-6, "a Hessian of f32 over data of f64")
  near(A:matvec(u):to "f64", wide:mv(u:to "f64"), 1e-5, "its products")
  tap.is(A:matvec(u).dtype, "f32", "are of f32")
  near(A:eigs { k = 2 }.values, sd.linalg.eigh(wide):flip(1):narrow(1, 1, 2),
       1e-5, "its eigenvalues")
  near(curvature.ggn(one, sd.mse, w, X, t):matvec(u):to "f64",
       curvature.ggn(one, sd.mse, w:to "f64", X, t):matvec(u:to "f64"), 1e-5,
       "the same of a GGN")
  near(curvature.jacobian(one, w, X):matvec(u):to "f64",
       curvature.jacobian(one, w:to "f64", X):matvec(u:to "f64"), 1e-5,
       "and of a Jacobian")
end

-- ---- what is meant is what was there --------------------------------------------

do
  local tree, list = { a = sd.ones(2, f64) }, sd.ones(2, f64)
  local scale = sd.ones(2, f64)
  local function f(q) return (q.a ^ 3):sum() end
  local A = curvature.hessian(f, tree)
  local B = curvature.hessian(function(q, c) return (q ^ 3 * c):sum() end, list,
                              scale)
  tree.a, tree.b = tree.a * 5, sd.ones(3)
  list[1], scale[2] = 7, 9
  local six = 6 * sd.eye(2, f64)
  near(A:dense(), six, 0, "a tree that changes: the whole matrix")
  near(A:matvec(sd.ones(2, f64)), six[1] + six[2], 0, "a product")
  near(A:block("a"):dense(), six, 0, "a block")
  near(B:dense(), six, 0, "tensors that are assigned to: the whole matrix")
  near(B:matvec(sd.ones(2, f64)), six[1] + six[2], 0, "a product")
end

-- ---- outputs of one dim, arguments beside chunks ---------------------------------

do
  local X, t = sd.randn(12, 4, rand), sd.randn(12, rand)
  local w = sd.randn(4, 1, rand)
  local function flat_model(q, a) return a:matmul(q):tanh():reshape(-1) end
  local function column(q, a) return a:matmul(q):tanh() end
  local E = curvature.empirical_fisher(column, sd.mse, w, X, t:reshape(12, 1))
  local F = curvature.fisher(column, w, X, { likelihood = "gaussian" })
  for _, size in ipairs { 12, 5, 1 } do
    local parts = curvature.chunks({ X, t }, { size = size })
    near(curvature.empirical_fisher(flat_model, sd.mse, w, parts):dense(),
         E:dense(), 1e-12, "an empirical Fisher of outputs {12}, by " .. size)
    near(curvature.fisher(flat_model, w, curvature.chunks({ X },
         { size = size }), { likelihood = "gaussian" }):dense(), F:dense(),
         1e-12, "a Fisher of outputs {12}, by " .. size)
  end
  local function decayed(q, a, b, l)
    return sd.mse(flat_model(q, a), b) + l * q:square():sum()
  end
  local parts = curvature.chunks({ X, t }, { size = 5 })
  local want = curvature.hessian(decayed, w, X, t, 10):dense()
  matches(curvature.hessian(decayed, w, parts, 10), want,
          "a Hessian over chunks and one argument for all")
end

-- ---- bad input ---------------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "operators_test.lua:%d+: " .. pattern, name)
end
local crooked = sd.randn(20, 20, rand)
local skew = curvature.operator { n = 20, dtype = "f64", name = "mine",
  matvec = function(w) return crooked:mv(w) end }
bad(function() skew:eigs { k = 1 } end, "mine: is not symmetric: u' A w = ",
    "an operator that is not symmetric")
bad(function() skew:solve(sd.ones(20, f64)) end, "mine: is not symmetric",
    "the same in a solver")
local trusted = curvature.operator { n = 20, dtype = "f64", check = false,
  matvec = function(w) return crooked:mv(w) end }
tap.ok(trusted:eigs { k = 1, max_iter = 20 }, "check = false goes on")
bad(function() return O + 1 end, "operator: %+ takes two operators",
    "an operator plus a number")
bad(function() return O * O end, "operator: can be scaled by numbers",
    "a product of operators")
bad(function() return O + curvature.identity(3, f64) end,
    "operator %+: 44 and 3 elements", "operators of two sizes")
bad(function() return O + curvature.identity(n) end,
    "operator %+: f64 and f32", "operators of two dtypes")
bad(function() O:block "nothing" end,
    "block: no parameter matches 'nothing' %(there are 1.bias, ",
    "a block of nothing")
bad(function() own:block "x" end, "block: this operator has no parameters",
    "a block without parameters")
bad(function() O:deflated(V) end, "deflated: the columns must be orthonormal",
    "deflation by any columns")
bad(function() O:preconditioned(-D) end, "preconditioned: .* positive",
    "a negative preconditioner")
bad(function() O:matvec(sd.ones(3, f64)) end, "matvec: needs a vector of",
    "a vector of another length")
bad(function() O:matvec "v" end, "matvec: needs a vector of %d+, not a string",
    "no vector at all")
bad(function() O:matmat(v) end, "matmat: needs columns of", "one column")
bad(function() curvature.hessian(loss, {}, x, y) end,
    "hessian: the parameters hold no tensors", "no parameters")
bad(function() curvature.hessian(loss, sd.ones(3, { dtype = "i64" })) end,
    "hessian: parameters of i64", "parameters of whole numbers")
bad(function() curvature.fisher(model, params, x, { likelihood = "poisson" }) end,
    "fisher: likelihood must be", "an unknown likelihood")
bad(function() curvature.chunks({ x, y:narrow(1, 1, 3) }) end,
    "chunks: 30 rows in the first tensor, 3 in tensor 2", "chunks of two lengths")
bad(function()
  curvature.ggn(model, sd.cross_entropy, params, whole, y)
end, "ggn: a data set in chunks has its labels with it", "labels twice")
bad(function() O:block "%" end, "block: '%%' is no pattern: malformed",
    "a block of no pattern")
bad(function() O:preconditioned(sd.full({ n }, 1 / 0, f64)) end,
    "preconditioned: .* positive and finite", "an infinite preconditioner")
bad(function() curvature.chunks(7) end, "chunks: needs a data set", "no data")
for _, n2 in ipairs { 0, -3, 2.5 } do
  bad(function() curvature.identity(n2) end, "identity: n must be a whole number",
      "an identity of " .. n2)
end
bad(function() curvature.identity(3, { dtype = "i64" }) end,
    "identity: dtype must be f32 or f64", "an identity of whole numbers")
bad(function() curvature.hessian(3, params) end,
    "hessian: f must be a function, not a number", "the Hessian of no function")
bad(function() curvature.ggn(model, 3, params, x, y) end,
    "ggn: loss must be a function", "GGN without a loss")
bad(function() curvature.ntk(3, params, x) end, "ntk: model must be a function",
    "NTK of no model")
bad(function() curvature.noise(loss, params) end, "noise: needs a data set",
    "noise without data")
bad(function() curvature.sharpness(nil, params) end,
    "sharpness: f must be a function, not a nil", "sharpness of nothing")
bad(function() curvature.operator { n = 3 } end, "operator: needs matvec",
    "an operator without products")
bad(function()
  curvature.operator { n = 3, matvec = function() return 1 end }
    :matvec(sd.ones(3))
end, "matvec: the function returned a number", "a product that is no tensor")
bad(function() A:matvec(sd.ones(2, f64)) end, "matvec: needs a vector of",
    "a Jacobian times another length")
local whole = { w = sd.ones(3, { dtype = "i64" }), b = sd.zeros(1) }
bad(function() curvature.hessian(loss, whole, x, y) end,
    "hessian: parameter w is i64; f32 or f64 needed", "whole parameters")
bad(function() curvature.hessian(loss, { a = sd.zeros(0) }, x, y) end,
    "hessian: the parameters hold no elements", "empty parameters")
for name, make in pairs {
  hessian = function(a) return curvature.hessian(loss, params, a, y) end,
  fisher = function(a) return curvature.fisher(model, params, a) end,
  kfac = function(a) return curvature.kfac(net, params, a) end } do
  bad(function() make(sd.zeros(0, 3, f64)) end,
      name .. ": the batch is empty: argument 1 behind the parameters is " ..
      "{0, 3}", name .. " of no examples")
end
for name, make in pairs { jacobian = curvature.jacobian,
                          ntk = curvature.ntk } do
  bad(function() make(model, params, sd.zeros(0, 3, f64)) end,
      name .. ": nothing to differentiate: %d+ elements in, outputs {0, 4}",
      name .. " of no examples")
end
local unbounded = sd.full({ n }, 0 / 0, f64)
bad(function() A:matvec(unbounded) end,
    "matvec: the vector holds NaN or infinite elements", "a Jacobian times NaN")
bad(function() A:svd { k = n + 1 } end,
    "svd: %d+ singular values of a Jacobian %[120, %d+%]", "too many of them")
local lost = curvature.operator { n = 3, dtype = "f64", check = false,
  matvec = function(u) return u * (0 / 0) end }
for _, name in ipairs { "logdet", "inertia" } do
  bad(function() lost[name](lost) end,
      name .. ": the operator's products are not finite", name .. " of NaN")
end
local E = curvature.identity(3, f64)
bad(function() E:inertia { zero = -1 } end,
    "inertia: zero must be 0 or above, not %-1", "a negative zero")
bad(function() E:solve(sd.ones(3, f64), { tol = -1 }) end,
    "solve: tol must be 0 or above, and finite, not %-1",
    "a negative tolerance")
bad(function() E:solve(sd.full({ 3 }, 0 / 0, f64)) end,
    "solve: b holds NaN", "a right side of NaN")
bad(function() curvature.taylor(loss, params, unbounded, { args = { x, y } }) end,
    "taylor: the direction holds NaN", "along NaN")
bad(function() curvature.taylor(model, params, v, { args = { x } }) end,
    "taylor: f returned shape {30, 4}; it must be one element",
    "a loss of many elements")
tap.done()
