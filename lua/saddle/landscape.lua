-- The loss surface around a point: directions, lines and planes through
-- parameter space (Li et al. 2018), and the pictures of them.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

local landscape = {}

-- ---- directions ------------------------------------------------------------

-- |x| over all dims but the first `kept`, in a shape that broadcasts.
local function norms(x, kept)
  local dims = {}
  for d = kept + 1, x.ndim do dims[#dims + 1] = d end
  if #dims == 0 then return x:abs() end
  return sd.norm(x, 2, dims, { keepdim = true })
end

-- d scaled so that each part has the norm of w's part; parts of w that are
-- zero stay put.
local function match_norms(d, w, kept)
  local n = norms(d, kept)
  return d * (norms(w, kept) / sd.where(n:eq(0), 1, n))
end

local normalise = {
  -- A filter is what feeds one output: all of w but its first dim.
  filter = function(d, w)
    return match_norms(d, w, w.ndim > 1 and 1 or 0)
  end,
  layer = function(d, w) return match_norms(d, w, 0) end,
  weight = function(d, w) return d * w:abs() / d:abs() end,
  none = function(d) return d end,
}

--- A random direction in the form of params, its parts scaled to the norms
--- of theirs.
---@param params any tree
---@param o? table norm "filter" | "layer" | "weight" | "none", ignore (a
---  pattern of paths that stay 0, such as "bias|norm"), seed
function landscape.random(params, o)
  o = sd.check_options(o, { "norm:S", "ignore:S", "seed:I" }, "random")
  local scale = normalise[o.norm or "filter"]
  if not scale then
    fail("random: norm must be filter, layer, weight or none, not '%s'",
         tostring(o.norm))
  end
  local g = o.seed and sd.generator(o.seed)
  local list, paths = core.leaves(params)
  local out = {}
  for i, w in ipairs(list) do
    local d = sd.randn(w.shape, { dtype = w.dtype, generator = g })
    local ignored = false
    for pattern in (o.ignore or ""):gmatch "[^|]+" do
      ignored = ignored or paths[i]:find(pattern) ~= nil
    end
    out[i] = ignored and sd.zeros_like(w) or scale(d, w)
  end
  local tree = core.rebuild(params, out)
  sd.eval(tree)
  return tree
end

--- The direction from a to b.
function landscape.between(a, b)
  return sd.tree.map(function(x, y) return y - x end, a, b)
end

-- ---- scans -----------------------------------------------------------------

local function axis(spec, name, n)
  spec = spec or { -1, 1, n }
  local from, to, count = spec[1], spec[2], spec[3] or n
  if type(from) ~= "number" or type(to) ~= "number" or
     math.type(count) ~= "integer" or count < 1 then
    fail("%s: a range {from, to, n}, not {%s, %s, %s}", name, tostring(from),
         tostring(to), tostring(spec[3]))
  end
  return sd.linspace(from, to, count, { dtype = "f64" }):totable()
end

-- A result of f as a number.
local function number(v, what)
  if type(v) == "number" then return v end
  if sd.is_tensor(v) then
    if v:numel() == 1 then return v:item() end
    v = ("a tensor of shape {%s}"):format(table.concat(v.shape, ", "))
  else
    v = v == nil and "nothing" or "a " .. type(v)
  end
  fail("%s: f returned %s; it must return one number", what, v)
end

-- f at params + a d1 + b d2, as one plan for all points of a scan.
local function evaluator(what, f, params, d1, d2, args)
  local function at(a, b)
    local p = sd.tree.map(function(w, u)
      return (w + a * u):to(w.dtype)
    end, params, d1)
    if d2 then
      p = sd.tree.map(function(w, u)
        return (w + b * u):to(w.dtype)
      end, p, d2)
    end
    return f(p, table.unpack(args, 1, args.n))
  end
  -- A function that looks at values cannot be compiled; it still runs.
  local run = core.jit(at)
  local function scalar(v) return sd.tensor(v, { dtype = "f64" }) end
  local compiled = pcall(run, scalar(0), scalar(0))
  if not compiled then run = at end
  return function(a, b)
    local loss, accuracy = run(scalar(a), scalar(b))
    return number(loss, what),
           accuracy ~= nil and number(accuracy, what) or nil
  end
end

-- Tells on stderr, when that is a terminal, how far a scan is.
local function progress(what, total, wanted)
  if wanted == nil then wanted = core.is_terminal(2) end
  if not wanted then return function() end end
  local start, last = sd.clock(), 0
  return function(done)
    local now = sd.clock()
    if done < total and now - last < 0.2 then return end
    last = now
    local left = (now - start) / done * (total - done)
    io.stderr:write(("\r%s %d/%d, %.0f s left \27[K%s"):format(
      what, done, total, left, done == total and "\n" or ""))
    io.stderr:flush()
  end
end

local scan = {}
scan.__index = module.fields("a scan", scan, {
  x = true, y = true, loss = true, accuracy = true })

local known = { "args:L", "progress:B" }

--- The loss on a line: params + x d for n values of x.
---@param f function of params; a second result is kept as accuracy
---@param params any tree
---@param d any tree, the direction
---@param range table { from, to, n }
---@param o? table args (further arguments of f), progress
function landscape.line(f, params, d, range, o)
  o = sd.check_options(o, known, "line")
  local x = axis(range, "line", 101)
  local args = table.pack(table.unpack(o.args or {}))
  local at = evaluator("line", f, params, d, nil, args)
  local tell = progress("line", #x, o.progress)
  local s = { x = x, loss = {}, accuracy = {} }
  for i, a in ipairs(x) do
    s.loss[i], s.accuracy[i] = at(a, 0)
    tell(i)
  end
  if #s.accuracy == 0 then s.accuracy = nil end
  return setmetatable(s, scan)
end

--- The loss on a plane: params + x d1 + y d2. loss[j][i] is at x[i], y[j].
---@param f function of params; a second result is kept as accuracy
---@param params any tree
---@param d1 any tree
---@param d2 any tree
---@param o? table x, y ({from, to, n}), args, progress
function landscape.plane(f, params, d1, d2, o)
  o = sd.check_options(o, { "x", "y", "args:L", "progress:B" }, "plane")
  local x, y = axis(o.x, "plane: x", 51), axis(o.y, "plane: y", 51)
  local args = table.pack(table.unpack(o.args or {}))
  local at = evaluator("plane", f, params, d1, d2, args)
  local tell = progress("plane", #x * #y, o.progress)
  local s = { x = x, y = y, loss = {}, accuracy = {} }
  for j, b in ipairs(y) do
    local row, accuracy = {}, {}
    for i, a in ipairs(x) do
      row[i], accuracy[i] = at(a, b)
      tell((j - 1) * #x + i)
    end
    s.loss[j], s.accuracy[j] = row, #accuracy > 0 and accuracy or nil
  end
  if #s.accuracy == 0 then s.accuracy = nil end
  return setmetatable(s, scan)
end

-- ---- what is done with a scan ----------------------------------------------

--- Saves x, y, loss and accuracy, as .npz or .json.
function scan:save(path)
  local t = {}
  for _, k in ipairs { "x", "y", "loss", "accuracy" } do
    if self[k] then t[k] = sd.tensor(self[k], { dtype = "f64" }) end
  end
  sd.save(path, t)
  return self
end

local kinds = { "surface", "contour", "heatmap" }

local function kind_of(o)
  for _, kind in ipairs(kinds) do
    if kind == (o.kind or "surface") then return kind end
  end
  fail("plot: kind must be surface, contour or heatmap, not '%s'%s", o.kind,
       module.hint(o.kind, kinds))
end

--- Draws the scan: a curve for a line; surface, contour or heatmap for a
--- plane.
---@param path? string .png, .svg or .pdf
---@param o? table kind ("surface"), log, title, path
function scan:plot(path, o)
  o = sd.check_options(o, { "kind:S", "log:B", "title:S", "path" }, "plot")
  local fig
  if not self.y then
    fig = sd.plot.lines { { x = self.x, y = self.loss, name = "loss" },
                          title = o.title, logy = o.log, xlabel = "step",
                          ylabel = "loss" }
  else
    local draw = sd.plot[kind_of(o)]
    fig = draw { x = self.x, y = self.y, z = self.loss, log = o.log,
                 title = o.title, path = o.path }
  end
  if path then fig:save(path) end
  return fig
end

--- Writes one HTML file in which the surface turns with the mouse.
function scan:html(path, o)
  o = sd.check_options(o, { "log:B", "title:S" }, "html")
  if not self.y then fail "html: a line has no surface" end
  local html = require "saddle.plot.html"
  require "saddle.fs".write_atomic(path, html.page {
    x = self.x, y = self.y, z = self.loss, log = o.log,
    title = o.title or "loss surface" })
  return self
end

return module.strict("sd.landscape", landscape)
