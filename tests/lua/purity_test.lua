-- Rules of the user's that only compute are replayed; all others run in Lua in
-- each step; and nobody can tell from the results.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap

sd.default_dtype "f64"
local optim = sd.optim
local target = sd.linspace(-1, 1, 6):reshape(2, 3)

local function loss(p)
  return ((p.w - target) ^ 2):sum() + p.b:cos():sum()
end

local function start()
  return { w = sd.linspace(0, 1, 6):reshape(2, 3), b = sd.tensor { 0.3, 1.1 } }
end

-- The parameters after some steps; between(opt, k) is called after each.
local function run(opt, steps, between)
  local p = start()
  for k = 1, steps do
    p = opt:step(loss, p)
    if between then between(opt, k) end
  end
  return p
end

-- make() -> the fields of a rule, anew for each run.
local function compare(name, make, replays, options, between)
  local function variant(tidy)
    local fields = make()
    fields.name, fields.tidy = "mine", tidy
    fields.defaults = fields.defaults or { lr = 0.05, beta = 0.8 }
    return optim.rule(fields)(options)
  end
  local mine = variant(nil)
  local p = run(mine, 20, between)
  local plain = variant(false)
  local q = run(plain, 20, between)
  tap.ok((p.w - q.w):abs():max():item() < 1e-14 and
         (p.b - q.b):abs():max():item() < 1e-14, name .. ": same steps")
  tap.is(mine.replays, replays, name .. (replays and ": replayed"
                                         or ": runs in Lua"))
  tap.is(plain.replays, false, name .. ": not where it is told not to be")
  return mine
end

local function average(s, g, h)
  return s.m and h.beta * s.m + (1 - h.beta) * g or g
end

-- ---- what only computes ----------------------------------------------------

compare("plain arithmetic", function()
  return { update = function(p, g) return p - 0.1 * g end }
end, true)

compare("a state that begins empty", function()
  return { update = function(p, g, s, h)
    s.m = average(s, g, h)
    return p - h.lr / (1 - h.beta ^ h.t) * s.m
  end }
end, true)

compare("the library, math and a helper", function()
  local half = 0.5
  local function scale(x) return sd.sqrt(x:square() + 1) * half end
  return {
    init = function(p) return { list = { sd.zeros_like(p), p } } end,
    update = function(p, g, s, h)
      local m = s.list[1] * 0.9 + g
      s.list = { m, p }
      return p - h.lr * math.exp(-1) * m / scale(g) + 0 * s.list[2]
    end }
end, true)

compare("a schedule", function()
  return { update = function(p, g, _, h) return p - h.lr * g end }
end, true, { lr = function(t) return 0.1 / t end })

compare("groups", function()
  return { update = function(p, g, _, h) return p - h.lr * g end }
end, true, { groups = { { match = "b", lr = 0.2 } } })

compare("the first step treated apart", function()
  return { update = function(p, g, s, h)
    if h.t == 1 then s.m = g else s.m = average(s, g, h) end
    if h.unknown == nil and s ~= "text" then return p - h.lr / h.t * s.m end
    return p
  end }
end, true)

compare("equality of what does not vary", function()
  return { update = function(p, g, _, h)
    if p.ndim == 2 then return p - h.lr * g end
    return p - 2 * h.lr * g
  end }
end, true)

compare("a learning rate that is set", function()
  return { update = function(p, g, _, h) return p - h.lr * g end }
end, true, nil, function(opt, k) if k == 4 then opt.lr = 0.02 end end)

compare("one that is set after each step", function()
  return { update = function(p, g, s, h)
    s.m = average(s, g, h)
    return p - h.lr * s.m
  end }
end, true, nil, function(opt, k)
  opt.lr = 0.05 / k
  tap.is(opt.lr, 0.05 / k, "and is what it was set to")
end)

