-- Is a sharp minimum a bad one? A network of rectifiers computes the same
-- when one layer grows and the next shrinks, but its Hessian does not stay
-- (Dinh et al. 2017). Curves along filter-normalised directions do (Li et al.
-- 2018). A second; draws out/rescaling.png.
local o = { dtype = "f64", generator = sd.generator(1) }
local x, y = sd.randn(100, 10, o), sd.randint(1, 3, { 100 }, o)
local net = sd.nn.mlp { 10, 32, 3, activation = "relu", bias = false }
local function loss(p) return sd.cross_entropy(net(p, x), y) end
local first = net:init { seed = 1, dtype = "f64" }

local function scaled(c)
  return sd.tree.map(function(w) return w end,
                     { [1] = { weight = c * first[1].weight },
                       [3] = { weight = first[3].weight / c } })
end

-- The loss along a random direction, normalised or not.
local function curve(p, norm)
  local d = sd.landscape.random(p, { norm = norm, seed = 7 })
  local list = {}
  for i = -10, 10 do
    list[#list + 1] = loss(sd.tree.axpy(i / 10, d, p)):item()
  end
  return list
end

local function distance(a, b)
  local most = 0
  for i = 1, #a do most = math.max(most, math.abs(a[i] - b[i])) end
  return most
end

local raw, filter = curve(first, "none"), curve(first, "filter")
local drawn, t = {}, {}
for i = 1, 21 do t[i] = (i - 11) / 10 end
print "  c   |loss - loss(1)|   sharpness   / c^2    raw curve   filter curve"
for _, c in ipairs { 1, 2, 5, 10, 100 } do
  local p = scaled(c)
  local s = sd.curvature.hessian(loss, p):eigs { k = 1 }.values:item()
  if c <= 5 then
    drawn[#drawn + 1] = { x = t, y = curve(p, "none"),
                          name = ("random direction, c = %d"):format(c) }
  end
  print(("%3d %15.0e %14.4g %8.3f %12.2g %13.0e"):format(
    c, math.abs((loss(p) - loss(first)):item()), s, s / c ^ 2,
    distance(curve(p, "none"), raw), distance(curve(p, "filter"), filter)))
end
print "expected: the same loss and filter curve (to rounding), sharpness ~ c^2"
if not (arg and arg[1] == "--quick") then
  sd.plot.lines { { x = t, y = filter, name = "filter-normalised, any c",
                    style = "dashed" }, xlabel = "step", ylabel = "loss",
                  logy = true, legend = "above",
                  table.unpack(drawn) }:save "out/rescaling.png"
end
