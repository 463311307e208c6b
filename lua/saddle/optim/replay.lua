-- Steps that are replayed as plans (src/lua/replay.c), which keep the
-- optimizer's state between calls.

local core = require "saddle.core"
local fail = require "saddle.fail"
local hyper = require "saddle.optim.hyper"
local purity = require "saddle.optim.purity"
local sd = require "saddle.init"
local stepper = require "saddle.optim.stepper"
local update = require "saddle.optim.update"

local replay = {}

--- The state lives in own.states, or, between steps that are replayed, in
--- the replay own.carrier, which gives it back here.
function replay.settle(own)
  local carrier = own.carrier
  if not carrier then return end
  own.carrier = nil
  own.states = carrier.take().states
end

local function identity(t) return t end

-- The schedules, and the clocks of the parts that take fewer steps.
local function timed(own)
  local list = hyper.schedules(own.parts)
  for _, part in ipairs(own.parts) do
    if part.per > 1 then
      list[#list + 1] = { part = part, schedule = identity, name = "t",
                          clock = true }
    end
  end
  return list
end

-- The schedules' values for step t: numbers for a part's first step, so that
-- a rule may treat it apart; then tensors, so that one plan serves them all.
local function values_at(own, list, t)
  local values = { phases = update.phases(own, t) or nil }
  for i, e in ipairs(list) do
    local at = update.clock(e.part, t)
    local v = hyper.scheduled(e.part, e.name, e.schedule, at)
    values[i] = at == 1 and v or core.scalar(v)
  end
  return values
end

local function time_of(list, values, t)
  local now = {}
  for i, e in ipairs(list) do
    now[e.part] = now[e.part] or {}
    now[e.part][e.clock and "t" or e.schedule] = values[i]
  end
  return { t = t, now = now, phases = values and values.phases }
end

--- What is carried to the step after that of number t.
function replay.next(t, states)
  return { t = type(t) == "number" and core.scalar(t + 1) or t + 1,
           states = states }
end

-- Whether a number that was set often became a tensor in the trace of a rule
-- that may not be able to do with one.
local function holds_in_doubt(own)
  for _, part in ipairs(own.parts) do
    if not part.rule.tidy and hyper.holds(part) then return true end
  end
  return false
end

--- A function (params, ...) -> what work(carried, time, params, ...) returns
--- after the next carried { t =, states = }, replayed as a plan that keeps the
--- optimizer's state and the step's number t between calls; t is a number in
--- the first step, then a tensor. plain(params, ...) runs inside other traces.
--- Numbers among the hyper-parameters are constants of the plan, which is made
--- anew when one of them is set. Where done is given, the call returns what
--- done(count, { params, .. }, results ..) does, the step counting when count
--- is called.
function replay.new(own, o)
  local list, timely, run, version, doubtful
  local carrier, done = {}, o.done
  local function build()
    if own.carrier == carrier then replay.settle(own) end
    version = own.version
    list = timed(own)
    doubtful = holds_in_doubt(own)
    timely = #list > 0 or own.phased
    -- What tracing draws is drawn again when the plan runs.
    local function rewound(streams, ...)
      hyper.streams(own.parts, streams)
      return ...
    end
    local function with_values(carried, values, params, ...)
      return rewound(hyper.streams(own.parts), o.work(
        carried, time_of(list, values, carried.t), params, ...))
    end
    local function without(_, ...) return o.plain(...) end
    run, carrier.load, carrier.take =
      core.jit_carrying(with_values, o.watched, without)
  end
  local function take_over(params)
    replay.settle(own)
    own.check(params)
    local t = own.t + 1
    carrier.load { t = t > 1 and core.scalar(t) or t, states = own.states }
    own.carrier = carrier
    -- Nobody else has the state, or opt:state() was not asked for it.
    if own.shown ~= own.states then core.release(own.states) end
    own.states = true
  end
  local function finish(t, ...)
    own.t = t
    return ...
  end
  local function step(params, ...)
    if own.carrier ~= carrier then take_over(params) end
    local t = own.t + 1
    local values = timely and values_at(own, list, t) or false
    if done then
      return done(function() own.t = t end, table.pack(params, ...),
                  run(values, params, ...))
    end
    return finish(t, run(values, params, ...))
  end
  -- A rule that cannot do with held numbers gets them back.
  local function careful(params, ...)
    local out = table.pack(pcall(step, params, ...))
    if out[1] then return table.unpack(out, 2, out.n) end
    stepper.pass_interrupt(out[2])
    for _, part in ipairs(own.parts) do hyper.release(part) end
    own.version = own.version + 1
    build()
    return step(params, ...)
  end
  local is_tracing, plain = core.is_tracing, o.plain
  return function(params, ...)
    if is_tracing() then return plain(params, ...) end
    if version ~= own.version then build() end
    if doubtful then return careful(params, ...) end
    if timely or done or own.carrier ~= carrier then
      return step(params, ...)
    end
    return finish(own.t + 1, run(false, params, ...))
  end
end

-- ---- rules that may be replayed --------------------------------------------

-- The functions of rules that are not said to be tidy, and the names of what
-- varies between steps.
local function in_doubt(own)
  local list, varying = {}, { "t" }
  for _, part in ipairs(own.parts) do
    if not part.rule.tidy then
      local more = hyper.functions(part.rule)
      table.move(more, 1, #more, #list + 1, list)
    end
  end
  for _, e in ipairs(hyper.schedules(own.parts)) do
    varying[#varying + 1] = e.name
  end
  return list, varying
end

--- Whether a trace of the rules may go wrong unnoticed, for what varies between
--- steps is compared in one of them.
function replay.in_danger(own)
  return purity.compared(in_doubt(own)) ~= nil
end

-- Rules that get functions with their hyper-parameters are left alone.
local function look(own)
  own.looked, own.constants = own.version, nil
  for _, part in ipairs(own.parts) do
    if part.rule.takes then return end
  end
  own.constants = purity.constants(in_doubt(own))
end

-- Rules that keep changing are not worth a plan each time.
local most = 16

--- Whether steps of gradients and parameters alone are replayed: those of tidy
--- rules (own.tidy), never those of untidy ones; where that is not said (nil),
--- as long as the rules' functions are pure and what they read stays the same.
function replay.wanted(own)
  if own.tidy ~= nil then return own.tidy end
  if own.looked ~= own.version then
    look(own)
  elseif own.constants and not purity.same(own.constants) then
    own.version = own.version + 1
    look(own)
  end
  if not own.constants then own.tidy = false end
  return own.constants ~= nil
end

local function only_tensors(t)
  for k, v in pairs(t) do
    if sd.is_tensor(k) then fail "the state's form depends on a tensor"
    elseif type(v) == "table" then only_tensors(v)
    elseif not sd.is_tensor(v) then
      fail("a %s in the state is a constant of the plan", type(v))
    end
  end
end

--- Looks at the states before and after a step that was traced; an error when
--- the plan cannot stand for the steps to come.
function replay.verify(own, old, new)
  if own.tidy then return end
  own.traces = (own.traces or 0) + 1
  if own.traces > most then fail("%d plans were made", most) end
  only_tensors(old)
  only_tensors(new)
end

return replay