do
  local opt = optim.chain { optim.clip_norm(0.5), optim.rule {
    name = "mine", defaults = { lr = 0.1 },
    update = function(p, g, _, h) return p - h.lr * g end } {} }
  local p = run(opt, 5)
  local q = run(optim.chain { optim.clip_norm(0.5), optim.sgd { lr = 0.1 } }, 5)
  tap.ok(opt.replays and (p.w - q.w):abs():max():item() < 1e-15,
         "in a chain, too")
end

-- ---- what it reads changes -------------------------------------------------

do
  local rate = 0.1
  compare("a number from outside that changes", function()
    rate = 0.1
    return { update = function(p, g) return p - rate * g end }
  end, true, nil, function(_, k) if k == 3 then rate = 0.01 end end)
  compare("one that changes in each step", function()
    rate = 0.1
    return { update = function(p, g) return p - rate * g end }
  end, false, nil, function() rate = rate * 0.97 end)
end

do
  local function once(g) return g end
  local how = once
  compare("a function from outside that changes", function()
    how = once
    return { update = function(p, g) return p - 0.1 * how(g) end }
  end, true, nil, function(_, k)
    if k == 4 then how = function(g) return 2 * g end end
  end)
end

do
  -- luacheck: globals global_rate
  rawset(_G, "global_rate", 0.1)
  compare("a global that changes", function()
    rawset(_G, "global_rate", 0.1)
    return { update = function(p, g) return p - global_rate * g end }
  end, true, nil, function(_, k)
    if k == 5 then rawset(_G, "global_rate", 0.03) end
  end)
  rawset(_G, "global_rate", nil)
end

-- ---- what does more than compute -------------------------------------------

compare("a count outside", function()
  local count = 0
  return { update = function(p, g)
    count = count + 1
    return p - 0.1 / count * g
  end }
end, false)

compare("a count in an inner function", function()
  local count = 0
  return { update = function(p, g)
    local function next_rate()
      count = count + 1
      return 0.1 / count
    end
    return p - next_rate() * g
  end }
end, false)

compare("a count in the state", function()
  return { update = function(p, g, s)
    s.count = (s.count or 0) + 1
    return p - 0.1 / s.count * g
  end }
end, false)

compare("a state by the step's number", function()
  return { update = function(p, g, s, h)
    s[h.t] = g
    return p - h.lr * (s[h.t - 1] or g)
  end }
end, false)

