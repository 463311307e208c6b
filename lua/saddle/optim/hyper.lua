-- Hyper-parameters: what a rule takes, checked when given; numbers or
-- schedules; overridden for groups of parameters; their values in a step.
--
-- A part is { rule =, hyper =, groups =, per =, times =, generator = }: one
-- rule at work in an optimizer, which takes one of its own steps in per steps
-- of the optimizer, counts how often each value was set, and draws from the
-- generator when it has a seed.

local core = require "saddle.core"
local fail = require "saddle.fail"
local module = require "saddle.module"
local purity = require "saddle.optim.purity"

local hyper = {}

function hyper.callable(v)
  if type(v) ~= "table" then return type(v) == "function" end
  local mt = getmetatable(v)
  return type(mt) == "table" and mt.__call ~= nil
end
local callable = hyper.callable

-- A number that is set again and again becomes a schedule of what it was last
-- set to: the plans of replayed steps then stand.
local held = { __call = function(self) return self.value end }
local often = 3

local function is_held(v) return getmetatable(v) == held end

--- The number, or the schedule's value for step t.
function hyper.value(v, t)
  if callable(v) then return v(t) end
  return v
end

-- What is wrong with the number v of a hyper-parameter, or nil.
local function fault(name, v)
  if v ~= v or v < 0 then return "must not be negative or NaN" end
  if name:match "^beta" and v >= 1 then return "must be below 1" end
end

--- The schedule v's value for step t, of the part's hyper-parameter name.
function hyper.scheduled(part, name, v, t)
  local value = v(t)
  if type(value) ~= "number" then
    fail("%s: the schedule of %s gave a %s, not a number", part.rule.name,
         name, type(value))
  end
  local wrong = fault(name, value)
  if wrong then
    fail("%s: %s %s: its schedule gave %s for step %s", part.rule.name, name,
         wrong, tostring(value), tostring(t))
  end
  return value
end

--- The value of a hyper-parameter in words.
function hyper.text(v)
  if is_held(v) then return tostring(v.value) end
  return callable(v) and "schedule" or tostring(v)
end

