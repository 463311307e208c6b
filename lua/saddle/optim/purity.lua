-- Whether functions only compute, so that a trace of them may stand for them:
-- what they return depends on their arguments and on constants alone, and
-- nothing else comes of calling them.

local core = require "saddle.core"
local sd = require "saddle.init"

local getinfo, getupvalue = debug.getinfo, debug.getupvalue
local purity = {}

-- What of Lua only computes; and words for what does not, in these tables and
-- in the library: a function that has one among its constants is not pure.
local tables = { math, string, table, utf8 }
local functions = { assert, error, ipairs, next, pairs, rawequal, rawget,
                    rawlen, select, tonumber, tostring, type }
local acts = {}
for _, word in ipairs {
  "clock", "default_dtype", "deterministic", "generator", "load", "memory",
  "random", "randomseed", "save", "seed", "threads",
} do
  acts[word] = true
end

local constant = { ["nil"] = true, boolean = true, number = true,
                   string = true }

-- The set of what may be reached: that of Lua, and the library's tables and
-- functions.
local function reachable()
  local set = {}
  for _, list in ipairs { tables, functions } do
    for _, v in ipairs(list) do set[v] = true end
  end
  for _, t in ipairs(tables) do
    for k, v in next, t do set[v] = not acts[k] end
  end
  for name, module in next, package.loaded do
    if name:find "^saddle" and type(module) == "table" then
      set[module] = true
      for k, v in next, module do
        if type(k) == "string" and not constant[type(v)] then
          set[v] = not acts[k] and not sd.is_tensor(v)
        end
      end
    end
  end
  return set
end

local function walks(reads)
  return reads.globals.pairs or reads.globals.next
end

local visit

-- Looks at what a function reads under a name by get; returns why it is not
-- pure, or nil.
local function look(search, name, get)
  local v = get()
  if type(v) == "function" and not search.set[v] then
    if search.seen[v] then return end
    search.seen[v] = true
    local why = visit(search, name, v)
    if why then return why end
  elseif not constant[type(v)] and not search.set[v] then
    return ("it reads the %s '%s'"):format(
      sd.is_tensor(v) and "tensor" or type(v), name)
  end
  search.found[#search.found + 1] = { value = v, get = get }
end

local function look_through(search, f, i, name, globals)
  if name ~= "_ENV" then
    return look(search, name, function()
      local _, v = getupvalue(f, i)
      return v
    end)
  end
  for global in next, globals do
    local why = look(search, global, function()
      local _, env = getupvalue(f, i)
      return rawget(env, global)
    end)
    if why then return why end
  end
end

function visit(search, name, f)
  local info = getinfo(f, "S")
  if info.what == "C" or info.source:find "^=saddle" then
    return ("it calls '%s'"):format(name)
  end
  local reads = core.reads(f)
  if reads.writes then return "it sets variables outside itself" end
  if reads.opaque then return "it takes its globals as a table" end
  for word in next, reads.strings do
    if acts[word] then return ("it may use '%s'"):format(word) end
    search.words[word] = true
  end
  search.compares = search.compares or reads.compares
  search.compares_one = search.compares_one or reads.compares_one
  search.walks = search.walks or walks(reads)
  for i = 1, 255 do
    local key = getupvalue(f, i)
    if not key then return end
    local why = look_through(search, f, i, key, reads.globals)
    if why then return why end
  end
end

-- The field of those varying that functions which read so may compare, or nil.
-- Only in its first step, which is traced alone, t is 1.
local function compared(reads, all, words, varying)
  for _, name in ipairs(varying) do
    local compares = reads.compares or name ~= "t" and reads.compares_one
    if compares and (all or words[name]) then return name end
  end
end

--- The field of those varying that one of the user's functions in a list may
--- compare, or nil: in a trace it is a tensor, which equals no number.
function purity.compared(list, varying)
  for _, f in ipairs(list) do
    local info = getinfo(f, "S")
    if info.what ~= "C" and not info.source:find "^=saddle" then
      local reads = core.reads(f)
      local name = compared(reads, walks(reads), reads.strings, varying)
      if name then return name end
    end
  end
end

--- What the functions in a list read beside their arguments: a list of { get
--- =, value = }. nil and the reason when they may do more than compute, or may
--- compare one of the fields varying.
function purity.constants(list, varying)
  local search = { set = reachable(), seen = {}, found = {}, words = {} }
  for _, f in ipairs(list) do
    local why = visit(search, "rule", f)
    if why then return nil, why end
  end
  local name = compared(search, search.walks, search.words, varying)
  if name then return nil, ("it may compare '%s'"):format(name) end
  return search.found
end

--- Whether constants are what they were.
function purity.same(constants)
  for _, c in ipairs(constants) do
    if not rawequal(c.get(), c.value) then return false end
  end
  return true
end

return purity
