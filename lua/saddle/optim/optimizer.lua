-- The optimizer: parts with their hyper-parameters, and the state of a whole
-- tree of parameters.

local context = require "saddle.optim.context"
local core = require "saddle.core"
local fail = require "saddle.fail"
local hyper = require "saddle.optim.hyper"
local module = require "saddle.module"
local replay = require "saddle.optim.replay"
local sd = require "saddle.init"
local stepper = require "saddle.optim.stepper"
local update = require "saddle.optim.update"
local pack, unpack = table.pack, table.unpack

local optimizer = {}

-- Fields beside the hyper-parameters, which __index finds in the parts.
local private = setmetatable({}, { __mode = "k" })

--- What an optimizer holds; nil of anything else.
function optimizer.own(self) return private[self] end

-- What it holds, in its method of that name.
local function held(self, name)
  return private[self] or
         fail("%s: call it with a colon, opt:%s(..)", name, name)
end

-- Options that every optimizer takes.
local general = { maximize = "boolean", allow_unused = "boolean",
                  on_nonfinite = "string" }
optimizer.general = general
local answers = { error = true, skip = true, warn = true }

-- ---- fields ----------------------------------------------------------------

-- The part whose hyper-parameter key is meant: the one that moves parameters
-- before others.
local function part_with(own, key)
  local found
  for _, part in ipairs(own.parts) do
    if part.hyper[key] ~= nil then
      if part.rule.update or part.rule.step then return part end
      found = found or part
    end
  end
  return found
end

local methods = { "step", "apply", "compile", "state", "load", "average",
                  "context" }
local is_method = {}
for _, name in ipairs(methods) do is_method[name] = true end

local meta = {}

