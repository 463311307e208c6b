-- jit: a function traced once for each signature of its arguments, then
-- replayed as a plan without running Lua (src/lua/replay.c).

local fail = require "saddle.fail"

return function(sd, core)
  local leaves, rebuild = core.leaves, core.rebuild
  local unpack, pack = table.unpack, table.pack
  local getupvalue = debug.getupvalue

  -- The tensors that f can see from outside: through upvalues, globals,
  -- functions and tables they hold, as far as the budget goes. Each with its
  -- depth and get, which leads to it again from f, so that a table replaced
  -- whole is noticed too.
  local function visible(f)
    local found, budget = {}, 50000
    local seen = { [sd] = true, [core] = true, [package] = true }
    for _, module in pairs(package.loaded) do
      if module ~= _G then seen[module] = true end
    end
    local note

    local function note_table(v, name, depth, get)
      for k, e in next, v do
        budget = budget - 1
        if budget < 0 then return end
        if type(e) == "table" or type(e) == "function" or
           core.is_tensor(e) then
          note(e, name .. "." .. tostring(k), depth + 1, function()
            local t = get()
            return type(t) == "table" and rawget(t, k)
          end)
        end
      end
      local mt = debug.getmetatable(v)
      if mt and type(mt.__index) == "table" then
        note(mt.__index, name, depth + 1, function()
          local m = debug.getmetatable(get())
          return m and m.__index
        end)
      end
    end

    local function note_function(v, depth, get)
      for i = 1, 255 do
        local key, e = getupvalue(v, i)
        if not key or key == "" then break end
        note(e, key == "_ENV" and "_G" or key, depth + 1, function()
          local g = get()
          return type(g) == "function" and select(2, getupvalue(g, i))
        end)
      end
    end

    function note(v, name, depth, get)
      if core.is_tensor(v) then
        found[#found + 1] = { name = name, depth = depth, get = get,
                              value = v, alias = core.alias(v) }
      elseif (type(v) == "table" or type(v) == "function") and
             not seen[v] and depth < 40 then
        seen[v] = true
        if type(v) == "table" then note_table(v, name, depth, get)
        else note_function(v, depth, get) end
      end
    end
    note(f, "f", 0, function() return f end)
    return found
  end

  -- Those of them that the results were computed from, each by the shortest
  -- way that leads to it.
  local function captures(candidates, results)
    local used, best = core.ancestors(results), {}
    for _, c in ipairs(candidates) do
      local id = core.id(c.alias)
      if used[id] and (not best[id] or c.depth < best[id].depth) then
        best[id] = c
      end
    end
    local list = {}
    for _, c in pairs(best) do list[#list + 1] = c end
    return list
  end

  local function check_captures(list)
    for _, c in ipairs(list) do
      local now = c.get()
      if not rawequal(now, c.value) or not core.same(now, c.alias) then
        fail("jit: the captured tensor '%s' was rebound after the function " ..
             "was traced; pass it as an argument", c.name)
      end
    end
  end

  -- f(carried, ...) -> carried, results .. as a plan; carried: a tree.
  local function trace_function(f, watched, carried, args)
    local candidates = watched and visible(watched)
    local trace <close> = core.trace "jit"
    local trees = { args, carried }
    local list, keep = leaves(trees, false), {}
    for i = 1, #list do keep[i] = false end
    local traced = core.abstract(trace, list, keep)
    local new = rebuild(trees, core.handles(traced))
    local y = pack(f(new[2], unpack(new[1], 1, args.n)))
    core.leave(trace)
    local results = { unpack(y, 2, y.n) }
    local all = leaves(results, false)
    local made = { results = results, values = y.n - 1, tensors = #all,
                   carried = y[1] }
    local kept = leaves(y[1], false)
    table.move(kept, 1, #kept, #all + 1, all)
    local found = candidates and captures(candidates, all)
    if found and #found > 0 then made.captures = found end
    made.plan = core.compile(trace, traced, all, #leaves(carried, false))
    return made
  end

  --- f traced once for each signature of shapes and dtypes, then replayed
  --- without running Lua. Tensors captured from outside are constants;
  --- random ops draw fresh numbers in each replay; values cannot be looked
  --- at inside.
  ---
  --- ```lua
  --- local step = sd.jit(function(x) return x - 0.1 * x:sin() end)
  --- print(step(sd.ones(3)))
  --- ```
  function sd.jit(f)
    local mt = getmetatable(f)
    if type(f) ~= "function" and not (mt and mt.__call) then
      fail("jit: expected a function, not %s", type(f))
    end
    return core.jit(f, f)
  end

  -- jit(f) that reports the rebinding of what `watched` captures; nil: what
  -- f captures is meant as it was when f was traced.
  function core.jit(f, watched)
    local function step(_, ...) return false, f(...) end
    return (core.replay(function(...)
      return trace_function(step, watched, false, pack(...))
    end, f, check_captures))
  end

  -- A function that replays f(carried, ...) -> carried, results .. and keeps
  -- the carried tree, of whatever form, from each call to the next; load and
  -- take set and take back that tree. plain(...) runs in its place inside
  -- other traces.
  function core.jit_carrying(f, watched, plain)
    local forms, number, anything = {}, {}, core.scalar(0)
    -- The number of the tree's form; forms[number] is a tree like it that
    -- keeps none of its tensors.
    local function form_of(tree)
      local key, list = core.signature(tree), leaves(tree, false)
      if not number[key] then
        for i = 1, #list do list[i] = anything end
        forms[#forms + 1] = rebuild(tree, list)
        number[key] = #forms
      end
      return number[key]
    end
    local run, replay
    local function take()
      local list, form = core.carried(replay)
      return rebuild(forms[form], list)
    end
    local function load(tree)
      core.carry(replay, leaves(tree, false), form_of(tree))
    end
    run, replay = core.replay(function(...)
      local carried = take()
      load(carried)
      local made = trace_function(f, watched, carried, pack(...))
      made.next = form_of(made.carried)
      return made
    end, plain, check_captures)
    return run, load, take
  end
end
