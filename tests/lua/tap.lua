-- Test Anything Protocol: checks print as they run, the plan at the end.

local tap = { count = 0, failed = 0 }

-- FILE:LINE of the check in the test file.
local function where()
  for level = 3, math.huge do
    local info = debug.getinfo(level, "Sl")
    if not info then return "?" end
    if info.currentline > 0 and not info.source:find("tap%.lua$") and
       not info.source:find("common%.lua$") then
      return ("%s:%d"):format(info.short_src, info.currentline)
    end
  end
end

local function report(good, name, got, wanted)
  tap.count = tap.count + 1
  if good then
    print(("ok %d - %s"):format(tap.count, name))
    return true
  end
  tap.failed = tap.failed + 1
  print(("not ok %d - %s"):format(tap.count, name))
  print("# at " .. where())
  if wanted ~= nil then
    print("# got    " .. tostring(got):gsub("\n", "\n#        "))
    print("# wanted " .. tostring(wanted):gsub("\n", "\n#        "))
  end
  return false
end

-- Text of any value; tensors become what they hold.
local function show(v)
  if type(v) == "userdata" and v.totable then
    v = v.ndim == 0 and v:item() or v:totable()
  end
  if type(v) ~= "table" then return tostring(v) end
  local parts = {}
  for _, e in ipairs(v) do parts[#parts + 1] = show(e) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function plain(v)
  if type(v) == "userdata" and v.totable then
    return v.ndim == 0 and v:item() or v:totable()
  end
  return v
end

local function same(a, b, tol)
  if type(a) == "table" and type(b) == "table" then
    if #a ~= #b then return false end
    for i = 1, #a do if not same(a[i], b[i], tol) then return false end end
    for k, v in pairs(b) do
      if type(k) == "string" and not same(a[k], v, tol) then return false end
    end
    return true
  end
  if type(a) ~= "number" or type(b) ~= "number" then return a == b end
  if a == b or (a ~= a and b ~= b) then return true end
  return tol ~= nil and math.abs(a - b) <= tol * math.max(1, math.abs(b))
end

--- cond holds.
function tap.ok(cond, name)
  return report(cond and true or false, name)
end

--- got equals want, tables and tensors element by element.
function tap.is(got, want, name)
  local a, b = plain(got), plain(want)
  return report(same(a, b), name, show(got), show(want))
end

--- got is within tol of want, relative to the larger of 1 and |want|.
function tap.near(got, want, tol, name)
  local a, b = plain(got), plain(want)
  return report(same(a, b, tol), name, show(got), show(want))
end

--- fn raises an error that matches pattern.
function tap.throws(fn, pattern, name)
  local good, message = pcall(fn)
  message = tostring(message)
  return report(not good and message:find(pattern) ~= nil, name,
                good and "no error" or message, pattern)
end

function tap.skip(name, why)
  tap.count = tap.count + 1
  print(("ok %d - %s # skip %s"):format(tap.count, name, why or ""))
end

--- Prints the plan; leaves with status 1 when a check failed.
function tap.done()
  print(("1..%d"):format(tap.count))
  if tap.failed > 0 then
    io.stderr:write(("%d of %d failed\n"):format(tap.failed, tap.count))
    os.exit(1)
  end
end

return tap
