-- jit: a function traced once for each signature of its arguments, then
-- replayed as a plan without running Lua.

local fail = require "saddle.fail"

return function(sd, core)
  local leaves, rebuild = core.leaves, core.rebuild
  local signature, rebuild_all = core.signature, core.rebuild_all
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

  local function trace_function(f, watched, args, list)
    local entry, candidates = {}, visible(watched)
    local trace <close> = core.trace "jit"
    local keep = {}
    for i = 1, #list do keep[i] = false end
    local traced = core.abstract(trace, list, keep)
    local new, at, own = { n = args.n }, 0, core.handles(traced)
    for i = 1, args.n do
      local n = #(leaves(args[i], false))
      new[i] = rebuild(args[i], table.move(own, at + 1, at + n, 1, {}))
      at = at + n
    end
    local y = pack(f(unpack(new, 1, new.n)))
    core.leave(trace)
    entry.results = y
    local all = {}
    for i = 1, y.n do
      local ys = leaves(y[i], false)
      table.move(ys, 1, #ys, #all + 1, all)
    end
    entry.captures = captures(candidates, all)
    entry.plan = core.compile(trace, traced, all)
    return entry
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
    local entries = {}
    return function(...)
      local key, list, traced = signature(...)
      -- Inside another trace, whose tracers f may have captured, the
      -- function is simply run.
      if traced or core.is_tracing() then return f(...) end
      local entry = entries[key]
      if entry then
        check_captures(entry.captures)
      else
        entry = trace_function(f, watched, pack(...), list)
        entries[key] = entry
      end
      return rebuild_all(entry.results, entry.results.n,
                         core.run(entry.plan, list))
    end
  end
end
