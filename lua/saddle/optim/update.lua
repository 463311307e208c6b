-- One step of an optimizer's parts over the leaves of a tree.
--
-- States are a list over the leaves: of the rule's own tables, or, in a chain,
-- of lists of them over the parts. time is { t =, now =, phases = }: the
-- step's number, the schedules' values of each part where they are tensors,
-- and the parts' phases.

local core = require "saddle.core"
local fail = require "saddle.fail"
local hyper = require "saddle.optim.hyper"
local sd = require "saddle.init"

local update = {}

--- The number of a part's step in the optimizer's step t.
function update.clock(part, t) return (t + part.per - 1) // part.per end

-- ---- time ------------------------------------------------------------------

--- The phases of the parts in step t: constants that choose what a rule does
--- (and, of replayed steps, the plan).
function update.phases(own, t)
  if not own.phased then return false end
  local phases = {}
  for k, part in ipairs(own.parts) do
    local at = update.clock(part, t)
    phases[k] = part.rule.phase and
                part.rule.phase(hyper.at(part, nil, at), at) or false
  end
  return phases
end

--- The time of step t by its number alone.
function update.time(own, t)
  return { t = t, phases = update.phases(own, t) }
end

--- The hyper-parameters of part k for each leaf.
function update.hypers(own, k, count, paths, time)
  local part = own.parts[k]
  local now, t = time.now and time.now[part], time.t
  if now and now.t then t = now.t
  elseif part.per > 1 then t = update.clock(part, t) end
  local hs, shared = {}, nil
  for i = 1, count do
    local h = shared or hyper.at(part, paths[i], t, now)
    if #part.groups == 0 then shared = h end
    h.phase = time.phases and time.phases[k]
    hs[i] = h
  end
  return hs
end

-- ---- leaves ----------------------------------------------------------------

-- Rules meet f64 scalars; what they return keeps the parameter's dtype.
local function as(x, like)
  if not sd.is_tensor(x) then
    return sd.full(like.shape, x, { dtype = like.dtype })
  end
  return x.dtype == like.dtype and x or x:to(like.dtype)
end

local function keep_dtypes(s, old)
  for k, v in pairs(s) do
    if sd.is_tensor(old[k]) then s[k] = as(v, old[k]) end
  end
end

local function checked(own, q, p, path)
  if not sd.is_tensor(q) then
    fail("%s: update returned a %s, not the new parameter", own.name, type(q))
  end
  if not core.same_shape(p, q) then
    fail("%s: update made shape {%s} of parameter '%s' of shape {%s}",
         own.name, table.concat(q.shape, ", "), path,
         table.concat(p.shape, ", "))
  end
  return as(q, p)
end

-- Tensors in it get handles that a rule may keep: the optimizer's own may be
-- spent.
local function copy(t)
  local s = {}
  for k, v in pairs(t) do s[k] = sd.is_tensor(v) and core.alias(v) or v end
  return s
end

--- New parameters and states from parameters, gradients (lists) and states.
--- extra[k] is what part k's evaluate found, for each leaf.
function update.all(own, params, grads, states, paths, time, extra)
  local gs, new, fresh = {}, {}, {}
  for i, g in ipairs(grads) do
    gs[i] = own.maximize and -g or g
    fresh[i] = copy(states[i])
  end
  for k, part in ipairs(own.parts) do
    local rule, ss, old = part.rule, {}, {}
    local hs = update.hypers(own, k, #params, paths, time)
    for i = 1, #params do
      old[i] = own.single and states[i] or states[i][k]
      ss[i] = own.single and fresh[i] or copy(old[i])
      if not own.single then fresh[i][k] = ss[i] end
    end
    if rule.all then
      gs = rule.all(gs, params, ss, hs)
    else
      for i, p in ipairs(params) do
        local g, s, h = gs[i], ss[i], hs[i]
        if rule.transform then
          gs[i] = rule.transform(g, p, s, h)
        elseif rule.update then
          new[i] = checked(own, rule.update(p, g, s, h,
                                            extra and extra[k] and
                                            extra[k][i]), p, paths[i])
        elseif rule.after then
          new[i] = checked(own, rule.after(new[i], p, g, s, h), p, paths[i])
        end
      end
    end
    for i = 1, #params do keep_dtypes(ss[i], old[i]) end
    if #gs == 0 then return params, fresh end -- held back
  end
  return new, fresh
end

--- The states that the parts start with.
function update.start(own, params, paths)
  local states, time = {}, update.time(own, 1)
  for i = 1, #params do states[i] = {} end
  for k, part in ipairs(own.parts) do
    local hs = update.hypers(own, k, #params, paths, time)
    for i, p in ipairs(params) do
      local s = part.rule.init and part.rule.init(p, hs[i]) or {}
      if type(s) ~= "table" then
        fail("%s: init returned a %s, not a table", own.name, type(s))
      end
      -- Handles of our own: init may give p itself.
      s = sd.tree.map(core.alias, s)
      if own.single then states[i] = s else states[i][k] = s end
    end
  end
  return states
end

-- ---- gradients -------------------------------------------------------------

-- Value and gradients of f, which must depend on every parameter.
local function dependent(own, f)
  return function(params, ...)
    local trace <close> = core.trace()
    local watched = core.watch(trace, params, "value_and_grad")
    local list, paths = core.leaves(watched)
    for i, x in ipairs(list) do list[i] = core.id(x) end
    local out = table.pack(f(watched, ...))
    core.leave(trace)
    local y = out[1]
    if not own.allow_unused and sd.is_tensor(y) and y:numel() == 1 then
      local used = core.ancestors { y }
      for i, id in ipairs(list) do
        if not used[id] then
          fail("%s: the loss does not depend on parameter '%s' " ..
               "(allow_unused = true lets it be)", own.name, paths[i])
        end
      end
    end
    local grads = core.pull(trace, "value_and_grad", y, params)
    return y, grads, table.unpack(out, 2, out.n)
  end
end

--- A function (params, ...) -> { loss, gradients, further results of f ..,
--- n =, extra = } in a step of this time. first: look whether f depends on
--- all parameters.
function update.gradient(own, f, time, first)
  local grad = first and dependent(own, f) or sd.value_and_grad(f)
  local function run(params, ...) return table.pack(grad(params, ...)) end
  for k = #own.parts, 1, -1 do
    local rule, inner = own.parts[k].rule, run
    if rule.evaluate then
      run = function(params, ...)
        local list, paths = core.leaves(params)
        local h = update.hypers(own, k, math.min(#list, 1), paths, time)[1]
        local out, extra = rule.evaluate(inner, f, h, params, ...)
        if extra then
          out.extra = out.extra or {}
          out.extra[k] = extra
        end
        return out
      end
    end
  end
  return run
end

return update
