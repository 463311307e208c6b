-- Memory: every allocation made to fail in turn, long graphs, loops that
-- drop large tensors, a limit, and the collector in its other moods.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, core, tap = common.sd, common.core, common.tap
local f64 = { dtype = "f64" }
local megabyte = 1 << 20

local function clean()
  collectgarbage()
  collectgarbage()
  core.trim()
  return sd.memory().live
end

-- ---- the nth allocation fails ----------------------------------------------

local function network(p, x)
  local h = (x:matmul(p.w) + p.b):tanh()
  return sd.cross_entropy(h, sd.tensor({ 1, 2, 1 }, { dtype = "i64" }))
end

local scripts = {
  { "elementwise work and reductions", function()
    local x = sd.arange(1, 12, f64):reshape(3, 4)
    local y = (x * 2 + 1):sqrt():sum(2)
    return y:sum():item() + x:T():max():item()
  end },
  { "views, joins and indexing", function()
    local x = sd.arange(1, 12, f64):reshape(3, 4)
    local y = sd.cat({ x[{ {}, { 1, 2 } }], x:flip(2):narrow(2, 1, 2) }, 2)
    y[{ 2 }] = 7
    local z = y[y:gt(6)]
    return z:sum():item() + sd.sort(x:reshape(-1))[3]:item()
  end },
  { "linear algebra", function()
    local a = sd.eye(3, f64) * 2 + 0.5
    local w = sd.linalg.eigh(a)
    return sd.linalg.solve(a, sd.ones({ 3 }, f64)):sum():item() +
           w:sum():item() + sd.linalg.cholesky(a):sum():item()
  end },
  { "gradients", function()
    local p = { w = sd.ones({ 4, 2 }, f64) * 0.3, b = sd.ones({ 2 }, f64) }
    local x = sd.arange(1, 12, f64):reshape(3, 4) / 12
    local g = sd.grad(network)(p, x)
    return g.w:sum():item() + g.b:square():sum():item()
  end },
  { "a value looked at inside grad", function()
    return sd.grad(function(x)
      local y = x * x
      return y * y:item()
    end)(sd.tensor(3, f64)):item()
  end },
  { "hessian by vmap", function()
    return sd.hessian(function(x) return (x ^ 3):sum() end)
           (sd.arange(1, 3, f64)):sum():item()
  end },
  { "checkpoint", function()
    local w = sd.arange(1, 3, f64)
    return sd.grad(function(q)
      return sd.checkpoint(function(x) return (x * q):sin() end)(w):sum()
    end)(w):sum():item()
  end },
  { "jit", function()
    local f = sd.jit(sd.grad(function(x) return (x:exp() * x):sum() end))
    local x = sd.arange(0, 2, f64)
    for _ = 1, 3 do x = x - 0.01 * f(x) end
    return x:sum():item()
  end },
  { "random numbers", function()
    sd.seed(3)
    local g = sd.generator(4)
    return sd.rand(5, f64):sum():item() +
           sd.randn(3, { dtype = "f64", generator = g }):sum():item() +
           sd.randperm(5):sum():item()
  end },
}

for _, s in ipairs(scripts) do
  local name, f = s[1], s[2]
  local wanted = f()
  f()
  local before = sd.memory().count
  f()
  local allocations = sd.memory().count - before
  local live, failures, survived = clean(), 0, 0
  local wrong, unclear, leak
  for n = 1, allocations do
    core.fail_after(n)
    local good, v = pcall(f)
    core.fail_after(0)
    if good then
      survived = survived + 1
      if v ~= wanted then wrong = wrong or n end
    else
      failures = failures + 1
      if not tostring(v):find "memory" then unclear = unclear or v end
    end
    if n % 7 == 0 or n == allocations then
      local now = clean()
      if now ~= live then
        leak = leak or ("%d bytes by allocation %d"):format(now - live, n)
        live = now
      end
    end
  end
  local again = f()
  tap.ok(allocations > 5, name .. ": allocates")
  tap.is(wrong, nil, name .. ": a survived failure changes no result")
  tap.is(unclear, nil, name .. ": a failure says that memory is short")
  tap.is(leak, nil, name .. ": a failure loses no memory")
  tap.is(again, wanted, name .. ": works afterwards")
  tap.ok(survived > 0, ("%s: %d of %d failures survived by a retry"):format(
         name, survived, survived + failures))
