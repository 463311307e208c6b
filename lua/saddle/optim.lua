-- Optimizers. A rule says how one parameter, its gradient and its state
-- become new ones; an optimizer is a rule with hyper-parameters and the
-- state of a whole tree.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local sd = require "saddle.init"

local optim = {}

-- ---- optimizers ------------------------------------------------------------

local optimizer = {}

-- Fields beside the hyper-parameters, which __index finds in `hyper`.
local private = setmetatable({}, { __mode = "k" })

local function callable(v)
  local mt = getmetatable(v)
  return type(v) == "function" or
         type(v) == "table" and mt ~= nil and mt.__call ~= nil
end

local function value_of(v, t)
  if callable(v) then return v(t) end
  return v
end

function optimizer:__index(key)
  local method = optimizer[key]
  if method ~= nil then return method end
  local own = private[self]
  local v = own.hyper[key]
  if v == nil then
    if key == "name" then return own.rule.name end
    if key == "t" then return own.t end
    local known = { "step", "apply", "compile", "state", "load" }
    for k in pairs(own.hyper) do known[#known + 1] = k end
    fail("%s: no field '%s'%s", own.rule.name, tostring(key),
         module.hint(key, known))
  end
  return value_of(v, math.max(own.t, 1))
end

local function check_hyper(rule, name, v)
  local default = rule.defaults[name]
  if default == nil then
    local known = {}
    for k in pairs(rule.defaults) do known[#known + 1] = k end
    table.sort(known)
    fail("%s: unknown option '%s'%s", rule.name, tostring(name),
         module.hint(name, known,
                     (" (it takes %s)"):format(table.concat(known, ", "))))
  end
  if callable(v) then return end
  if type(v) ~= type(default) then
    fail("%s: %s must be a %s, not %s", rule.name, name, type(default),
         tostring(v))
  end
  if type(v) ~= "number" then return end
  if v ~= v or v < 0 then
    fail("%s: %s must not be negative or NaN, not %s", rule.name, name,
         tostring(v))
  elseif name:match "^beta" and v >= 1 then
    fail("%s: %s must be below 1, not %s", rule.name, name, tostring(v))
  end
end

function optimizer:__newindex(key, v)
  local own = private[self]
  check_hyper(own.rule, key, v)
  local hyper = setmetatable({ [key] = v }, { __index = own.hyper })
  if own.rule.check then own.rule.check(hyper) end
  own.hyper[key], own.version = v, own.version + 1
end

function optimizer:__tostring()
  local own, parts = private[self], {}
  for k, v in pairs(own.hyper) do
    parts[#parts + 1] = ("%s = %s"):format(
      k, callable(v) and "schedule" or tostring(v))
  end
  table.sort(parts)
  return ("%s{ %s }"):format(own.rule.name, table.concat(parts, ", "))
end

-- ---- one step over a tree --------------------------------------------------

-- The hyper-parameters of the leaf at path; now[schedule] stands for a
-- schedule's value where it is given.
local function hyper_for(own, path, t, now)
  local h = { t = t }
  local function take(from)
    for k, v in pairs(from) do
      h[k] = now and now[v] or value_of(v, type(t) == "number" and t or nil)
    end
  end
  take(own.hyper)
  for _, g in ipairs(own.groups) do
    if path:find(g.match) then take(g) end
  end
  h.match = nil
  return h
end

-- Rules meet f64 scalars; what they return keeps the parameter's dtype.
local function as(x, like)
  if not sd.is_tensor(x) then
    return sd.full(like.shape, x, { dtype = like.dtype })
  end
  return x.dtype == like.dtype and x or x:to(like.dtype)
end

local function update_all(own, params, grads, states, paths, t, now)
  local new, new_states = {}, {}
  local cache = {}
  for i, p in ipairs(params) do
    local h = #own.groups == 0 and cache[1] or
              hyper_for(own, paths[i], t, now)
    cache[1] = h
    local s = {}
    for k, v in pairs(states[i]) do s[k] = v end
    local q = own.rule.update(p, grads[i], s, h)
    if not sd.is_tensor(q) then
      fail("%s: update returned a %s, not the new parameter",
           own.rule.name, type(q))
    end
    if not core.same_shape(p, q) then
      fail("%s: update made shape {%s} of parameter '%s' of shape {%s}",
           own.rule.name, table.concat(q.shape, ", "), paths[i],
           table.concat(p.shape, ", "))
    end
    new[i] = as(q, p)
    for k, v in pairs(s) do
      if states[i][k] ~= nil and sd.is_tensor(states[i][k]) then
        s[k] = as(v, states[i][k])
      end
    end
    new_states[i] = s
  end
  return new, new_states
end

local function start_state(own, params)
  local states = {}
  for i, p in ipairs(params) do
    local s = own.rule.init and own.rule.init(p) or {}
    if type(s) ~= "table" then
      fail("%s: init returned a %s, not a table", own.rule.name, type(s))
    end
    -- Handles of our own: init may give p itself.
    states[i] = sd.tree.map(core.alias, s)
  end
  return states
end

-- The state lives in own.states, or, between steps that are replayed, in
-- the replay own.carrier, which gives it back here.
local function settle(own)
  local carrier = own.carrier
  if not carrier then return end
  own.carrier = nil
  own.states = carrier.take().states
end

local function check_count(own, params, states)
  if #states ~= #params then
    fail("%s: %d parameters given, the state is for %d", own.rule.name,
         #params, #states)
  end
end

local function check_params(own, params, paths)
  if #params == 0 then
    fail("%s: the parameters hold no tensors", own.rule.name)
  end
  if not own.states then
    own.states, own.paths = start_state(own, params), paths
  end
  check_count(own, params, own.states)
end

-- ---- replayed steps --------------------------------------------------------

-- The schedules among the hyper-parameters and the groups' own, and what
-- each sets.
local function schedules_of(own)
  local list, names, seen = {}, {}, {}
  local function add(from)
    for k, v in pairs(from) do
      if callable(v) and not seen[v] then
        list[#list + 1], names[#list + 1], seen[v] = v, k, true
      end
    end
  end
  add(own.hyper)
  for _, g in ipairs(own.groups) do add(g) end
  return list, names
end

-- The schedules' values for step t: numbers for the first step, so that a
-- rule may treat it apart; then tensors, so that one plan serves them all.
local function values_at(own, list, names, t)
  if #list == 0 then return false end
  local values = {}
  for i, schedule in ipairs(list) do
    local v = schedule(t)
    if type(v) ~= "number" then
      fail("%s: the schedule of %s gave a %s, not a number", own.rule.name,
           names[i], type(v))
    end
    values[i] = t == 1 and v or core.scalar(v)
  end
  return values
end

local function after(t)
  return type(t) == "number" and core.scalar(t + 1) or t + 1
end

-- A function (params, ...) -> what work(carried, now, params, ...) returns
-- after the next carried tree, replayed as a plan that keeps the optimizer's
-- state and the step's number t between calls: work takes and gives
-- { t =, states = }, t being a number in the first step, then a tensor.
-- now[schedule] is its value. plain(params, ...) runs inside other traces.
-- Numbers among the hyper-parameters are constants of the plan, which is
-- made anew when one of them is set.
local function replayed(own, watched, work, plain)
  local list, names, run, version
  local carrier = {}
  local function build()
    if own.carrier == carrier then settle(own) end
    version = own.version
    list, names = schedules_of(own)
    local function with_values(carried, values, params, ...)
      local now = {}
      for i, schedule in ipairs(list) do now[schedule] = values[i] end
      return work(carried, now, params, ...)
    end
    local function without(_, ...) return plain(...) end
    run, carrier.load, carrier.take =
      core.jit_carrying(with_values, watched, without)
  end
  local function take_over(params)
    settle(own)
    local leaves, paths = core.leaves(params)
    check_params(own, leaves, paths)
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
  return function(params, ...)
    if core.is_tracing() then return plain(params, ...) end
    if version ~= own.version then build() end
    if own.carrier ~= carrier then take_over(params) end
    local t = own.t + 1
    return finish(t, run(values_at(own, list, names, t), params, ...))
  end
end

-- ---- steps -----------------------------------------------------------------

-- Lets go of the tensors in old that none of the lists kept has.
local function drop(old, ...)
  local kept, gone = {}, {}
  for i = 1, select("#", ...) do
    for _, x in ipairs((select(i, ...))) do kept[x] = true end
  end
  for _, x in ipairs(old) do
    if not kept[x] then gone[#gone + 1] = x end
  end
  core.release(gone)
end

-- Lists of the tensors of parameters and gradients, and their paths.
local function matched(own, params, grads)
  local list, paths = core.leaves(params)
  local g, names = core.leaves(grads)
  if #g ~= #list then
    fail("%s: %d gradients for %d parameters", own.rule.name, #g, #list)
  end
  for i, p in ipairs(list) do
    if names[i] ~= paths[i] or not core.same_shape(g[i], p) then
      fail("%s: gradient '%s' of shape {%s} for parameter '%s' of shape {%s}",
           own.rule.name, names[i], table.concat(g[i].shape, ", "), paths[i],
           table.concat(p.shape, ", "))
    end
  end
  return list, g, paths
end

-- The plain way, one graph of all.
local function update(own, params, grads)
  local list, g, paths = matched(own, params, grads)
  settle(own)
  check_params(own, list, paths)
  local new, states = update_all(own, list, g, own.states, paths, own.t + 1)
  local all = core.leaves(states, false)
  core.eval(table.move(new, 1, #new, #all + 1, all))
  own.states, own.t = states, own.t + 1
  return core.rebuild(params, new)
end

-- A tidy rule's update is a replayed function of parameters and gradients.
local function updater(own)
  own.updater = own.updater or replayed(own, nil,
    function(carried, now, params, grads)
      local list, g, paths = matched(own, params, grads)
      check_count(own, list, carried.states)
      local new, states = update_all(own, list, g, carried.states, paths,
                                     carried.t, now)
      return { t = after(carried.t), states = states },
             core.rebuild(params, new)
    end, function(params, grads) return update(own, params, grads) end)
  return own.updater
end

--- New parameters from gradients in the same form.
---@param params any tree
---@param grads any tree of the same form
function optimizer:apply(params, grads)
  local own = private[self]
  if own.rule.step then
    fail("%s: this rule needs the loss function: use opt:step",
         own.rule.name)
  end
  if own.rule.tidy then return updater(own)(params, grads) end
  return update(own, params, grads)
end

--- One step down f(params, ...): new parameters, the loss before the step,
--- then f's further results.
function optimizer:step(f, params, ...)
  local own = private[self]
  if own.rule.step then return own.rule.step(self, f, params, ...) end
  local out = table.pack(sd.value_and_grad(f)(params, ...))
  local grads = core.leaves(out[2], false)
  local wanted = table.move(grads, 1, #grads, 2, { out[1] })
  core.eval(wanted)
  local new = own.rule.tidy and updater(own)(params, out[2]) or
              update(own, params, out[2])
  if own.rule.tidy then drop(grads, wanted) end
  return new, out[1], table.unpack(out, 3, out.n)
end

--- The state as a tree: { t =, state = list over the parameters }.
function optimizer:state()
  local own = private[self]
  settle(own)
  own.shown = own.states
  return { t = sd.tensor(own.t, { dtype = "i64" }), states = own.states,
           rule = own.rule.name }
end

--- Takes over a state that opt:state() gave.
function optimizer:load(state)
  local own = private[self]
  if type(state) ~= "table" or state.rule ~= own.rule.name then
    fail("%s: the state is of %s", own.rule.name,
         type(state) == "table" and tostring(state.rule) or type(state))
  end
  settle(own)
  own.states, own.t = state.states, state.t:item()
  own.shown = own.states
  return self
end

--- A function (params, ...) -> params, loss that replays the whole step,
--- gradient and update, as one plan. The rule must not look at values; from
--- the second step on h.t and scheduled hyper-parameters are tensors inside.
function optimizer:compile(f)
  local own = private[self]
  if own.rule.step then
    fail("%s: a rule with its own step cannot be compiled", own.rule.name)
  end
  local grad = sd.value_and_grad(f)
  return replayed(own, f, function(carried, now, params, ...)
    local out = table.pack(grad(params, ...))
    local list, paths = core.leaves(params)
    check_count(own, list, carried.states)
    local new, states = update_all(own, list, core.leaves(out[2], false),
                                   carried.states, paths, carried.t, now)
    return { t = after(carried.t), states = states }, core.rebuild(params, new),
           out[1], table.unpack(out, 3, out.n)
  end, function(params, ...) return self:step(f, params, ...) end)
end

-- ---- rules -----------------------------------------------------------------

local function check_groups(rule, groups)
  for i, g in ipairs(groups) do
    if type(g) ~= "table" or type(g.match) ~= "string" then
      fail("%s: group %d has no match = pattern", rule.name, i)
    end
    for k, v in pairs(g) do
      if k ~= "match" then check_hyper(rule, k, v) end
    end
  end
  return groups
end

local function new(rule, options)
  if options ~= nil and type(options) ~= "table" then
    fail("%s: options must be a table, not %s", rule.name, type(options))
  end
  local own = { rule = rule, hyper = {}, groups = {}, t = 0,
                version = 0 }
  for k, v in pairs(rule.defaults) do own.hyper[k] = v end
  for k, v in pairs(options or {}) do
    if k == "groups" then
      own.groups = check_groups(rule, v)
    else
      check_hyper(rule, k, v)
      own.hyper[k] = v
    end
  end
  if rule.check then rule.check(own.hyper) end
  local self = setmetatable({}, optimizer)
  private[self] = own
  return self
end

--- A rule of your own: a function from hyper-parameters to an optimizer.
---
--- ```lua
--- local signs = sd.optim.rule{
---   name = "signs", defaults = { lr = 0.01 },
---   update = function(p, g, s, h) return p - h.lr * g:sign() end }
--- local opt = signs{ lr = 0.1 }
--- ```
---@param rule table name, defaults, init(p) -> state, and update(p, g, s, h)
---  -> new p or step(self, f, params, ...); check(h) fails when the
---  hyper-parameters do not go together. tidy = true promises that update
---  computes from its arguments alone and keeps tensors nowhere but in its
---  state: it is then traced once and replayed, and memory is used again at
---  once.
function optim.rule(rule)
  sd.check_options(rule, { "name:S", "defaults:L", "init:C", "update:C",
                           "step:C", "check:C", "doc:S", "tidy:B" }, "rule")
  if type(rule.update) ~= "function" and type(rule.step) ~= "function" then
    fail "rule: needs an update or a step function"
  end
  rule.name, rule.defaults = rule.name or "rule", rule.defaults or {}
  return function(options) return new(rule, options) end
end

for _, name in ipairs { "sgd", "adam" } do
  require("saddle.optim." .. name)(optim)
end

-- Studies of rules, read when they are called.
for _, name in ipairs { "stability", "convert", "compare", "check" } do
  optim[name] = function(...)
    return require("saddle.optim." .. name)(...)
  end
end

return module.strict("sd.optim", optim)
