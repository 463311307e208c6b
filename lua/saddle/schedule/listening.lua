-- Schedules that are told how training goes, by :observe(...), and remember it
-- in what :state() gives and :load(state) takes.

local base = require "saddle.schedule.base"
local fail = require "saddle.fail"
local is_tensor = require "saddle.core".is_tensor

local define = base.define

local function number_of(v, what)
  if is_tensor(v) then v = v:item() end
  if type(v) ~= "number" then
    fail("%s: expected a number, got %s", what, type(v))
  end
  return v
end

local function better(o, a, best)
  local sign = o.mode == "min" and -1 or 1
  if best == nil then return a == a end
  if o.threshold_mode == "rel" then
    return sign * a > sign * best * (1 + sign * o.threshold)
  end
  return sign * a > sign * best + o.threshold
end

-- The methods of a schedule that is told something: update(numbers told)
-- changes its memory s, whose fields are names; s.rate is its value.
local function listener(what, s, names, told, update)
  local fields = {}
  function fields.observe(_, ...)
    local heard = {}
    for i, name in ipairs(told) do
      heard[i] = number_of((select(i, ...)),
                           ("%s:observe: %s"):format(what, name))
    end
    update(table.unpack(heard))
    return s.rate
  end
  function fields.state()
    local list = {}
    for i, name in ipairs(names) do list[i] = s[name] or 0 / 0 end
    return { [what] = require "saddle.init".tensor(list, { dtype = "f64" }) }
  end
  function fields.load(self, state)
    local x = type(state) == "table" and state[what]
    if not is_tensor(x) or x:numel() ~= #names then
      fail("%s:load: expected what %s:state() gave, got %s", what, what,
           type(state))
    end
    for i, v in ipairs(x:totable()) do
      s[names[i]] = v == v and v or nil
    end
    return self
  end
  return fields
end

return function(schedule)
  --- lr until what :observe(value) is told has not become better by threshold
  --- for more than `patience` calls, then factor times that, and so on
  --- (ReduceLROnPlateau). :state() and :load(state) save and restore it.
  ---
  --- ```lua
  --- local s = require("saddle").schedule.plateau{ lr = 0.1, patience = 1 }
  --- for _, loss in ipairs{ 1, 0.9, 0.9, 0.9 } do print(s:observe(loss)) end
  --- ```
  schedule.plateau = define("plateau", "lr|from:R mode:S=min factor:R=0.1 " ..
    "patience:Z=10 threshold:R=1e-4 threshold_mode:S=rel cooldown:Z=0 " ..
    "min_lr|to:R=0 eps:R=1e-8", function(o, what)
      if o.mode ~= "min" and o.mode ~= "max" then
        fail("%s: mode must be 'min' or 'max', not '%s'", what, o.mode)
      elseif o.threshold_mode ~= "rel" and o.threshold_mode ~= "abs" then
        fail("%s: threshold_mode must be 'rel' or 'abs', not '%s'", what,
             o.threshold_mode)
      elseif o.factor >= 1 or o.factor < 0 then
        fail("%s: factor must lie in [0, 1), not %s", what, o.factor)
      end
      local s = { rate = o.lr, bad = 0, rest = 0 }
      local names = { "rate", "best", "bad", "rest" }
      return function() return s.rate end, nil,
             listener("plateau", s, names, { "value" }, function(value)
        if better(o, value, s.best) then
          s.best, s.bad = value, 0
        else
          s.bad = s.bad + 1
        end
        if s.rest > 0 then s.rest, s.bad = s.rest - 1, 0 end
        if s.bad > o.patience then
          local next_rate = math.max(s.rate * o.factor, o.min_lr)
          if s.rate - next_rate > o.eps then s.rate = next_rate end
          s.rest, s.bad = o.cooldown, 0
        end
      end)
    end)

  --- factor / sharpness, at most `max`: as far from the edge 2 / sharpness as
  --- the factor is from 2. :observe(sharpness) tells it (what
  --- sd.curvature.sharpness gives); before that it is lr.
  schedule.sharpness = define("sharpness", "lr|from:R factor:P=1 max:R?",
    function(o)
      local s = { rate = o.lr }
      return function() return s.rate end, nil,
             listener("sharpness", s, { "rate" }, { "sharpness" },
                      function(sharpness)
        local rate = sharpness > 0 and o.factor / sharpness or o.max or s.rate
        s.rate = math.min(rate, o.max or rate)
      end)
    end)

  --- Polyak's (1969) step (f - optimum) / |g|^2, at most `max`; it is told by
  --- :observe(f, |g|), and lr before that.
  schedule.polyak = define("polyak", "lr|from:R optimum:R=0 max:R?",
    function(o)
      local s = { rate = o.lr }
      return function() return s.rate end, nil,
             listener("polyak", s, { "rate" }, { "f", "|g|" },
                      function(f, norm)
        local rate = norm > 0 and math.max(f - o.optimum, 0) / norm ^ 2 or 0
        s.rate = math.min(rate, o.max or rate)
      end)
    end)
end
