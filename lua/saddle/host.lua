-- What the host does to the globals of a script: text-only chunks, strict
-- globals, the sandbox. Called once by the C host with its options; returns
-- the environment of scripts.

local debug, load0, loadfile0 = debug, load, loadfile


-- ---- chunks are text -------------------------------------------------------

local function text_mode(mode, what)
  if mode ~= nil and not tostring(mode):find "t" then
    error(what .. ": binary chunks are not loaded", 3)
  end
  return "t"
end

local function text_chunks(globals)
  local env = globals

  function globals.load(chunk, name, mode, ...)
    local e = select("#", ...) > 0 and (...) or env
    return load0(chunk, name or (type(chunk) == "string" and chunk or
                 "=(load)"), text_mode(mode, "load"), e)
  end

  function globals.loadfile(path, mode, ...)
    local e = select("#", ...) > 0 and (...) or env
    return loadfile0(path, text_mode(mode, "loadfile"), e)
  end

  function globals.dofile(path)
    local f, message = loadfile0(path, "t", env)
    if not f then error(message, 2) end
    return f()
  end
end

local function text_modules()
  package.searchers[2] = function(name)
    local path, message = package.searchpath(name, package.path)
    if not path then return message end
    local f, e = loadfile0(path, "t")
    if not f then
      error(("error loading module '%s' from file '%s':\n\t%s"):format(
        name, path, e), 0)
    end
    return f, path
  end
end

-- ---- strict globals --------------------------------------------------------

local function strict(env, absent)
  setmetatable(env, { __index = function(_, name)
    if absent[name] then
      error(("'%s' is not available in --sandbox"):format(name), 2)
    end
    local known = {}
    for k in next, env do known[#known + 1] = k end
    local near = require "saddle.nearest" (tostring(name), known)
    error(("undefined global '%s'%s"):format(
      tostring(name), near and (" (did you mean '%s'?)"):format(near) or ""),
      2)
  end })
end

-- ---- the sandbox -----------------------------------------------------------

-- A library's table without some functions; reading one of those says so.
local function without(name, lib, ...)
  local copy, gone = {}, {}
  for k, v in pairs(lib) do copy[k] = v end
  for _, k in ipairs { ... } do copy[k], gone[k] = nil, true end
  return setmetatable(copy, { __index = function(_, k)
    if gone[k] then
      error(("'%s.%s' is not available in --sandbox"):format(name, k), 2)
    end
  end })
end

local function sandbox()
  local env = {}
  for k, v in next, _G do env[k] = v end
  env._G = env
  env.io, env.package = nil, nil
  env.os = without("os", os, "execute", "exit", "remove", "rename",
                   "tmpname", "getenv", "setlocale")
  env.debug = { traceback = debug.traceback }
  local modules = package.loaded
  env.require = function(name)
    if name == "saddle" then return modules.saddle end
    error(("require: only 'saddle' is available in --sandbox, not '%s'")
          :format(tostring(name)), 2)
  end
  return env
end

---@param o table sandbox
return function(o)
  string.dump = nil
  local env = o.sandbox and sandbox() or _G
  text_chunks(env)
  text_modules()
  strict(env, o.sandbox and { io = true, package = true } or {})
  return env
end
