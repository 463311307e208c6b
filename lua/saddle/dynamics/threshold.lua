-- From which eta lambda on do an optimizer's steps grow on a quadratic of
-- curvature lambda? Its rule is asked (sd.optim.stability), at the settings now
-- in force, once for each of them but the rate.

local hyper = require "saddle.optim.hyper"
local optimizer = require "saddle.optim.optimizer"
local stepper = require "saddle.optim.stepper"
local update = require "saddle.optim.update"

-- What was found, for each optimizer: the settings as a text -> the answer.
local known = setmetatable({}, { __mode = "k" })

-- A part like this one whose settings are fixed at what step t has, and these
-- settings but the rate as a list of texts.
local function frozen(part, t)
  local h, text = hyper.at(part, nil, update.clock(part, t)), {}
  local copy = hyper.copy(part)
  for k in pairs(part.hyper) do
    copy.hyper[k] = h[k]
    if k ~= "lr" then text[#text + 1] = k .. tostring(h[k]) end
  end
  copy.groups = {}
  table.sort(text)
  return copy, table.concat(text, " ")
end

--- The threshold of eta lambda of a linear rule. nil where there is none: no
--- rate above 0, a rule that wants more than gradients, scales them (Adam) or
--- is stable for every rate. Groups of parameters are left aside.
---@param opt table an optimizer
---@return number | nil
return function(opt)
  local own = optimizer.own(opt)
  if not opt.applies then return nil end
  local parts, texts = {}, {}
  for k, part in ipairs(own.parts) do
    parts[k], texts[k] = frozen(part, math.max(own.t, 1))
  end
  known[opt] = known[opt] or {}
  local key = table.concat(texts, "; ")
  local r = known[opt][key]
  if r == nil then
    local twin = optimizer.new(own.name, parts, { allow_unused = true })
    local ok, found = pcall(require "saddle.optim.stability", twin)
    if not ok then stepper.pass_interrupt(found) end
    r = ok and found.linear and found.threshold > 0 and
        found.threshold < math.huge and found.threshold
    known[opt][key] = r
  end
  return r or nil
end
