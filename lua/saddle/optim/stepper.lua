-- An optimizer's steps down a function by the fastest way that its rule
-- allows: replayed, or one by one for a rule that steps by itself, looks at
-- values or compares the step's number, which shows by its second step.

local fail = require "saddle.fail"

local stepper = {}

local function is_optimizer(v)
  return type(v) == "table" and type(v.step) == "function" and v.t ~= nil
end

--- v, an optimizer; an error of `what` when it is none.
function stepper.check(v, what)
  local ok, good = pcall(is_optimizer, v)
  if ok and good then return v end
  fail("%s: expected an optimizer, got a %s", what,
       type(v) == "function" and "function (call the rule first)" or type(v))
end

--- Raises message again when it is Ctrl-C's: no fault of a rule.
function stepper.pass_interrupt(message)
  if tostring(message):find "interrupted" then error(message, 0) end
end

--- A function (params, ...) -> params, loss, and f's further results.
---@param opt table an optimizer
---@param f function
---@param again? function called when a step is taken anew the plain way
function stepper.new(opt, f, again)
  local function plain(...) return opt:step(f, ...) end
  local can, compiled = pcall(opt.compile, opt, f)
  if not can then return plain end
  local count, step = 0, nil
  local function finish(ok, ...)
    if ok then return ... end
    stepper.pass_interrupt((...))
    step = plain
  end
  return function(...)
    if step then return step(...) end
    count = count + 1
    local out = table.pack(finish(pcall(compiled, ...)))
    if step then
      if again then again() end
      return step(...)
    end
    if count == 2 then step = compiled end
    return table.unpack(out, 1, out.n)
  end
end

return stepper
