-- The learning-rate range test (Smith 2017): the rate rises from step to step
-- until the loss explodes; where the loss falls fastest is a good rate.

local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"
local stepper = require "saddle.optim.stepper"

local methods = {}
local result = { __index = module.fields("the range test", methods,
                                         { diverges = true,
                                           suggestion = true }) }

function result:__tostring()
  if not self.suggestion then
    return ("learning rates %.1e ... %.1e: the loss never falls"):format(
      self.lr[1], self.lr[#self.lr])
  end
  return ("learning rate: %.2g (the loss falls fastest there; least at " ..
          "%.2g, %s)"):format(self.suggestion, self.lowest,
    self.diverges and ("explodes from %.2g on"):format(self.diverges) or
    "does not explode in the range")
end

--- A figure of the loss over the rates, saved when a path is given.
---@param path? string
---@return saddle.plot.Figure
function methods:plot(path)
  local marks, title = {}, "Learning-rate range test"
  if self.suggestion then
    marks[1] = self.suggestion
    title = ("%s: %.2g suggested"):format(title, self.suggestion)
  end
  if self.diverges then
    marks[#marks + 1] = self.diverges
    title = ("%s, explodes at %.2g"):format(title, self.diverges)
  end
  local top, low = self.smooth[1], self.smooth[1]
  for i, v in ipairs(self.smooth) do
    low = math.min(low, v, self.loss[i])
  end
  local figure = require "saddle.plot".lines {
    title = title, xlabel = "learning rate", ylabel = "loss", logx = true,
    vlines = marks, legend = "bottom left",
    yrange = { low - 0.1 * (top - low), top + 0.5 * (top - low) + 1e-12 },
    { x = self.lr, y = self.loss, name = "each batch", style = "points" },
    { x = self.lr, y = self.smooth, name = "smoothed" } }
  return path and figure:save(path) or figure
end

-- The place where y falls fastest from one entry to the next but one.
local function steepest(y, upto)
  local at, most
  for i = 2, upto - 1 do
    local fall = y[i - 1] - y[i + 1]
    if fall > 0 and (not most or fall > most) then at, most = i, fall end
  end
  return at
end

local function smoothed(loss, beta)
  local list, m = {}, 0
  for i, v in ipairs(loss) do
    m = beta * m + (1 - beta) * v
    list[i] = m / (1 - beta ^ i)
  end
  return list
end

local function check_range(o)
  local from, to = o.from or 1e-6, o.to or 10
  if not (from > 0 and from < to and to < math.huge) then
    fail("lr_range: needs 0 < from < to, not %s and %s", from, to)
  end
  local smooth = o.smooth or 0.9
  if smooth < 0 or smooth >= 1 then
    fail("lr_range: smooth must lie in [0, 1), not %s", smooth)
  end
  return from, to, smooth
end

--- The learning-rate range test: { lr, loss, smooth (lists over the steps
--- taken), suggestion (where the smoothed loss falls fastest; nil when it
--- never does), lowest (where it is least), diverges (where it exceeds stop
--- times its least, or is not finite) }, with :plot(path). Parameters and
--- optimizer stay what they were.
---
--- ```lua
--- local p = sd.problems.quadratic
--- print(sd.dynamics.lr_range{ loss = p.f, params = p.start, steps = 60,
---   from = 1e-4, to = 1 })
--- ```
---@param o table loss, params, optimizer (a fresh one; sgd unless given),
---  batch (function(step) -> loss's further arguments) or args (a list of
---  them), from (1e-6), to (10), steps (100), smooth (0.9), stop (4)
return function(o)
  o = sd.check_options(o, { "loss:C", "params", "optimizer", "batch:C",
                            "args:L", "from:F", "to:F", "steps:N",
                            "smooth:F", "stop:F" }, "lr_range")
  if not o.loss or o.params == nil then
    fail "lr_range: needs loss and params"
  end
  local from, to, smooth = check_range(o)
  local opt = stepper.check(o.optimizer or sd.optim.sgd {}, "lr_range")
  if opt.t ~= 0 then
    fail("lr_range: %s has taken %d steps; pass a fresh optimizer", opt.name,
         opt.t)
  end
  local n, blank, before = o.steps or 100, opt:state(), opt.lr
  local rates = sd.schedule.exponential { from = from, to = to,
                                          steps = math.max(n - 1, 1) }
  opt.lr = rates
  local step = stepper.new(opt, o.loss)
  local r = { lr = {}, loss = {} }
  local params, least = o.params, math.huge
  local done, message = pcall(function()
    for t = 1, n do
      local loss
      if o.batch then
        params, loss = step(params, o.batch(t))
      else
        params, loss = step(params, table.unpack(o.args or {}))
      end
      local value = loss:item()
      if value ~= value or value == math.huge or
         t > 1 and value > least + ((o.stop or 4) - 1) * math.abs(least) then
        r.diverges = rates(t)
        break
      end
      r.lr[t], r.loss[t] = rates(t), value
      least = math.min(least, value)
    end
  end)
  opt:load(blank)
  opt.lr = before
  if not done then error(message, 0) end
  if #r.loss == 0 then
    fail("lr_range: the loss is not finite at the start")
  end
  r.smooth = smoothed(r.loss, smooth)
  local low = 1
  for i, v in ipairs(r.smooth) do if v < r.smooth[low] then low = i end end
  local at = steepest(r.smooth, math.min(math.max(low, 3), #r.smooth))
  r.suggestion, r.lowest = at and r.lr[at], r.lr[low]
  return setmetatable(r, result)
end
