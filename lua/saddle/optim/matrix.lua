-- Rules that know a parameter as a matrix: its steps are orthogonal, or
-- whitened on both sides, or their squares are kept by rows and columns.

local fail = require "saddle.fail"
local sd = require "saddle.init"
local terms = require "saddle.optim.terms"

-- {rows, columns}: the first dim beside all others.
local function as_matrix(x)
  return x.ndim == 2 and x or x:reshape(x:size(1), -1)
end

-- The step of Adam for what is no matrix, from s.m and s.v.
local function adam(g, s, h, b1, b2, eps)
  s.m = b1 * s.m + (1 - b1) * g
  s.v = b2 * s.v + (1 - b2) * (g * g)
  return s.m / (1 - b1 ^ h.t) / ((s.v / (1 - b2 ^ h.t)):sqrt() + eps)
end

-- M^(-1 / q) of a symmetric matrix, its eigenvalues raised to eps of the
-- largest at least.
local function inverse_root(M, q, eps)
  local w, Q = sd.linalg.eigh(M)
  w = sd.maximum(w, eps * sd.maximum(w:max(), 1e-30))
  return (Q * w ^ (-1 / q)):matmul(Q:T())
end

return function(optim)
  --- A matrix near U V' of M = U S V', by steps of Newton and Schulz with the
  --- coefficients of Jordan et al. (2024): singular values end near 1, between
  --- about 0.6 and 1.2.
  ---@param M any {m, n}
  ---@param steps? integer (5)
  function optim.orthogonalize(M, steps)
    if not sd.is_tensor(M) or M.ndim ~= 2 then
      fail "orthogonalize: needs a matrix"
    end
    local X = M / (M:square():sum():sqrt() + 1e-7)
    local tall = M:size(1) > M:size(2)
    if tall then X = X:T() end
    for _ = 1, steps or 5 do
      local A = X:matmul(X:T())
      X = 3.4445 * X + (-4.7750 * A + 2.0315 * A:matmul(A)):matmul(X)
    end
    return tall and X:T() or X
  end

  --- Muon (Jordan et al. 2024): momentum whose step is made orthogonal,
  --- v <- momentum v + (1 - momentum) g, w <- w - lr sqrt(max(1, rows /
  --- columns)) orthogonalize(u), u = v, or with nesterov momentum v + (1 -
  --- momentum) g. Parameters with fewer than two dims take AdamW's step with
  --- adam_lr.
  ---@param o? table lr (0.02), momentum (0.95), nesterov (true), weight_decay
  ---  (0), steps (5), adam_lr (3e-4), beta1 (0.9), beta2 (0.95), eps (1e-8)
  optim.muon = optim.rule {
    name = "muon", tidy = true,
    defaults = { lr = 0.02, momentum = 0.95, nesterov = true,
                 weight_decay = 0, steps = 5, adam_lr = 3e-4, beta1 = 0.9,
                 beta2 = 0.95, eps = 1e-8 },
    init = function(p)
      return p.ndim < 2 and terms.moments(p) or { v = sd.zeros_like(p) }
    end,
    update = function(p, g, s, h)
      if p.ndim < 2 then
        local step = adam(g, s, h, h.beta1, h.beta2, h.eps)
        return p * (1 - h.adam_lr * h.weight_decay) - h.adam_lr * step
      end
      s.v = h.momentum * s.v + (1 - h.momentum) * g
      local u = s.v
      if h.nesterov then u = h.momentum * u + (1 - h.momentum) * g end
      local M = as_matrix(u)
      local scale = math.max(1, M:size(1) / M:size(2)) ^ 0.5
      local step = optim.orthogonalize(M, h.steps):reshape(p.shape)
      return terms.shrunk(p, h) - (h.lr * scale) * step
    end,
  }

  --- Shampoo (Gupta, Koren and Singer 2018), of a matrix: L <- L + G G', R <- R
  --- + G' G, W <- W - lr L^(-1/4) G R^(-1/4); of a vector, AdaGrad on the full
  --- matrix. A side longer than max_size is left alone.
  ---@param o? table lr (0.1), eps (1e-4: L and R start as eps I), every (1:
  ---  steps between new roots), momentum (0), weight_decay (0), max_size (1024)
  optim.shampoo = optim.rule {
    name = "shampoo", tidy = true,
    defaults = { lr = 0.1, eps = 1e-4, every = 1, momentum = 0,
                 weight_decay = 0, max_size = 1024 },
    check = terms.every "shampoo", phase = terms.due,
    init = function(p, h)
      local s = { v = sd.zeros_like(p) }
      local function side(name, n)
        if n > h.max_size then return end
        local I = sd.eye(n, { dtype = p.dtype })
        s[name], s[name .. "_root"] = h.eps * I, I
      end
      side("L", p.ndim > 0 and p:size(1) or 1)
      if p.ndim > 1 then side("R", p:numel() // p:size(1)) end
      return s
    end,
    update = function(p, g, s, h)
      g = terms.decayed(p, g, h)
      local G = p.ndim > 1 and as_matrix(g) or g:reshape(-1, 1)
      local q = s.L and s.R and 4 or 2
      if s.L then s.L = s.L + G:matmul(G:T()) end
      if s.R then s.R = s.R + G:T():matmul(G) end
      if h.phase then
        if s.L then s.L_root = inverse_root(s.L, q, 1e-12) end
        if s.R then s.R_root = inverse_root(s.R, q, 1e-12) end
      end
      if s.L then G = s.L_root:matmul(G) end
      if s.R then G = G:matmul(s.R_root) end
      s.v = h.momentum * s.v + G:reshape(p.shape)
      return p - h.lr * s.v
    end,
  }

  --- SOAP (Vyas et al. 2024): Adam in the eigenbasis of Shampoo's matrices. L
  --- <- shampoo_beta L + (1 - shampoo_beta) G G', R likewise; in the basis of
  --- their eigenvectors, new every every steps, the average of G is divided by
  --- the root of the average of squares. Vectors take AdamW's step.
  ---@param o? table lr (3e-3), beta1 (0.95), beta2 (0.95), shampoo_beta (0.95),
  ---  eps (1e-8), weight_decay (0.01), every (10), max_size (1024)
  optim.soap = optim.rule {
    name = "soap", tidy = true,
    defaults = { lr = 3e-3, beta1 = 0.95, beta2 = 0.95, shampoo_beta = 0.95,
                 eps = 1e-8, weight_decay = 0.01, every = 10,
                 max_size = 1024 },
    check = terms.every "soap", phase = terms.due,
    init = function(p, h)
      local s = terms.moments(p)
      local function side(name, n)
        if n > h.max_size then return end
        s[name] = sd.zeros(n, n, { dtype = p.dtype })
        s[name .. "_basis"] = sd.eye(n, { dtype = p.dtype })
      end
      if p.ndim > 1 then
        side("L", p:size(1))
        side("R", p:numel() // p:size(1))
      end
      return s
    end,
    update = function(p, g, s, h)
      p = terms.shrunk(p, h)
      if p.ndim < 2 then
        return p - h.lr * adam(g, s, h, h.beta1, h.beta2, h.eps)
      end
      local G, b = as_matrix(g), h.shampoo_beta
      if s.L then s.L = b * s.L + (1 - b) * G:matmul(G:T()) end
      if s.R then s.R = b * s.R + (1 - b) * G:T():matmul(G) end
      if h.phase then
        local _
        if s.L then _, s.L_basis = sd.linalg.eigh(s.L) end
        if s.R then _, s.R_basis = sd.linalg.eigh(s.R) end
      end
      local function turned(X, back)
        if s.L then
          X = (back and s.L_basis or s.L_basis:T()):matmul(X)
        end
        if s.R then
          X = X:matmul(back and s.R_basis:T() or s.R_basis)
        end
        return X
      end
      local own = turned(G):reshape(p.shape)
      s.m = h.beta1 * s.m + (1 - h.beta1) * g
      s.v = h.beta2 * s.v + (1 - h.beta2) * (own * own)
      local root = (s.v / (1 - h.beta2 ^ h.t)):sqrt() + h.eps
      local step = turned(as_matrix(s.m)) / (1 - h.beta1 ^ h.t) /
                   as_matrix(root)
      return p - h.lr * turned(step, true):reshape(p.shape)
    end,
  }

  --- Adafactor (Shazeer and Stern 2018): of a matrix's squared gradients only
  --- the means of rows and columns are kept. beta_t = 1 - t^-decay, U = G /
  --- sqrt(V) brought to a root mean square of at most d, W <- W - max(eps2,
  --- rms(W)) min(lr, 1 / sqrt(t)) U.
  ---@param o? table lr (0.01), decay (0.8), eps1 (1e-30), eps2 (1e-3), d (1),
  ---  weight_decay (0: shrinks w)
  optim.adafactor = optim.rule {
    name = "adafactor", tidy = true,
    defaults = { lr = 0.01, decay = 0.8, eps1 = 1e-30, eps2 = 1e-3, d = 1,
                 weight_decay = 0 },
    init = function(p)
      if p.ndim < 2 then return { v = sd.zeros_like(p) } end
      local o = { dtype = p.dtype }
      local M = as_matrix(p)
      return { rows = sd.zeros(M:size(1), 1, o),
               columns = sd.zeros(1, M:size(2), o) }
    end,
    update = function(p, g, s, h)
      local function rms(x) return x:square():mean():sqrt() end
      local keep = 1 - h.t ^ -h.decay
      local g2, V = g * g + h.eps1
      if p.ndim < 2 then
        s.v = keep * s.v + (1 - keep) * g2
        V = s.v
      else
        local M, o = as_matrix(g2), { keepdim = true }
        s.rows = keep * s.rows + (1 - keep) * M:mean(2, o)
        s.columns = keep * s.columns + (1 - keep) * M:mean(1, o)
        V = (s.rows * s.columns / s.rows:mean()):reshape(p.shape)
      end
      local u = g / V:sqrt()
      u = u / sd.maximum(rms(u) / h.d, 1)
      local rate = sd.minimum(terms.tensor(h.t) ^ -0.5, h.lr)
      local size = sd.maximum(rms(p), h.eps2)
      return terms.shrunk(p, h) - (rate * size):to(p.dtype) * u
    end,
  }
end