end

-- An optimizer's state is written over in place: not before nothing can fail.
local momentum = sd.optim.rule { name = "momentum", defaults = { lr = 0.01 },
  init = function(p) return { m = sd.zeros_like(p) } end,
  update = function(p, g, s, h)
    s.m = 0.9 * s.m + g
    return p - h.lr * s.m
  end }
for _, how in ipairs { "apply", "step", "compile", "a rule in Lua" } do
  local function loss(p) return (p.a:sum() + p.b:square():sum()) ^ 2 end
  local function taker()
    local plain = how == "a rule in Lua" -- and a state worth writing over
    local p = { a = sd.ones(5, f64),
                b = sd.ones({ 300, plain and 500 or 40 }, f64) }
    local opt = plain and momentum {} or sd.optim.adam { lr = 0.01 }
    local compiled = opt:compile(loss)
    return function()
      if how == "compile" then p = compiled(p)
      elseif how == "step" then p = opt:step(loss, p)
      else p = opt:apply(p, { a = p.a * 2, b = p.b - 3 }) end
      return p.a:sum():item() + p.b:sum():item()
    end
  end
  local plain, wanted = taker(), {}
  for t = 1, 60 do wanted[t] = plain() end
  local function compare(name, fail)
    local take, wrong, failures = taker(), nil, 0
    take()
    local t = 2
    while t <= 60 do
      fail(t)
      local good, v = pcall(take)
      core.fail_after(0)
      sd.memory(0)
      if good then
        if v ~= wanted[t] then wrong = wrong or t end
        t = t + 1
      else
        failures = failures + 1
        v = take()
        if v ~= wanted[t] then wrong = wrong or t end
        t = t + 1
      end
    end
    tap.is(wrong, nil, ("%s: %s"):format(how, name))
    return failures
  end
  compare("no failed allocation changes a step", core.fail_after)
  local failures = compare("nor does a limit", function(t)
    collectgarbage()
    sd.memory(sd.memory().live + 4096 * t)
  end)
  tap.ok(failures > 5, ("%s: %d steps failed and were taken again"):format(
    how, failures))
end

do -- what was computed before a failure is kept
  local x = sd.eval(sd.arange(1, 4, f64))
  local y = x * 2
  sd.memory(clean() + megabyte)
  local good, e = pcall(function()
    sd.eval(sd.zeros({ 1000, 1000 }, f64) + y[1])
  end)
  sd.memory(0)
  tap.ok(not good and e:find "memory_test%.lua:%d+: .*memory",
         "past the limit is an error at the script's line")
  tap.is(y, { 2, 4, 6, 8 }, "pending tensors survive it")
end

-- ---- long graphs -----------------------------------------------------------

do
  local x = sd.tensor(0, f64)
  for _ = 1, 1000000 do x = x + 1 end
  tap.is(x, 1e6, "a million additions")
  local y = sd.grad(function(z)
    local w = z
    for _ = 1, 100000 do w = w * 1.00001 end
    return w
  end)(sd.tensor(1, f64))
  tap.near(y, 1.00001 ^ 100000, 1e-9, "a hundred thousand inside grad")
  local dropped = sd.tensor(1, f64)
  sd.vjp(function(z)
    for _ = 1, 100000 do z = z:sin() end
    return z
  end, dropped)
  clean()
  tap.ok(true, "a long graph dropped unevaluated")
  local f = sd.jit(function(z)
    for _ = 1, 20000 do z = z + 1 end
    return z
  end)
  f(dropped)
  tap.is(f(dropped), 20001, "a long graph replayed")
  tap.is(sd.vmap(function(z)
    for _ = 1, 20000 do z = z + 1 end
    return z
  end)(sd.tensor({ 1, 2 }, f64)), { 20001, 20002 }, "and mapped")
  local wide = sd.zeros({}, f64)
  local parts = {}
  for i = 1, 20000 do parts[i] = sd.tensor(i, f64) end
  for i = 1, 20000 do wide = wide + parts[i] end
  tap.is(wide, 20000 * 20001 / 2, "twenty thousand leaves")
end

-- ---- loops that drop large tensors -----------------------------------------