local function unknown(rule, name, more)
  local known = { table.unpack(more or {}) }
  for k in pairs(rule.defaults) do known[#known + 1] = k end
  for k in pairs(rule.takes or {}) do known[#known + 1] = k end
  table.sort(known)
  fail("%s: unknown option '%s'%s", rule.name, tostring(name),
       module.hint(name, known,
                   (" (it takes %s)"):format(table.concat(known, ", "))))
end

--- Fails unless v may be the hyper-parameter name. A rule's takes names
--- options that are functions or objects, of which nothing is asked here.
function hyper.check(rule, name, v, more)
  if rule.takes and rule.takes[name] then return end
  local default = rule.defaults[name]
  if default == nil then unknown(rule, name, more) end
  if callable(v) then return end
  if type(v) ~= type(default) then
    fail("%s: %s must be a %s, not %s", rule.name, name, type(default),
         tostring(v))
  end
  local wrong = type(v) == "number" and fault(name, v)
  if wrong then
    fail("%s: %s %s, not %s", rule.name, name, wrong, tostring(v))
  end
end

-- The rule's own check of what belongs together.
local function check_all(rule, h)
  if rule.check then rule.check(h) end
end

-- The part's values with v in the place of name.
local function with(part, name, v)
  return setmetatable({ [name] = v }, { __index = function(_, key)
    local w = part.hyper[key]
    return is_held(w) and w.value or w
  end })
end

--- The functions of a rule that compute its step.
function hyper.functions(rule)
  local list = {}
  for _, name in ipairs { "transform", "all", "update", "after" } do
    list[#list + 1] = rule[name]
  end
  return list
end

-- Whether the rule lets the value be a schedule.
local function may_vary(part, name, v)
  local rule = part.rule
  return name ~= "seed" and pcall(check_all, rule, with(part, name, v)) and
         (rule.tidy or purity.constants(hyper.functions(rule), { name }) ~= nil)
end

--- Sets a hyper-parameter of the part, if it may have that value; returns
--- whether plans in which the numbers are constants still stand.
function hyper.set(part, name, v)
  hyper.check(part.rule, name, v)
  check_all(part.rule, with(part, name, v))
  local old, times = part.hyper[name], part.times
  if type(v) == "number" and is_held(old) then
    old.value = v
    return true
  end
  times[name] = (times[name] or 0) + 1
  if type(v) == "number" and times[name] >= often then
    local last = setmetatable({ value = v }, held)
    if may_vary(part, name, last) then v = last
    else times[name] = -math.huge end
  end
  part.hyper[name] = v
  if name == "seed" then part.generator = nil end
  return false
end

--- Whether a number of the part's is held as a schedule.
function hyper.holds(part)
  for _, v in pairs(part.hyper) do
    if is_held(v) then return true end
  end
  return false
end

--- Makes the part's numbers constants again, for good.
function hyper.release(part)
  for k, v in pairs(part.hyper) do
    if is_held(v) then part.hyper[k], part.times[k] = v.value, -math.huge end
  end
end

local function check_groups(rule, h, groups)
  if type(groups) ~= "table" then
    fail("%s: groups must be a list, not %s", rule.name, tostring(groups))
  end
  for i, g in ipairs(groups) do
    if type(g) ~= "table" or type(g.match) ~= "string" then
      fail("%s: group %d has no match = pattern", rule.name, i)
    end
    local ok, why = pcall(string.find, "", g.match)
    if not ok then
      fail("%s: group %d: match = '%s': %s", rule.name, i, g.match, why)
    end
    local own = {}
    for k, v in pairs(g) do
      if k ~= "match" then
        hyper.check(rule, k, v)
        own[k] = v
      end
    end
    check_all(rule, setmetatable(own, { __index = h }))
  end
  return groups
end

--- Fails when a group matches none of the paths.
function hyper.check_matches(parts, paths)
  for _, part in ipairs(parts) do
    for i, g in ipairs(part.groups) do
      local found = false
      for _, path in ipairs(paths) do
        found = found or path:find(g.match) ~= nil
      end
      if not found then
        fail("%s: group %d: no parameter matches '%s' (there are %s)",
             part.rule.name, i, g.match, table.concat(paths, ", "))
      end
    end
  end
end

-- The options under the rule's own names. A rule's aliases give, for another
-- name of an option, the name here, or a list of names, which a list of values
-- is for.
local function renamed(rule, options)
  local out = {}
  for k, v in pairs(options) do
    local own = rule.aliases and rule.aliases[k]
    if type(own) == "string" then
      out[own] = v
    elseif own then
      if type(v) ~= "table" or #v ~= #own then
        fail("%s: %s must be a list of %d numbers (%s), not %s", rule.name, k,
             #own, table.concat(own, ", "), tostring(v))
      end
      for i, name in ipairs(own) do out[name] = v[i] end
    else
      out[k] = v
    end
  end
  return out
end

--- The part of a rule with these options; those named in general are not the
--- rule's.
function hyper.part(rule, options, general)
  local part = { rule = rule, hyper = {}, groups = {}, per = 1,
                 times = {} }
  options = renamed(rule, options)
  for k, v in pairs(rule.defaults) do part.hyper[k] = v end
  for k, v in pairs(options) do
    if not general[k] and k ~= "groups" then
      hyper.check(rule, k, v, { "groups" })
      part.hyper[k] = v
    end
  end
  check_all(rule, part.hyper)
  hyper.generator(part)
  if options.groups ~= nil then
    if rule.step then
      fail("%s: takes no groups: it moves all parameters at once", rule.name)
    end
    part.groups = check_groups(rule, part.hyper, options.groups)
  end
  return part
end

--- A part of its own with the same values.
function hyper.copy(part, per)
  local h = {}
  for k, v in pairs(part.hyper) do h[k] = is_held(v) and v.value or v end
  return { rule = part.rule, hyper = h, groups = part.groups,
           per = part.per * (per or 1), times = {} }
end

--- The hyper-parameters in step t of the leaf at path (nil: of none);
--- now[schedule] stands for a schedule's value where it is given.
function hyper.at(part, path, t, now)
  local h = { t = t }
  local takes, number = part.rule.takes, type(t) == "number" and t or nil
  local function take(from)
    for k, v in pairs(from) do
      if takes and takes[k] or not callable(v) then h[k] = v
      elseif now and now[v] ~= nil then h[k] = now[v]
      else h[k] = hyper.scheduled(part, k, v, number) end
    end
  end
  take(part.hyper)
  for _, g in ipairs(part.groups) do
    if path and path:find(g.match) then take(g) end
  end
  h.match = nil
  h.generator = hyper.generator(part)
  return h
end

--- The part's source of random numbers, or nil.
function hyper.generator(part)
  local seed = part.hyper.seed
  if seed == nil then return end
  part.generator = part.generator or core.generator(math.tointeger(seed) or
    fail("%s: seed must be a whole number, not %s", part.rule.name,
         tostring(seed)))
  return part.generator
end

--- Where the generators of the parts are, as a list (0 of parts without);
--- they are set to the places in the list to.
function hyper.streams(parts, to)
  local list = {}
  for k, part in ipairs(parts) do
    local g = hyper.generator(part)
    list[k] = g and core.stream(g, to and to[k]) or 0
  end
  return list
end

--- The schedules of all parts and their groups, each once for a part:
--- a list of { part =, schedule =, name = }.
function hyper.schedules(parts)
  local list = {}
  for _, part in ipairs(parts) do
    local seen, takes = {}, part.rule.takes or {}
    local function add(from)
      for k, v in pairs(from) do
        if callable(v) and not seen[v] and not takes[k] then
          seen[v] = true
          list[#list + 1] = { part = part, schedule = v, name = k }
        end
      end
    end
    add(part.hyper)
    for _, g in ipairs(part.groups) do add(g) end
  end
  return list
end

return hyper
