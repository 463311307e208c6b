-- Files and programs for the Lua library. Uses the core's own calls when the
-- core is there (they sync to the disk), plain io and os otherwise, looked up
-- at the time of the call because --sandbox takes them away.

local fail = require "saddle.fail"

local has_core, core = pcall(require, "saddle.core")
if not has_core or type(core) ~= "table" then core = {} end

local function system(library, name)
  local found = (rawget(_G, library) or {})[name]
  if not found then
    fail("%s.%s is not available here (a --sandbox session has no files "
      .. "and runs no programs)", library, name)
  end
  return found
end

local function check(ok, what, path, message)
  if not ok then fail("%s %s: %s", what, path, message or "failed") end
  return ok
end

local function via_core(name, path, ...)
  local ok, message = core[name](path, ...)
  if not ok and message then fail("%s %s: %s", name, path, message) end
end

--- Quotes a string as one word of a POSIX shell's command line.
---@param word string
---@return string
local function quote(word)
  return "'" .. word:gsub("'", [['\'']]) .. "'"
end

--- Runs a shell command; gives whether it succeeded, what it printed (its
--- errors included) and its exit code.
---@param command string
---@return boolean ok
---@return string output
---@return integer code
local function run(command)
  local pipe, message = system("io", "popen")("{ " .. command .. "\n} 2>&1")
  check(pipe, "cannot run", command, message)
  local output = pipe:read("a") or ""
  local ok, _, code = pipe:close()
  return ok == true, output, code
end

--- The folder a path lies in, without a slash at its end.
---@param path string
---@return string
local function folder(path)
  local found = path:match("^(.*)/[^/]*$")
  if found == "" then return "/" end
  return found or "."
end

local function is_folder(path)
  local file = system("io", "open")(path .. "/.", "rb")
  if file then file:close() end
  return file ~= nil
end

--- Makes a folder and those above it; one that is there already is fine.
---@param path string
local function mkdirs(path)
  if core.mkdirs then return via_core("mkdirs", path) end
  if path == "" or is_folder(path) then return end
  local ok, output = run("mkdir -p -- " .. quote(path))
  check(ok, "cannot make the folder", path, output:gsub("%s+$", ""))
end

--- Reads a whole file.
---@param path string
---@return string bytes
local function read(path)
  local file, message = system("io", "open")(path, "rb")
  check(file, "cannot read", path, message)
  local bytes, reason = file:read("a")
  file:close()
  return check(bytes, "cannot read", path, reason)
end

-- Each step is checked: on a full device write succeeds and flush fails.
local function write_checked(path, bytes)
  local file, message = system("io", "open")(path, "wb")
  if not file then return nil, message end
  local ok, reason = file:write(bytes)
  if ok then ok, reason = file:flush() end
  local closed, late = file:close()
  return ok and closed, reason or late
end

local function temporary(path)
  local unique = tostring({}):match("0x(%x+)") or "0"
  return ("%s.%s%x.part"):format(path, unique, os.time())
end

--- Writes a file so that its readers see the old bytes or all of the new.
--- Makes the folder when it is missing.
---@param path string
---@param bytes string
local function write_atomic(path, bytes)
  mkdirs(folder(path))
  if core.write_atomic then return via_core("write_atomic", path, bytes) end
  local part = temporary(path)
  local ok, message = write_checked(part, bytes)
  if ok then ok, message = system("os", "rename")(part, path) end
  if ok then return end
  system("os", "remove")(part)
  fail("cannot write %s: %s", path, message or "failed")
end

return {
  folder = folder,
  mkdirs = mkdirs,
  quote = quote,
  read = read,
  run = run,
  system = system,
  write_atomic = write_atomic,
}
