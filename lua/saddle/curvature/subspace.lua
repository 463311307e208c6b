-- What eigenvectors are made of, and how much subspaces share.

local fail = require "saddle.fail"
local interrupt = require "saddle.interrupt"
local operator = require "saddle.curvature.operator"
local sd = require "saddle.init"

local subspace = {}

-- Columns {n, k} in f64: of columns, a vector, a tree, or what eigs returned.
local function columns(V, what)
  if type(V) == "table" and rawget(V, "vectors") then V = V.vectors end
  if not sd.is_tensor(V) then V = (sd.tree.ravel(V)) end
  if V.ndim == 1 then V = V:unsqueeze(2) end
  if V.ndim ~= 2 then
    fail("%s: needs a vector or columns, not shape {%s}", what,
         table.concat(V.shape, ", "))
  end
  return V:to "f64"
end

-- Orthonormal columns with the same span, by the eigenvectors of V'V.
local function orthonormal(V)
  local w, Q = sd.linalg.eigh(V:T():matmul(V))
  local most, keep = w:max():item(), {}
  for i, x in ipairs(w:totable()) do
    if x > 1e-14 * most then keep[#keep + 1] = i end
  end
  if #keep == 0 then return nil end
  local i = sd.tensor(keep, { dtype = "i64" })
  return V:matmul(Q:index_select(2, i)) / w:index_select(1, i):sqrt()
end

--- How much of the smaller subspace lies in the larger, between 0 and 1:
--- |U'V|_F^2 over the smaller number of dimensions, U and V being made
--- orthonormal. Of a gradient and the top eigenvectors it is the share of its
--- square that lies among them (Gur-Ari, Roberts and Dyer 2018). Two random
--- subspaces of k and l dimensions in n share max(k, l) / n.
---@param U any columns, a vector, a tree, or what eigs returned
---@param V any likewise
function subspace.overlap(U, V)
  U, V = columns(U, "overlap"), columns(V, "overlap")
  if U:size(1) ~= V:size(1) then
    fail("overlap: vectors of %d and %d elements", U:size(1), V:size(1))
  end
  U, V = orthonormal(U), orthonormal(V)
  if not U or not V then return 0 end
  local shared = U:T():matmul(V):square():sum():item()
  return shared / math.min(U:size(2), V:size(2))
end

-- The largest of the rows' masses: { index, mass }, ... at most count.
local function largest_rows(mass, count)
  local list = {}
  for i, m in ipairs(mass:totable()) do list[i] = { index = i, mass = m } end
  table.sort(list, function(a, b) return a.mass > b.mass end)
  return { table.unpack(list, 1, count) }
end

--- Where each vector's square lies among the parameters: for each column a
--- list of { path, mass, neurons }, the largest first; neurons are the largest
--- rows (of the first dim) of that parameter, { index, mass }. The masses of a
--- unit vector sum to 1.
---@param V any columns, a vector, a tree, or what eigs returned
---@param o? table neurons (3: how many are listed)
function operator:ownership(V, o)
  o = sd.check_options(o, { "neurons:N" }, "ownership")
  if not self.parts then
    fail("ownership: this %s has no parameters", self.name)
  end
  V = columns(V, "ownership")
  if V:size(1) ~= self.n then
    fail("ownership: vectors of %d elements, not %d", V:size(1), self.n)
  end
  local square, list = V:square(), {}
  for j = 1, V:size(2) do
    list[j] = {}
    for i, part in ipairs(self.parts) do
      local own = square:narrow(2, j, 1):reshape(-1)
        :narrow(1, part.from, part.count)
      local rows = part.shape and part.shape[1] or 1
      list[j][i] = {
        path = part.path, mass = own:sum():item(),
        neurons = largest_rows(own:reshape(rows, -1):sum(2), o.neurons or 3) }
    end
    table.sort(list[j], function(a, b) return a.mass > b.mass end)
  end
  return list
end

-- The entry of one block.
local function block_spectrum(B, path, o)
  local e = interrupt.whole(B:eigs { k = math.min(o.k or 3, B.n),
                                     which = o.which, tol = o.tol,
                                     seed = o.seed })
  local trace, error, cut = B:trace { samples = o.samples or 32,
                                      seed = o.seed }
  if cut then interrupt.raise() end
  return { path = path, n = B.n, values = e.values, residuals = e.residuals,
           converged = e.converged, trace = trace, trace_error = error }
end

--- The spectrum of each parameter's own block: a list of { path, n, values,
--- residuals, converged, trace, trace_error }. Ctrl-C returns the blocks so
--- far, reason = "interrupted".
---@param o? table k (3), which, tol, samples (32, of the trace), seed, match (a
---  pattern of paths: only these)
function operator:layers(o)
  o = sd.check_options(o, { "k:N", "which:S", "tol:F", "samples:N", "seed:I",
                            "match:S" }, "layers")
  if not self.parts then
    fail("layers: this %s has no parameters", self.name)
  end
  local list, good = interrupt.steps(#self.parts, {}, function(list, i)
    local path = self.parts[i].path
    if not o.match or path:find(o.match) then
      local B = self:block("^" .. path:gsub("%W", "%%%0") .. "$")
      list[#list + 1] = block_spectrum(B, path, o)
    end
    return list
  end)
  if good then return list end
  if #list == 0 then interrupt.raise() end
  return interrupt.partial(list)
end

return subspace