do
  clean()
  core.reset_peak()
  local n = 25 * 1000 * 1000 -- 100 MB of f32
  for i = 1, 30 do
    local x = sd.zeros(n) + i
    sd.eval(x)
  end
  tap.ok(sd.memory().peak < 1000 * megabyte,
         ("a loop dropping 100 MB tensors peaks at %d MB"):format(
         sd.memory().peak // megabyte))
  clean()
  core.reset_peak()
  local y
  for i = 1, 3000 do y = sd.eval(sd.zeros(250000) + i) end
  tap.ok(sd.memory().peak < 200 * megabyte,
         ("3000 temporaries of 1 MB peak at %d MB"):format(
         sd.memory().peak // megabyte))
  tap.is(y[1], 3000, "the last of them holds its value")
  core.reset_peak()
  local f = sd.jit(function(x) return x + 1 end)
  for _ = 1, 300 do y = f(y) end
  tap.ok(sd.memory().peak < 200 * megabyte,
         ("300 replays of 1 MB peak at %d MB"):format(
         sd.memory().peak // megabyte))
end

-- ---- what is never made -------------------------------------------------------

do -- a stack of outer products, 120 MB, of which a product takes the factors
  local x = sd.eval(sd.randn(20, 1500))
  local c, r = sd.eval(sd.randn(2000, 1500, 1)), sd.eval(sd.randn(2000, 1, 10))
  clean()
  core.reset_peak()
  local before = sd.memory().live
  sd.eval(x:matmul(c * r))
  local took = (sd.memory().peak - before) // megabyte
  tap.ok(took < 40, ("a product with outer products takes %d MB"):format(took))
end

do -- a Hessian's rows go into the one matrix there is, 9 MB
  local net = sd.nn.mlp { 70, 15, 15, 10, activation = "tanh" }
  local params = net:init { seed = 1 }
  local x = sd.randn(20, 70)
  local H = sd.curvature.hessian(function(p)
    return net(p, x):square():sum()
  end, params)
  sd.eval(H:matvec(sd.ones(H.n)))
  clean()
  core.reset_peak()
  local before, size = sd.memory().live, H.n * H.n * 4 / megabyte
  local D <close> = H:dense { chunk = 64 }
  local took = (sd.memory().peak - before) / megabyte
  tap.ok(took < 1.8 * size and D:size(1) == H.n,
         ("a Hessian of %.1f MB takes %.1f"):format(size, took))
end

-- ---- what will be taken -------------------------------------------------------

do -- core.peak knows it before a replay has run, views and all
  local net = sd.nn.mlp { 20, 64, 64, 5 }
  local x, y = sd.randn(500, 20), sd.randint(1, 5, { 500 })
  local w, unravel = sd.tree.ravel(net:init { seed = 1 })
  local function loss(v) return sd.cross_entropy(net(unravel(v), x), y) end
  local function product(v)
    return select(2, sd.jvp(sd.grad(loss), { w }, { v }))
  end
  local function turned(v) return v:T():reshape(-1) + 1 end
  local function check(name, f, v)
    local run = core.jit(f)
    local expected = core.peak(run, v)
    sd.eval(run(v)) -- what does not depend on v stays
    clean()
    core.reset_peak()
    local before = sd.memory().live
    sd.eval(run(v))
    local took = sd.memory().peak - before
    tap.ok(expected > 0.85 * took and expected < 1.05 * took,
           ("%s takes %d bytes, as expected (%d)"):format(name, took, expected))
  end
  check("a gradient", sd.grad(loss), w)
  check("eight products", sd.vmap(product), sd.eval(sd.randn(8, w:numel())))
  check("a turned copy", turned, sd.eval(sd.randn(700, 300)))
  tap.throws(function() core.peak(print) end, "peak: expected a replay",
             "of no replay nothing is known")
end

do -- of a Hessian over many examples only so many rows go at once
  local net = sd.nn.mlp { 4, 16, 8, 3, activation = "tanh" }
  local params = net:init { seed = 1 }
  local x, y = sd.eval(sd.randn(30000, 4)), sd.randint(1, 3, { 30000 })
  local function peak(...)
    local H = sd.curvature.hessian(function(p, a, b)
      return sd.cross_entropy(net(p, a), b)
    end, params, ...)
    clean()
    core.reset_peak()
    local before = sd.memory().live
    local _ <close> = H:dense()
    return (sd.memory().peak - before) / megabyte
  end
  local all = peak(x, y)
  tap.ok(all < 300, ("a Hessian over 30,000 examples takes %.0f MB"):format(all))
  local some = peak(sd.curvature.chunks({ x, y }, { size = 100 }))
  tap.ok(some < 60, ("in chunks of 100, %.0f MB"):format(some))
end

-- ---- a limit and a stopped collector ---------------------------------------

do
  local live = clean()
  collectgarbage "stop"
  sd.memory(live + 60 * megabyte)
  local good, e = pcall(function()
    local kept
    for i = 1, 100 do
      kept = sd.zeros({ 1000, 1000 }, f64) + i
      sd.eval(kept)
      local g = sd.grad(function(x) return (x * x):sum() end)(kept)
      sd.eval(g)
    end
    return kept[{ 1, 1 }]:item()
  end)
  collectgarbage "restart"
  sd.memory(0)
  tap.ok(good, "a stopped collector with a limit: " .. tostring(e))
  tap.is(e, 100, "and the right value")
end

-- ---- the collector's other moods -------------------------------------------

local function everything()
  local out = {}
  for i, s in ipairs(scripts) do out[i] = s[2]() end
  return out
end
local usual = everything()
collectgarbage "generational"
for _ = 1, 20 do everything() end
tap.is(everything(), usual, "under the generational collector")
collectgarbage "incremental"
local pause = collectgarbage("setpause", 0)
local speed = collectgarbage("setstepmul", 1000)
for _ = 1, 10 do everything() end
tap.is(everything(), usual, "with the collector always at work")
collectgarbage("setpause", pause)
collectgarbage("setstepmul", speed)

do -- leaks of the whole
  everything()
  local live = clean()
  for _ = 1, 50 do everything() end
  tap.is(clean(), live, "fifty rounds of everything leave no memory behind")
end

do -- to-be-closed handles
  local function use()
    local x <close> = sd.tensor { 1, 2 }
    return (x + 1):sum():item()
  end
  tap.is(use(), 5, "a tensor may be a to-be-closed variable")
  local x
  do local c <close> = sd.tensor { 1 } x = c end
  tap.throws(function() return x + 1 end, "", "a closed tensor is an error")
  tap.throws(function() return x:sum() end, "", "for methods too")
  tap.throws(function() return #x end, "", "for its length")
  tap.throws(function() return x.shape end, "closed", "for its shape")
  tap.throws(function() return x[1] end, "closed", "for its elements")
  tap.throws(function() x[1] = 2 end, "closed", "for assignment")
end
do -- Lanczos: the basis and a few vectors, however many steps
  local n, steps = 2 ^ 18, 63 -- a basis of 64 vectors is a block of that size
  local w = sd.rand(n)
  local H = sd.curvature.hessian(function(p) return (w * p:sin()):sum() end,
                                 sd.ones(n))
  local start = sd.randn(n)
  sd.eval(start, H:matvec(start))
  local function vectors(A)
    collectgarbage()
    core.reset_peak()
    local before = core.memory().live
    A:lanczos { steps = steps, start = start }
    return (core.memory().peak - before) / (4 * n)
  end
  local plain, damped = vectors(H), vectors(H:damped(1))
  tap.ok(plain <= steps + 1 + 3,
         ("%d Lanczos steps take %.1f vectors at most"):format(steps, plain))
  tap.ok(damped <= steps + 1 + 10, ("of a sum %.1f"):format(damped))
end
do -- of x = f(x) two results, not ten, wait for the collector
  collectgarbage "generational"
  local count, n = 100, 10000
  local function list()
    local out = {}
    for i = 1, count do out[i] = sd.ones(n) end
    return sd.eval(out)
  end
  local halve = sd.jit(function(x)
    local out = {}
    for i = 1, count do out[i] = x[i] * 0.5 end
    return out
  end)
  local opt, g = sd.optim.adam { lr = 0.1 }, list()
  local function apply(x) return opt:apply(x, g) end
  for name, f in pairs { ["a replay"] = halve, ["an optimizer"] = apply } do
    local x = list()
    for _ = 1, 3 do x = f(x) end
    collectgarbage()
    local base, most = core.memory().live, 0
    for _ = 1, 12 do
      x = f(x)
      most = math.max(most, core.memory().live - base)
    end
    local results = most / (4 * n * count)
    tap.ok(results <= 3, ("%s: %.1f results"):format(name, results))
  end
end
tap.done()
