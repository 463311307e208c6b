-- The Gauss-Newton matrix of a classifier by classes (Papyan 2019, 2020).

local fail = require "saddle.fail"
local models = require "saddle.curvature.models"
local sd = require "saddle.init"

-- The pull-backs of the cotangents {k, N, C}, as rows {k, p}.
local function pulled(model, at, x, U)
  local function run(list) return model(at.full(list), x) end
  local _, pull = sd.vjp(run, at.sub)
  local back = sd.jit(sd.vmap(function(u) return models.ravel(pull(u)) end))
  return back(U)
end

-- tr(J' M J) for M = sum_i sum_c' w u u', u = e_c' - p_i: the cotangents of
-- each class c' for all examples would be one product each; per-example norms
-- come from per-example Jacobians, {C, p} at a time.
local function traces(model, params, x, y, p)
  local n, classes = p:size(1), p:size(2)
  local function norms(a) -- squares of J'(e_c' - p) for each c', of an example
    local z, pull = sd.vjp(function(q)
      return model(q, a:unsqueeze(1)):reshape(-1)
    end, params)
    local prob = sd.softmax(z, 1)
    local U = sd.eye(classes, { dtype = z.dtype }) - prob
    local g = sd.vmap(function(u) return models.ravel(pull(u)) end)(U)
    return g:square():sum(2)
  end
  local each, parts = sd.jit(sd.vmap(norms)), {}
  local chunk = math.max(1, (2 ^ 22) // (classes * sd.tree.numel(params)))
  for from = 1, n, chunk do
    parts[#parts + 1] = sd.eval(each(x:narrow(1, from,
                                              math.min(chunk, n - from + 1))))
  end
  local weighted = (sd.cat(parts, 1) * p) / n
  local own = sd.one_hot(y, classes):to(p.dtype)
  return weighted:sum():item(), (weighted * own):sum():item()
end

-- delta_cc' = sum_i w_icc' g_icc' / w_cc' over the examples of class c, as
-- rows {C C, p}, and w_cc' {C, C}.
local function means(model, at, x, y, p)
  local n, classes = p:size(1), p:size(2)
  local own = sd.one_hot(y, classes):to(p.dtype)           -- {N, C}
  local w = own:T():matmul(p) / n                          -- {C, C'}
  local U = {}
  local I = sd.eye(classes, { dtype = p.dtype })
  for c = 1, classes do
    for k = 1, classes do
      local weight = (own:narrow(2, c, 1) * p:narrow(2, k, 1)) / n
      local scale = sd.maximum(w[{ c, k }], 1e-30)
      U[#U + 1] = weight / scale * (I[k] - p)
    end
  end
  return pulled(model, at, x, sd.stack(U, 1)), w
end

local function check(z, y, what)
  if z.ndim ~= 2 or y.ndim ~= 1 or y:size(1) ~= z:size(1) then
    fail("%s: needs logits {N, C} and labels {N}, not {%s} and {%s}", what,
         table.concat(z.shape, ", "), table.concat(y.shape, ", "))
  end
end

-- Eigenvalues, descending, of sum_i weight_i d_i d_i' for rows d.
local function spectrum(D, weight, count)
  local S = D:to "f64" * weight:to("f64"):sqrt():unsqueeze(2)
  local w = (sd.linalg.eigh(S:matmul(S:T()))):flip(1)
  return w:narrow(1, 1, math.min(count, w:numel()))
end

--- Where the outliers of a classifier's curvature come from: its Gauss-Newton
--- matrix is a sum over examples i of class c and classes c' of w g g', with
--- g = J_i' (e_c' - p_i) and w = p_ic' / N, and splits into the part of c' = c,
--- that of the class means, that of the cross-class means about them, and what
--- is left within (Papyan 2020, "Traces of class/cross-class structure pervade
--- deep learning spectra"). Returns { trace, same, class, cross, within (traces
--- that sum to it), class_values (eigenvalues of the class part, C of them),
--- cross_values, class_means {C, p}, cross_means {C C, p}, weights {C, C} }.
--- The model treats examples alone.
---@param model function of params, x; gives logits {N, C}
---@param params any tree
---@param x any
---@param y any class labels
local function classes_of(model, params, x, y)
  models.callable(model, "classes", "model")
  local at = models.layout(params, nil, "classes")
  local z = models.outputs(model(params, x), "classes")
  check(z, y, "classes")
  local classes = z:size(2)
  local p = sd.eval(sd.softmax(z, 2))
  local trace, same = traces(model, params, x, y, p)
  local D, w = means(model, at, x, y, p)
  sd.eval(D, w)
  local off = w * (1 - sd.eye(classes, { dtype = w.dtype }))
  local per_class = off:sum(2)                             -- {C}
  local share = off / sd.maximum(per_class, 1e-30):unsqueeze(2)
  local cube = D:reshape(classes, classes, -1)
  local M = (cube * share:unsqueeze(3)):sum(2)             -- {C, p}
  local rest = (cube - M:unsqueeze(2)):reshape(classes * classes, -1)
  local flat = off:reshape(-1)
  local class = (M:square():sum(2) * per_class):sum():item()
  local cross = (rest:square():sum(2) * flat):sum():item()
  return {
    trace = trace, same = same, class = class, cross = cross,
    within = trace - same - class - cross,
    class_values = spectrum(M, per_class, classes),
    cross_values = spectrum(rest, flat, classes * (classes - 1)),
    class_means = sd.eval(M), cross_means = D, weights = w }
end

--- Which class's examples each vector's curvature comes from: {k, C} shares
--- that sum to 1 over the classes, the parts of v'Gv that a classifier's
--- Gauss-Newton matrix G owes to the examples of each label.
---@param model function of params, x; gives logits {N, C}
---@param params any tree
---@param x any
---@param y any class labels
---@param V any columns {n, k}, or what eigs returned
local function ownership(model, params, x, y, V)
  models.callable(model, "class_ownership", "model")
  local at = models.layout(params, nil, "class_ownership")
  if type(V) == "table" then V = V.vectors end
  if not sd.is_tensor(V) or V.ndim ~= 2 or V:size(1) ~= at.n then
    fail("class_ownership: needs columns of %d", at.n)
  end
  local function run(list) return model(at.full(list), x) end
  local z = models.outputs(model(params, x), "class_ownership")
  check(z, y, "class_ownership")
  local p = sd.softmax(z, 2)
  local function curve(v) -- {N}: each example's part of v'Gv, times N
    local _, dz = sd.jvp(run, { at.sub }, { at.split(v) })
    return sd.sum(p * dz * dz, 2) - sd.square(sd.sum(p * dz, 2))
  end
  local Q = sd.vmap(curve)(V:to(at.dtype):transpose(1, 2))
  local shares = Q:matmul(sd.one_hot(y, z:size(2)):to(at.dtype))
  return shares / sd.maximum(shares:sum(2, { keepdim = true }), 1e-30)
end

return { classes = classes_of, ownership = ownership }