function meta:__index(key)
  if is_method[key] then return optimizer[key] end
  local own = private[self]
  local part = part_with(own, key)
  if part then
    local v, takes = part.hyper[key], part.rule.takes
    if takes and takes[key] then return v end
    return hyper.value(v, update.clock(part, math.max(own.t, 1)))
  end
  if key == "name" or key == "t" or general[key] then return own[key] end
  -- Whether gradients are all it needs, so that opt:apply serves.
  if key == "applies" then return not (own.closure or own.evaluates) end
  -- Whether its steps are replayed rather than run in Lua.
  if key == "replays" then return not own.closure and replay.wanted(own) end
  local known = { "name", "t", "applies", "replays", unpack(methods) }
  for _, p in ipairs(own.parts) do
    for k in pairs(p.hyper) do known[#known + 1] = k end
  end
  for k in pairs(general) do known[#known + 1] = k end
  fail("%s: no field '%s'%s", own.name, tostring(key), module.hint(key, known))
end

local function check_general(name, key, v)
  if type(v) ~= general[key] then
    fail("%s: %s must be a %s, not %s", name, key, general[key], tostring(v))
  elseif key == "on_nonfinite" and not answers[v] then
    fail("%s: on_nonfinite must be 'error', 'skip' or 'warn', not '%s'", name,
         v)
  end
end

function meta:__newindex(key, v)
  local own = private[self]
  if general[key] then
    check_general(own.name, key, v)
    own[key] = v
  elseif hyper.set(part_with(own, key) or own.parts[1], key, v) then
    return
  end
  own.version = own.version + 1
end

local function describe(part)
  local list = {}
  for k, v in pairs(part.hyper) do
    list[#list + 1] = k .. " = " .. hyper.text(v)
  end
  table.sort(list)
  return ("%s{ %s }"):format(part.rule.name, table.concat(list, ", "))
end

function meta:__tostring()
  local own, list = private[self], {}
  for k, part in ipairs(own.parts) do list[k] = describe(part) end
  if own.single then return list[1] end
  return ("%s{ %s }"):format(own.name, table.concat(list, ", "))
end

-- ---- the state and its parameters ------------------------------------------

local function text(shape) return table.concat(shape, ", ") end

-- A state that was loaded belongs to parameters of these paths and shapes.
local function verify(own, params, paths)
  local fresh = update.start(own, params, paths)
  for i, path in ipairs(paths) do
    if own.paths and own.paths[i] ~= path then
      fail("%s: the loaded state is for parameter '%s', here is '%s'",
           own.name, tostring(own.paths[i]), path)
    end
  end
  local function compare(old, new, path)
    for k, v in pairs(new) do
      local w = old[k]
      if type(v) == "table" then
        compare(type(w) == "table" and w or {}, v, path)
      elseif sd.is_tensor(w) and type(v) == "number" then
        old[k] = w:item()
      elseif not sd.is_tensor(w) and sd.is_tensor(v) then
        fail("%s: the loaded state has no '%s' for parameter '%s'", own.name,
             k, path)
      elseif sd.is_tensor(v) and not core.same_shape(v, w) then
        fail("%s: the loaded state's '%s' has shape {%s}; parameter '%s' " ..
             "needs {%s}", own.name, k, text(w.shape), path, text(v.shape))
      end
    end
  end
  for i, path in ipairs(paths) do
    local old = own.states[i]
    compare(type(old) == "table" and old or {}, fresh[i], path)
  end
end

local function check_list(own, params, paths)
  if #params == 0 then
    fail("%s: the parameters hold no tensors", own.name)
  end
  if not own.states then
    hyper.check_matches(own.parts, paths)
    own.states, own.paths = update.start(own, params, paths), paths
  end
  if #own.states ~= #params then
    fail("%s: %d parameters given, the state is for %d", own.name, #params,
         #own.states)
  end
  if own.loaded then
    verify(own, params, paths)
    own.loaded = nil
  end
end

local function check_count(own, params, states)
  if #states ~= #params then
    fail("%s: %d parameters given, the state is for %d", own.name, #params,
         #states)
  end
end

-- ---- what is not finite ----------------------------------------------------

-- What is wrong with loss or gradients, a tree.
local function trouble(own, loss, grads)
  local list, paths = core.leaves(grads)
  local i, value = core.first_nonfinite(list), loss:item()
  if value ~= value then value = "nan" end
  if not i then
    return ("%s: step %d: the loss is %s"):format(own.name, own.t + 1, value)
  end
  return ("%s: step %d: the gradient of '%s' is not finite (the loss is %s)")
    :format(own.name, own.t + 1, paths[i], value)
end

-- Refuses the step as the option says; returns when it is to be left out.
local function refuse(own, message)
  local how = own.on_nonfinite or "error"
  if how == "error" then
    fail("%s; parameters and state are as before", message)
  elseif how == "warn" then
    io.stderr:write(message, "; the step is left out\n")
  end
end

local function check_function(own, f)
  if not hyper.callable(f) then
    fail("%s: needs a loss function, not a %s", own.name, type(f))
  end
end

-- ---- steps -----------------------------------------------------------------

-- Lists of the tensors of parameters and gradients, and their paths.
local function matched(own, params, grads)
  local list, paths = core.leaves(params)
  local g, names = core.leaves(grads)
  if #g ~= #list then
    fail("%s: %d gradients for %d parameters", own.name, #g, #list)
  end
  for i, p in ipairs(list) do
    if names[i] ~= paths[i] or not core.same_shape(g[i], p) then
      fail("%s: gradient '%s' of shape {%s} for parameter '%s' of shape {%s}",
           own.name, names[i], text(g[i].shape), paths[i], text(p.shape))
    end
  end
  return list, g, paths
end

-- Calls fn(table, key, tensor) on the tensors right in the parts' states.
local function each_tensor(own, states, fn)
  for _, of_leaf in ipairs(states) do
    for _, s in ipairs(own.single and { of_leaf } or of_leaf) do
      for k, v in pairs(s) do
        if sd.is_tensor(v) then fn(s, k, v) end
      end
    end
  end
end

local function spent_by(own)
  local list = {}
  if own.shown ~= own.states then
    each_tensor(own, own.states, function(_, _, x) list[#list + 1] = x end)
  end
  return list
end

-- The plain way, one graph of all. The new state is written over the old one
-- where nobody else has it: the rule's handles of it give way to others before
-- the collector may call them old.
local function plain(own, params, grads, extra)
  local list, g, paths = matched(own, params, grads)
  replay.settle(own)
  check_list(own, list, paths)
  local new, states = update.all(own, list, g, own.states, paths,
                                 update.time(own, own.t + 1), extra)
  each_tensor(own, states, function(s, k, x) s[k] = core.alias(x) end)
  local all, spent = core.leaves(states, false), spent_by(own)
  core.eval(table.move(new, 1, #new, #all + 1, all), spent)
  own.states, own.t = states, own.t + 1
  core.release(spent)
  return core.rebuild(params, new)
end

-- The update as a replayed function of parameters, gradients and what the
-- parts found beside them.
local function updater(own)
  own.updater = own.updater or replay.new(own, {
    work = function(carried, time, params, grads, extra)
      local list, g, paths = matched(own, params, grads)
      check_count(own, list, carried.states)
      local new, states = update.all(own, list, g, carried.states, paths, time,
                                     extra)
      replay.verify(own, carried.states, states)
      return replay.next(carried.t, states), core.rebuild(params, new)
    end,
    plain = function(...) return plain(own, ...) end })
  return own.updater
end

-- The new parameters, and whether the step was replayed. A rule that cannot be
-- traced after all is left alone from then on.
local function move(own, params, grads, extra)
  if not replay.wanted(own) then return plain(own, params, grads, extra) end
  if own.tidy then return updater(own)(params, grads, extra), true end
  local ok, new = pcall(updater(own), params, grads, extra)
  if ok then return new, true end
  stepper.pass_interrupt(new)
  own.tidy = false
  return plain(own, params, grads, extra)
end

--- New parameters from gradients in the same form, for optimizers that need
--- no more (opt.applies). The gradients are looked at for NaN and infinities
--- only when on_nonfinite was given.
---@param params any tree
---@param grads any tree of the same form
function optimizer:apply(params, grads)
  local own = held(self, "apply")
  if own.closure or own.evaluates then
    fail("%s: this rule needs the loss function: use opt:step", own.name)
  end
  if own.on_nonfinite and not core.is_tracing() then
    local list, paths = core.leaves(grads)
    core.eval(list)
    local i = core.first_nonfinite(list)
    if i then
      refuse(own, ("%s: step %d: the gradient of '%s' is not finite"):format(
        own.name, own.t + 1, paths[i]))
      return params
    end
  end
  return (move(own, params, grads))
end

-- A rule's own step, whose state changes only when it succeeds. Contexts
-- compute with tools, or as f is.
local function by_rule(self, own, tools, f, params, ...)
  local step = own.parts[1].rule.step
  own.working, own.tools, own.refused = {}, tools, nil
  for k, v in pairs(own.states or {}) do own.working[k] = v end
  local function finish(good, ...)
    local refused = own.refused
    own.refused = nil
    if good then
      own.states, own.t = own.working, own.t + 1
      own.working = nil
      return ...
    end
    own.working = nil
    if refused == nil or ... ~= refused then error((...), 0) end
    return params, unpack(refused, 1, refused.n)
  end
  if (own.on_nonfinite or "error") == "error" then
    return finish(true, step(self, f, params, ...))
  end
  return finish(pcall(step, self, f, params, ...))
end

-- The step from out, what update.gradient's function gave, if it is finite.
local function move_if_finite(own, params, out, streams)
  local grads = core.leaves(out[2], false)
  local wanted = table.move(grads, 1, #grads, 2, { out[1] })
  if out.extra then
    local more = core.leaves(out.extra, false)
    table.move(more, 1, #more, #wanted + 1, wanted)
  end
  if core.is_tracing() then
    core.eval(wanted)
  elseif core.first_nonfinite(wanted) then
    if streams then hyper.streams(own.parts, streams) end
    refuse(own, trouble(own, out[1], out[2]))
    return params, out[1], unpack(out, 3, out.n)
  end
  local new, replayed = move(own, params, out[2], out.extra)
  -- Nobody else has the gradients; their memory serves the next ones.
  if replayed then core.release(grads) end
  return new, out[1], unpack(out, 3, out.n)
end

--- One step down f(params, ...): new parameters, the loss before the step,
--- then f's further results. A loss or gradient that is not finite is refused
--- as on_nonfinite says: "error" (the default), "skip" or "warn"; parameters
--- and state stay what they were.
function optimizer:step(f, params, ...)
  local own = held(self, "step")
  check_function(own, f)
  if own.closure then return by_rule(self, own, nil, f, params, ...) end
  local first, out = own.t == 0
  local streams = own.evaluates and hyper.streams(own.parts)
  if first or own.evaluates then
    out = update.gradient(own, f, update.time(own, own.t + 1), first)(
      params, ...)
  else
    out = pack(sd.value_and_grad(f)(params, ...))
  end
  return move_if_finite(own, params, out, streams)
end

-- ---- compiled steps --------------------------------------------------------

-- A rule that looks at values runs as it is, on replayed losses and slopes.
local function compiled_closure(self, own, f)
  local tools = context.tools(f, true)
  return function(params, ...)
    return by_rule(self, own, tools, f, params, ...)
  end
end

-- Gradient and update replayed one after the other, with a look between them.
local function compiled_in_two(self, own, f)
  local grad = core.jit(function(params, ...)
    local out = update.gradient(own, f, update.time(own, 1), true)(params, ...)
    return unpack(out, 1, out.n)
  end, f)
  return function(params, ...)
    if core.is_tracing() then return self:step(f, params, ...) end
    return move_if_finite(own, params, pack(grad(params, ...)))
  end
end

local function all_finite(list)
  local sum
  for _, x in ipairs(list) do
    local zero = (x * 0):sum():to "f64"
    sum = sum and sum + zero or zero
  end
  return sum:eq(0)
end

local function choose(ok, new, old)
  for k, v in pairs(new) do
    if type(v) == "table" then choose(ok, v, old[k] or {})
    elseif sd.is_tensor(v) and sd.is_tensor(old[k]) then
      new[k] = sd.where(ok, v, old[k])
    end
  end
end

--- A function (params, ...) -> params, loss that replays the whole step,
--- gradient and update, as one plan. The rule must not look at values; from
--- the second step on h.t and scheduled hyper-parameters are tensors inside
--- (a rule that compares them runs in Lua, on replayed gradients).
--- Loss and gradients are looked at for NaN and infinities when on_nonfinite
--- was given: the step is then two plans, or, where the gradient depends on
--- hyper-parameters, one that chooses between old and new. Of a rule with a
--- step of its own loss and slopes are replayed.
function optimizer:compile(f)
  local own = held(self, "compile")
  check_function(own, f)
  if own.closure then return compiled_closure(self, own, f) end
  local guard = own.on_nonfinite ~= nil
  if (guard or replay.in_danger(own)) and not own.evaluates then
    return compiled_in_two(self, own, f)
  end
  local function work(carried, time, params, ...)
    local out = update.gradient(own, f, time, true)(params, ...)
    local list, paths = core.leaves(params)
    check_count(own, list, carried.states)
    local grads = core.leaves(out[2], false)
    local new, states = update.all(own, list, grads, carried.states, paths,
                                   time, out.extra)
    local next = replay.next(carried.t, states)
    if not guard then
      return next, core.rebuild(params, new), out[1], unpack(out, 3, out.n)
    end
    grads[#grads + 1] = out[1]
    local ok = all_finite(grads)
    choose(ok, new, list)
    choose(ok, states, carried.states)
    if sd.is_tensor(carried.t) then
      next.t = sd.where(ok, next.t, carried.t)
    end
    return next, ok, core.rebuild(params, new), out[1], unpack(out, 3, out.n)
  end
  local function done(count, args, ok, new, loss, ...)
    if ok:item() then
      count()
      return new, loss, ...
    end
    local out = update.gradient(own, f, update.time(own, own.t + 1))(
      unpack(args, 1, args.n))
    refuse(own, trouble(own, out[1], out[2]))
    return args[1], loss, ...
  end
  return replay.new(own, {
    watched = f, work = work, done = guard and done or nil,
    plain = function(params, ...) return self:step(f, params, ...) end })
end

-- ---- state -----------------------------------------------------------------

--- The state as a tree: { t =, rule =, paths =, states = a list over the
--- parameters (of rules with a step of their own, what they keep), streams =
--- where its random numbers are }.
function optimizer:state()
  local own = held(self, "state")
  replay.settle(own)
  own.shown = own.states
  return { t = sd.tensor(own.t, { dtype = "i64" }), rule = own.name,
           states = own.states, paths = not own.closure and own.paths or nil,
           streams = sd.tensor(hyper.streams(own.parts), { dtype = "i64" }) }
end

-- Numbers that became tensors in a file.
local function numbers(t)
  local out = {}
  for k, v in pairs(t) do
    if type(v) == "table" then out[k] = numbers(v)
    elseif sd.is_tensor(v) and v.ndim == 0 then out[k] = v:item()
    else out[k] = v end
  end
  return out
end

--- Takes over a state that opt:state() gave.
function optimizer:load(state)
  local own = held(self, "load")
  if type(state) ~= "table" or state.rule ~= own.name then
    fail("%s: the state is of %s", own.name,
         type(state) == "table" and tostring(state.rule) or type(state))
  end
  replay.settle(own)
  own.t = sd.is_tensor(state.t) and state.t:item() or state.t
  if math.type(own.t) ~= "integer" or own.t < 0 then
    fail("%s: the state's count of steps is %s", own.name, tostring(own.t))
  end
  local states, streams = state.states, state.streams
  if states ~= nil and type(states) ~= "table" or
     streams ~= nil and not sd.is_tensor(streams) then
    fail("%s: not a state that opt:state() gave", own.name)
  end
  own.paths = state.paths
  if streams then hyper.streams(own.parts, streams:totable()) end
  if own.closure then
    own.states = numbers(states or {})
  else
    own.states, own.loaded = states, states ~= nil
  end
  own.shown = own.states
  return self
end

--- The averaged parameters of rules that keep an average beside those they
--- step from (ema, swa, schedule_free), to be evaluated.
function optimizer:average(params)
  local own = held(self, "average")
  replay.settle(own)
  local list, paths = core.leaves(params)
  for k, part in ipairs(own.parts) do
    if part.rule.average then
      if not own.states then return params end
      check_list(own, list, paths)
      local hs = update.hypers(own, k, #list, paths, { t = math.max(1, own.t) })
      local out = {}
      for i, p in ipairs(list) do
        local s = own.single and own.states[i] or own.states[i][k]
        out[i] = part.rule.average(p, s, hs[i]):to(p.dtype)
      end
      return sd.eval(core.rebuild(params, out))
    end
  end
  fail("%s: keeps no average of the parameters", own.name)
end

--- What a rule's own step may ask for: see saddle.optim.context.
function optimizer:context(f, params, ...)
  local own = held(self, "context")
  if not own.working then
    fail("%s: a context is for a rule's own step", own.name)
  end
  local h = hyper.at(own.parts[1], nil, own.t + 1)
  local c, grads = context.new(own, h, f, params, ...)
  if core.first_nonfinite { c.results[1], c.gradient } then
    refuse(own, trouble(own, c.results[1], grads))
    own.refused = c.results
    error(own.refused, 0)
  end
  return c
end

-- ---- construction ----------------------------------------------------------

--- An optimizer of these parts.
function optimizer.new(name, parts, options)
  local own = { name = name, parts = parts, t = 0, version = 0,
                single = #parts == 1, tidy = true }
  for k in pairs(general) do
    if options[k] ~= nil then
      check_general(name, k, options[k])
      own[k] = options[k]
    end
  end
  for _, part in ipairs(parts) do
    local rule = part.rule
    if rule.tidy == false then own.tidy = false
    elseif not rule.tidy and own.tidy then own.tidy = nil end
    own.phased = own.phased or rule.phase ~= nil
    own.evaluates = own.evaluates or rule.evaluate ~= nil
    own.closure = own.closure or rule.step ~= nil
  end
  function own.check(params)
    local list, paths = core.leaves(params)
    check_list(own, list, paths)
  end
  local self = setmetatable({}, meta)
  private[self] = own
  return self
end

return optimizer
