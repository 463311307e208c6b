-- The examples in the library's documentation run.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap

local function lua_files()
  local pipe = io.popen(("find '%s/../../lua' -name '*.lua' | sort"):format(
    here))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

-- Blocks fenced by ```lua in comments, with the line they start at.
local function blocks(path)
  local list, block, number = {}, nil, 0
  for line in io.lines(path) do
    number = number + 1
    local text = line:match "^%s*%-%-%-?%s?(.*)$"
    if not text then
      block = nil
    elseif text:match "^%s*```lua" then
      block = { line = number }
    elseif block and text:match "^%s*```" then
      list[#list + 1] = block
      block = nil
    elseif block then
      block[#block + 1] = text
    end
  end
  return list
end

local function quiet() end
local env = setmetatable({ sd = sd, print = quiet }, { __index = _G })
local has_gnuplot = os.execute "gnuplot --version >/dev/null 2>&1"

for _, path in ipairs(lua_files()) do
  for _, block in ipairs(blocks(path)) do
    local source = table.concat(block, "\n")
    local name = ("%s:%d"):format(path:match "lua/saddle/.*" or path,
                                  block.line)
    if source:find ":save%(" and not has_gnuplot then
      tap.skip(name, "gnuplot is not installed")
    else
      local f, message = load(source, "=" .. name, "t", env)
      local good = f ~= nil
      if f then good, message = pcall(f) end
      tap.ok(good, name .. " " .. (good and "" or tostring(message)))
    end
  end
end
tap.done()
