-- Kronecker factors of a network's Fisher matrix (Martens and Grosse 2015), a
-- block for each dense layer, and their corrected eigenvalues (George et al.
-- 2018). A layer's block is held by its eigenvectors: of A, the second moment
-- of its inputs (with a 1 for the bias), and of G, that of the gradients at its
-- outputs; vectors are matrices {out, in + 1} there.

local core = require "saddle.core"
local factors = require "saddle.curvature.factors"
local fail = require "saddle.fail"
local models = require "saddle.curvature.models"
local operator = require "saddle.curvature.operator"
local sd = require "saddle.init"

-- ---- roots of the Fisher matrix at the outputs ------------------------------

-- S with S S' = F, the Fisher matrix at the outputs, as cotangents {k, N, C};
-- or gradients for labels drawn from the model.
local function roots(z, how, samples, seed)
  if samples then
    local g, list = sd.generator(seed or 1), {}
    for s = 1, samples do list[s] = models.draws[how](z, g) end
    return sd.stack(list, 1) / math.sqrt(samples)
  end
  local I = sd.eye(z:size(2), { dtype = z.dtype }):unsqueeze(2) -- {C, 1, C}
  if how == "categorical" then
    local p = sd.softmax(z, 2)
    return p:T():unsqueeze(3):sqrt() * (I - p)
  elseif how == "bernoulli" then
    local p = sd.sigmoid(z)
    return I * (p * (1 - p)):sqrt()
  end
  return I:expand(z:size(2), z:size(1), z:size(2))
end

-- ---- a layer's block --------------------------------------------------------

local function eigen(M)
  local w, Q = sd.linalg.eigh(M)
  return sd.clamp(w, 0), Q
end

-- Qa, Qg and the eigenvalues S {out, in + 1}; g is {k, N, out}.
local function block(note, g, count, corrected)
  local a = note.input
  if note.leaves == 2 then
    a = sd.cat({ a, sd.ones(a:size(1), 1, { dtype = a.dtype }) }, 2)
  end
  local flat = g:reshape(-1, g:size(3))
  local wa, Qa = eigen(a:T():matmul(a) / a:size(1))
  local wg, Qg = eigen(flat:T():matmul(flat) / count)
  local S
  if corrected then
    local a2 = a:matmul(Qa):square()                       -- {N, in + 1}
    local g2 = g:matmul(Qg):square():sum(1)                -- {N, out}
    S = g2:T():matmul(a2) / count
  else
    S = sd.outer(wg, wa)
  end
  sd.eval(S, Qa, Qg)
  return { Qa = Qa, Qg = Qg, S = S, bias = note.leaves == 2,
           outputs = g:size(3), inputs = note.input:size(2) }
end

-- f (S) in the eigenbasis, for a vector.
local function product(blocks, f)
  local values = {}
  for i, b in ipairs(blocks) do values[i] = sd.eval(f(b.S)) end
  return function(v)
    local parts, at = {}, 1
    local function take(n)
      local part = v:narrow(1, at, n)
      at = at + n
      return part
    end
    for i, b in ipairs(blocks) do
      -- A tree's keys are sorted: bias comes before weight.
      local bias = b.bias and take(b.outputs):unsqueeze(2)
      local V = take(b.outputs * b.inputs):reshape(b.outputs, b.inputs)
      if bias then V = sd.cat({ V, bias }, 2) end
      V = b.Qg:matmul(values[i] * b.Qg:T():matmul(V):matmul(b.Qa))
        :matmul(b.Qa:T())
      if bias then
        parts[#parts + 1] = V:narrow(2, b.inputs + 1, 1):reshape(-1)
      end
      parts[#parts + 1] = V:narrow(2, 1, b.inputs):reshape(-1)
    end
    return sd.cat(parts, 1)
  end
end

local function build(at, blocks, f, name)
  local one = core.jit(product(blocks, f))
  local limit = operator.limit(function(v) return core.peak(one, v) end)
  return operator.new {
    n = at.n, dtype = at.dtype, name = name, unravel = at.unravel,
    parts = at.parts, product = one, fresh = true,
    rows = operator.in_pieces(core.jit(sd.vmap(one)), limit) }
end

--- The Kronecker-factored Fisher matrix of a net of dense layers: an operator,
--- block diagonal by layers, with K.inverse(damping), the operator (K + damping
--- I)^-1; K:logdet is exact. corrected: the eigenvalues are the second moments
--- of the gradients along the factors' eigenvectors
--- (EKFAC), so that the trace is that of the Fisher matrix.
---
--- ```lua
--- local net = sd.nn.mlp{ 4, 8, 3 }
--- local p, x = net:init{ seed = 1 }, sd.randn(20, 4)
--- local K = sd.curvature.kfac(net, p, x)
--- local F = sd.curvature.fisher(function(q, a) return net(q, a) end, p, x)
--- local b = sd.randn(F.n)
--- print(F:solve(b, { damping = 0.1, precondition = K.inverse(0.1) }).reason)
--- ```
---@param net any a chain
---@param params any its parameters
---@param x any a batch {N, inputs}
---@param o? table likelihood "categorical" | "gaussian" | "bernoulli", samples
---  (none: exact), seed, corrected (false)
return function(net, params, x, o)
  o = sd.check_options(o, { "likelihood:S", "samples:N", "seed:I",
                            "corrected:B" }, "kfac")
  local how = o.likelihood or "categorical"
  if not models.draws[how] then
    fail("kfac: likelihood must be categorical, gaussian, bernoulli, not '%s'",
         how)
  end
  if not factors.is_net(net) then
    fail("kfac: needs a net, not a %s", type(net))
  end
  local at = models.layout(params, nil, "kfac")
  models.check_data({ x, n = 1 }, "kfac")
  local z, notes, gradients = factors.of(net, params, x)
  if not z then
    fail("kfac: layer %s has parameters but is not dense on {N, inputs}", notes)
  elseif #notes == 0 then
    fail "kfac: the net has no dense layers"
  end
  local g = gradients(sd.eval(roots(z, how, o.samples, o.seed)))
  local count = how == "bernoulli" and z:numel() or z:size(1)
  local blocks = {}
  for k, note in ipairs(notes) do
    blocks[k] = block(note, g[k], count, o.corrected)
  end
  local K = build(at, blocks, function(S) return S end,
                  o.corrected and "EKFAC" or "K-FAC")
  function K.inverse(damping)
    if type(damping) ~= "number" or not (damping > 0) then
      fail("kfac: the damping of an inverse must be above 0, not %s",
           tostring(damping))
    end
    return build(at, blocks, function(S) return 1 / (S + damping) end,
                 "inverse " .. K.name)
  end
  function K.log_determinant(damping)
    local sum = 0
    for _, b in ipairs(blocks) do
      sum = sum + (b.S:to "f64" + damping):log():sum():item()
    end
    return sum
  end
  return K
end
