-- What does a learning rate do that is too large for the valley? Up to twice
-- as large it throws the parameters over to a flatter one: the catapult
-- (Lewkowycz et al. 2020), here on (u v - 1)^2 / 2, the smallest deep net. Its
-- minima u v = 1 have the sharpness u^2 + v^2; descent at the rate h stays at
-- one below 2 / h, goes to a flatter one below 4 / h, and diverges above. A
-- second; writes out/catapult.png.
local quick = arg and arg[1] == "--quick"
local lr = 0.1
local f = sd.problems.product.f

-- A minimum of sharpness s, u larger by a thousandth.
local function near_minimum(s)
  local u = math.sqrt((s + math.sqrt(s * s - 4)) / 2)
  return sd.tensor({ 1.001 * u, 1 / u }, { dtype = "f64" })
end

local function run(s)
  local p, step = near_minimum(s), sd.optim.sgd { lr = lr }:compile(f)
  local losses, peak = {}, 0
  for t = 1, 2000 do
    local loss
    p, loss = step(p)
    loss = loss:item()
    if not (loss < 1e9) then
      losses[#losses + 1] = loss < math.huge and loss or 1e9
      return "diverges", t, peak, losses
    end
    losses[t], peak = loss, math.max(peak, loss)
  end
  return (p:square():sum():item()), 2000, peak, losses
end

local expected = { [19] = "19.04", [21] = "18.88", [25] = "12.80",
                   [30] = "2.77", [35] = "flatter", [39] = "2.05",
                   [41] = "diverges", [45] = "diverges" }
print(("descent at the rate %g: thresholds 2 / rate = %g, 4 / rate = %g")
  :format(lr, 2 / lr, 4 / lr))
print "sharpness   loss at first   largest      where it ends   expected"
local curves = { xlabel = "step", ylabel = "loss", logy = true,
                 title = "The catapult, by the sharpness it starts at",
                 xrange = { 1, 60 }, yrange = { 1e-8, 1e3 },
                 legend = "outside" }
for _, s in ipairs { 19, 21, 25, 30, 35, 39, 41, 45 } do
  local ends, t, peak, losses = run(s)
  print(("%6d %17.1e %11.2g %18s   %s"):format(s, losses[1], peak,
    type(ends) == "number" and ("%.2f"):format(ends) or
    ("%s (%d steps)"):format(ends, t), expected[s]))
  if s ~= 35 and s ~= 45 then
    local y = {}
    for i = 1, math.min(60, #losses) do y[i] = math.max(losses[i], 1e-9) end
    curves[#curves + 1] = { y = y, name = ("%d: %s"):format(s,
      type(ends) == "number" and ("ends at %.1f"):format(ends) or ends) }
  end
end
if not quick then sd.plot.lines(curves):save "out/catapult.png" end
