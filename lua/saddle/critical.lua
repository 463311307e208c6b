-- Critical points: what kind of point is this?

local sd = require "saddle.init"

local critical = {}

-- Up to this many parameters the whole Hessian is taken.
local dense_limit = 500

local function eigenvalues(H, k)
  if H.n <= dense_limit then
    local D = H:dense():to "f64"
    local w, v = sd.linalg.eigh((D + D:transpose(1, 2)) / 2)
    return w:totable(), v:narrow(2, 1, 1):reshape(-1), true
  end
  local low = H:eigs { k = k, which = "smallest" }
  local high = H:eigs { k = k, which = "largest" }
  local w = low.values:totable()
  for _, x in ipairs(high.values:flip():totable()) do w[#w + 1] = x end
  return w, low.vectors:narrow(2, 1, 1):reshape(-1), false
end

local function verdict(low, high, zero, critical_here)
  if not critical_here then return "not critical" end
  if low < -zero then return high > zero and "saddle" or "maximum" end
  if low <= zero then return "degenerate" end
  return "minimum"
end

local point = {}

-- The verdict in words, with the numbers behind it.
function point:__tostring()
  local w, n = {}, #self.eigenvalues
  for i = n, math.max(1, n - 2), -1 do
    w[#w + 1] = ("%.3g"):format(self.eigenvalues[i])
  end
  local negative = ("%d%s negative, lowest %.3g"):format(
    self.index, self.exact and "" or " or more", self.eigenvalues[1])
  return ("%s: loss %.4g, |gradient| %.2g, eigenvalues %s ... (%s)"):format(
    self.kind, self.loss, self.gradient_norm, table.concat(w, " "), negative)
end

--- What kind of critical point params is:
--- { kind, index, gradient_norm, eigenvalues (ascending), direction, exact,
--- loss }. Scale-free: the point counts as critical when the step a
--- quadratic model would take along the gradient, |g| / max|lambda|, is
--- within tol of the size of params (at least 1), and an eigenvalue counts
--- as zero within zero times max|lambda|. Beyond 500 parameters only the k
--- eigenvalues at each end are found (exact = false), and index counts the
--- negative ones among them.
---@param f function of params, ...
---@param params any tree
---@param o? table tol (1e-3), zero (1e-3 in f32, 1e-8 in f64), k (5), args
function critical.classify(f, params, o)
  o = sd.check_options(o, { "tol:F", "zero:F", "k:N", "args:L" }, "classify")
  local args = o.args or {}
  local loss, g = sd.value_and_grad(f)(params, table.unpack(args))
  local gnorm, size = sd.tree.norm(g):item(), sd.tree.norm(params):item()
  local H = sd.curvature.hessian(f, params, table.unpack(args))
  local w, v, exact = eigenvalues(H, o.k or 5)
  local low, high = w[1], w[#w]
  local most = math.max(math.abs(low), math.abs(high))
  local zero = (o.zero or (H.dtype == "f32" and 1e-3 or 1e-8)) * most
  local here = gnorm <= (o.tol or 1e-3) * most * math.max(size, 1)
  local index = 0
  for _, x in ipairs(w) do if x < -zero then index = index + 1 end end
  local kind = verdict(low, high, zero, here)
  if kind == "maximum" and index < #w then kind = "degenerate" end
  return setmetatable({
           kind = kind, index = index, gradient_norm = gnorm,
           eigenvalues = w, exact = exact, loss = loss:item(),
           direction = low < -zero and H.unravel(v:to(H.dtype)) or nil,
         }, point)
end

return critical