compare("a table from outside", function()
  local kept = {}
  return { update = function(p, g)
    kept[#kept + 1] = g
    return p - 0.1 * g - 0.01 * kept[#kept // 2 + 1]:mean()
  end }
end, false)

compare("a tensor from outside", function()
  local scale = sd.tensor(0.1)
  return { update = function(p, g) return p - scale * g end }
end, false)

compare("the number of the step compared", function()
  return { update = function(p, g, _, h)
    if h.t == 3 then return p end
    return p - h.lr * g
  end }
end, false)

compare("the number of the step compared with a float", function()
  return { update = function(p, g, _, h)
    if h.t == 2.5 or h.t == 1e3 then return p end
    return p - h.lr * g
  end }
end, false)

compare("its remainder compared", function()
  return { update = function(p, g, _, h)
    return h.t % 3 ~= 0 and p - h.lr * g or p
  end }
end, false)

compare("its order looked at", function()
  return { update = function(p, g, _, h)
    return h.t < 4 and p - h.lr * g or p - 0.5 * h.lr * g
  end }
end, false)

compare("a scheduled value compared", function()
  return { update = function(p, g, _, h)
    return h.lr == 0.1 and p or p - h.lr * g
  end }
end, false, { lr = function(t) return t == 4 and 0.1 or 0.05 end })

compare("a scheduled value that becomes 1", function()
  return { update = function(p, g, _, h)
    return h.lr == 1 and p or p - h.lr * g
  end }
end, false, { lr = function(t) return t == 4 and 1 or 0.05 end })

compare("hyper-parameters walked and compared", function()
  return { update = function(p, g, _, h)
    local rate = 0.05
    for _, v in pairs(h) do if v == 6 then rate = 0.01 end end
    return p - rate * g
  end }
end, false)

compare("a value looked at", function()
  return { update = function(p, g, _, h)
    return g:norm():item() > 0.5 and p - h.lr * g or p - 2 * h.lr * g
  end }
end, false)

compare("a function of somebody else's state", function()
  local calls = coroutine.wrap(function()
    for k = 1, math.huge do coroutine.yield(k) end
  end)
  return { update = function(p, g) return p - 0.1 / calls() * g end }
end, false)

do
  local opt = compare("math.random", function()
    math.randomseed(5)
    return { update = function(p, g) return p - math.random() * 0.1 * g end }
  end, false)
  tap.is(opt.t, 20, "math.random: all steps counted")
end

do
  local lines = {}
  local print = function(x) lines[#lines + 1] = x end
  local opt = optim.rule { update = function(p, g, _, h)
    print(h.t)
    return p - 0.1 * g
  end } {}
  run(opt, 3)
  tap.is(table.concat(lines, " "), "1 1 2 2 3 3", "what it says is said once")
end

do -- compiled, too: the gradient is replayed, the rule is not
  local function rule()
    return optim.rule { name = "mine", defaults = { lr = 0.05 },
      update = function(p, g, _, h)
        return h.t % 3 == 0 and p - h.lr * g or p
      end } {}
  end
  local step, p = rule():compile(loss), start()
  for _ = 1, 10 do p = step(p) end
  local q = run(rule(), 10)
  tap.ok((p.w - q.w):abs():max():item() == 0 and
         (p.w - start().w):abs():max():item() > 0.01,
         "a compiled rule that compares h.t is itself")
end

-- ---- errors ----------------------------------------------------------------

do
  local opt = optim.rule { name = "mine", update = function(p, g)
    return p - g:reshape(1, 2, 3) * 0.1
  end } {}
  local p, line = start(), debug.getinfo(1, "l").currentline - 2
  local ok, text = pcall(opt.step, opt, loss, p)
  tap.ok(not ok and text:find(("purity_test.lua:%d:"):format(line), 1, true),
         "an error has the rule's line")
  tap.is(opt.t, 0, "and no step counts")
end

do
  local wrong = false
  local opt = optim.rule { name = "mine", update = function(p, g, s)
    s.m = (s.m or 0 * g) + g
    if wrong then error "told to" end
    return p - 0.1 * s.m
  end } {}
  local p = start()
  for _ = 1, 3 do p = opt:step(loss, p) end
  local before = opt:state().states[1].m + 0
  wrong = true
  tap.ok(not pcall(opt.step, opt, loss, p), "a rule that fails later")
  tap.ok((opt:state().states[1].m - before):abs():max():item() == 0 and
         opt.t == 3, "has the state of before")
  wrong = false
  opt:step(loss, p)
  tap.is(opt.t, 4, "and goes on")
end

-- ---- states -----------------------------------------------------------------

do
  local opt = optim.rule { name = "mine", defaults = { lr = 0.1 },
    update = function(p, g, s, h)
      s.m = (s.m or 0 * g) + g
      return p - h.lr * s.m
    end } {}
  local p = start()
  for _ = 1, 4 do p = opt:step(loss, p) end
  local other = optim.rule { name = "mine", defaults = { lr = 0.1 },
    tidy = false,
    update = function(q, g, s, h)
      s.m = (s.m or 0 * g) + g
      return q - h.lr * s.m
    end } {}
  other:load(opt:state())
  local q = p
  for _ = 1, 3 do p, q = opt:step(loss, p), other:step(loss, q) end
  tap.ok((p.w - q.w):abs():max():item() == 0 and other.t == opt.t,
         "a state goes from replayed steps to others")
end

tap.done()
