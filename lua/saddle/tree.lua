-- Trees: nested tables of tensors, walked in sorted order of their keys,
-- numbers first.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

local tree = {}

--- The tensors of t in order, and their paths ("1.weight").
---@return table list, table paths
function tree.leaves(t) return core.leaves(t) end

local function same_count(lists, what)
  for i = 2, #lists do
    if #lists[i] ~= #lists[1] then
      fail("tree.%s: trees of %d and %d tensors", what, #lists[1], #lists[i])
    end
  end
end

--- A tree of f's results for the leaves of t and of further trees of the
--- same form.
---
--- ```lua
--- local half = sd.tree.map(function(x) return x / 2 end, { a = sd.ones(2) })
--- ```
function tree.map(f, t, ...)
  local lists = { (core.leaves(t, false)) }
  for i = 1, select("#", ...) do
    lists[i + 1] = core.leaves((select(i, ...)), false)
  end
  same_count(lists, "map")
  local out = {}
  for k = 1, #lists[1] do
    if #lists == 1 then
      out[k] = f(lists[1][k])
    else
      local args = {}
      for i = 1, #lists do args[i] = lists[i][k] end
      out[k] = f(table.unpack(args))
    end
  end
  return core.rebuild(t, out)
end

--- All leaves in one vector, and the function that makes a tree of such a
--- vector again.
function tree.ravel(t)
  local list = core.leaves(t, false)
  if #list == 0 then fail "tree.ravel: the tree holds no tensors" end
  local shapes, sizes, parts = {}, {}, {}
  for i, x in ipairs(list) do
    shapes[i], sizes[i] = x.shape, x:numel()
    parts[i] = x:reshape(-1)
  end
  local form = core.rebuild(t, list)
  local n = 0
  for _, s in ipairs(sizes) do n = n + s end
  local function unravel(v)
    if not core.is_tensor(v) then
      fail("tree.unravel: expected a vector, not a %s", type(v))
    elseif v.ndim ~= 1 or v:numel() ~= n then
      fail("tree.unravel: needs a vector of %d, not shape {%s}", n,
           table.concat(v.shape, ", "))
    end
    local out, at = {}, 1
    for i, s in ipairs(sizes) do
      out[i] = v:narrow(1, at, s):reshape(shapes[i])
      at = at + s
    end
    return core.rebuild(form, out)
  end
  return sd.cat(parts, 1), unravel
end

--- Sum of products of all elements.
function tree.dot(a, b)
  local x, y = core.leaves(a, false), core.leaves(b, false)
  same_count({ x, y }, "dot")
  if #x == 0 then fail "tree.dot: the trees hold no tensors" end
  local s
  for i = 1, #x do
    local p = sd.sum(x[i] * y[i])
    s = s and s + p or p
  end
  return s
end

--- The 2-norm of all elements together.
function tree.norm(t) return sd.sqrt(tree.dot(t, t)) end

--- a x + y, leaf by leaf.
function tree.axpy(a, x, y)
  return tree.map(function(u, v) return a * u + v end, x, y)
end

function tree.zeros_like(t) return tree.map(sd.zeros_like, t) end

--- Standard normal numbers in the form of t.
function tree.randn_like(t, o)
  return tree.map(function(x) return sd.randn_like(x, o) end, t)
end

--- The number of elements of all leaves.
function tree.numel(t)
  local n = 0
  for _, x in ipairs((core.leaves(t, false))) do n = n + x:numel() end
  return n
end

return module.strict("sd.tree", tree)
