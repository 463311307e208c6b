-- Critical points: what kind of point is this?

local sd = require "saddle.init"

local critical = {}

-- Up to this many parameters the whole Hessian is taken.
local dense_limit = 500

local function eigenvalues(H, k)
  if H.n <= dense_limit then
    local D = H:dense():to "f64"
    local w, v = sd.linalg.eigh((D + D:transpose(1, 2)) / 2)
    return w:totable(), v:narrow(2, 1, 1):reshape(-1), w, v
  end
  local low = H:eigs { k = k, which = "smallest" }
  local high = H:eigs { k = k, which = "largest" }
  local w = low.values:totable()
  for _, x in ipairs(high.values:flip():totable()) do w[#w + 1] = x end
  return w, low.vectors:narrow(2, 1, 1):reshape(-1)
end

-- What a quadratic model says could still be gained: g' |H|^-1 g / 2, the
-- curvatures being at least floor. In the Krylov space of g beyond the sizes
-- where all eigenvalues are taken.
local function decrement(H, g, w, v, floor)
  local part
  if v then
    part = (v:transpose(1, 2):matmul(g:to "f64")) ^ 2
  else
    local l = H:lanczos { steps = math.min(30, H.n), start = g }
    w, part = l.ritz:to "f64", l.weights:to "f64" * g:to("f64"):norm() ^ 2
  end
  return (part / sd.maximum(w:abs(), floor)):sum():item() / 2
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
  return ("%s: loss %.4g, |gradient| %.2g, a Newton step could gain %.2g\n" ..
          "eigenvalues %s ... (%s)"):format(
    self.kind, self.loss, self.gradient_norm, self.gain,
    table.concat(w, " "), negative)
end

--- What kind of critical point params is:
--- { kind, index, gradient_norm, eigenvalues (ascending), direction, exact,
--- loss, gain }. Scale-free: an eigenvalue counts as zero within zero times
--- max|lambda|, and the point as critical when what a Newton step could
--- still gain, gain = g' |H|^-1 g / 2, is within tol^2 of what the steepest
--- curvature makes of a step of the size of params (at least 1),
--- max|lambda| size^2. Beyond 500 parameters only the k
--- eigenvalues at each end are found (exact = false), and index counts the
--- negative ones among them.
---@param f function of params, ...
---@param params any tree
---@param o? table tol (1e-4), zero (1e-5 in f32, 1e-8 in f64), k (5), args
function critical.classify(f, params, o)
  o = sd.check_options(o, { "tol:F", "zero:F", "k:N", "args:L" }, "classify")
  local args = o.args or {}
  local loss, g = sd.value_and_grad(f)(params, table.unpack(args))
  local gnorm, size = sd.tree.norm(g):item(), sd.tree.norm(params):item()
  local H = sd.curvature.hessian(f, params, table.unpack(args))
  local w, v, all, vectors = eigenvalues(H, o.k or 5)
  local exact = all ~= nil
  local low, high = w[1], w[#w]
  local most = math.max(math.abs(low), math.abs(high))
  local zero = (o.zero or (H.dtype == "f32" and 1e-5 or 1e-8)) * most
  local gain, here = gnorm == 0 and 0 or math.huge, gnorm == 0
  if gnorm > 0 and most > 0 then
    gain = decrement(H, (sd.tree.ravel(g)), all, vectors, zero)
    here = gain <= ((o.tol or 1e-4) * math.max(size, 1)) ^ 2 * most
  end
  local index = 0
  for _, x in ipairs(w) do if x < -zero then index = index + 1 end end
  local kind = verdict(low, high, zero, here)
  if kind == "maximum" and index < #w then kind = "degenerate" end
  return setmetatable({
           kind = kind, index = index, gradient_norm = gnorm,
           eigenvalues = w, exact = exact, loss = loss:item(), gain = gain,
           direction = low < -zero and H.unravel(v:to(H.dtype)) or nil,
         }, point)
end

return require "saddle.module".strict("sd.critical", critical)
