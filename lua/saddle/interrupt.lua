-- Ctrl-C ends a long computation early with what it has: the core's searches
-- say so in their reason, loops in Lua catch the error. Either way the result
-- says "interrupted"; where it could pass for an answer, the error goes on.

local core = require "saddle.core"

local interrupt = {}

--- Raises what Ctrl-C raises.
function interrupt.raise() error("interrupted", 0) end

--- r, unless Ctrl-C cut it short: then the error, as if the search had raised
--- it, for what is made of r must not pass for an answer.
---@param r table with a reason
function interrupt.whole(r)
  if r.reason == "interrupted" then interrupt.raise() end
  return r
end

local function passed(good, ...)
  if good then return true, ... end
  local message = (...)
  if type(message) == "string" and message:find "interrupted$" then
    core.keep_interrupt()
    return false
  end
  error(message, 0)
end

--- true and the results of f(...), or false when Ctrl-C ended it. Other errors
--- go on.
---@param f function
---@param ... any its arguments
function interrupt.attempt(f, ...) return passed(pcall(f, ...)) end

--- step(state, i) -> the next state, and whether that is the last, for i = 1
--- .. n: the last state, and whether it was made without Ctrl-C. That may come
--- between any two instructions: a state is one value, so that it is never half
--- of one and half of the next.
---@param n integer
---@param state any the one before the first step
---@param step function
function interrupt.steps(n, state, step)
  local good = interrupt.attempt(function()
    for i = 1, n do
      local new, last = step(state, i)
      state = new
      if last then return end
    end
  end)
  return state, good
end

--- t, a result with what there is so far: converged = false, reason =
--- "interrupted".
---@param t table
function interrupt.partial(t)
  t.converged, t.reason = false, "interrupted"
  return t
end

--- A value and its error, and "interrupted" when they were cut short.
---@param cut boolean|nil
---@param value any
---@param err any
function interrupt.marked(cut, value, err)
  if cut then return value, err, "interrupted" end
  return value, err
end

return interrupt
