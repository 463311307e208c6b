-- Optimizers against PyTorch, against each other, and against mistakes.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, core, tap = common.sd, common.core, common.tap
local golden = require "golden_optim"
local optim, f64 = sd.optim, { dtype = "f64" }

local shared = require "optim_problems"
local problems, read, worst = shared.problems, shared.read, shared.worst

-- ---- against PyTorch ----------------------------------------------------------

local function by_step(opt, f, p)
  for _ = 1, 50 do p = opt:step(f, p) end
  return p
end

local function by_apply(opt, f, p)
  local grad = sd.grad(f)
  for _ = 1, 50 do p = opt:apply(p, (grad(p))) end
  return p
end

local function by_compile(opt, f, p)
  local step = opt:compile(f)
  for _ = 1, 50 do p = step(p) end
  return p
end

for name, table_of in pairs(golden) do
  for problem, p in pairs(problems) do
    local want = table_of[problem]
    for how, run in pairs { step = by_step, compile = by_compile,
                            apply = problem == "mlp" and by_apply or nil } do
      local rule, o = read(name, p.lr * table_of.rate)
      local d = worst(run(optim[rule](o), p.f, p.start), want)
      tap.ok(d < 1e-9, ("%s on %s by opt:%s is PyTorch's (%.1g)"):format(
        name, problem, how, d))
    end
  end
end

-- ---- rules of one's own ----------------------------------------------------------

local mine = optim.rule {
  name = "mine", defaults = { lr = 1e-3, beta1 = 0.9, beta2 = 0.999,
                              eps = 1e-8 },
  init = function(p) return { m = sd.zeros_like(p), v = sd.zeros_like(p) } end,
  update = function(p, g, s, h)
    s.m = h.beta1 * s.m + (1 - h.beta1) * g
    s.v = h.beta2 * s.v + (1 - h.beta2) * g ^ 2
    local m, v = s.m / (1 - h.beta1 ^ h.t), s.v / (1 - h.beta2 ^ h.t)
    return p - h.lr * m / (v ^ 0.5 + h.eps)
  end,
}
local mlp = problems.mlp
tap.ok(worst(by_step(mine { lr = 0.5 }, mlp.f, mlp.start),
             golden.adam.mlp) < 1e-9, "Adam as a rule in Lua is Adam")
tap.ok(worst(by_compile(mine { lr = 0.5 }, mlp.f, mlp.start),
             golden.adam.mlp) < 1e-9, "also compiled")

local bowl = function(p) return (p * p):sum() end
local one = sd.ones(1, f64)

local function halving(t) return t <= 2 and 0.1 or 0.05 end
local falling, q = optim.sgd { lr = halving }, one
for _ = 1, 3 do q = falling:step(bowl, q) end
tap.near(q[1]:item(), 0.8 * 0.8 * 0.9, 1e-15, "a schedule sets the step")
tap.is(falling.lr, 0.05, "opt.lr reads the value in force")
local compiled = optim.sgd { lr = halving }
local replay = compiled:compile(bowl)
q = one
for _ = 1, 3 do q = replay(q) end
tap.near(q[1]:item(), 0.8 * 0.8 * 0.9, 1e-15,
         "a schedule sets the compiled step")

do -- momentum as an average is the heavy ball at another rate
  local p1 = by_step(optim.momentum { lr = 0.02, beta = 0.8 }, mlp.f, mlp.start)
  local p2 = by_step(optim.sgd { lr = 0.02 * (1 - 0.8), momentum = 0.8 }, mlp.f,
                     mlp.start)
  tap.ok(worst(p1, shared.flat(p2):totable()) < 1e-12,
         "momentum at lr is sgd at lr (1 - beta)")
end

local set = optim.sgd { lr = 0.1 }
local again = set:compile(bowl)
q = again(one)
set.lr = 0.25
q = again(q)
tap.near(q[1]:item(), 0.8 * 0.5, 1e-15, "opt.lr can be set, compiled too")

local grouped = optim.sgd { lr = 0.1, groups = {
  { match = "bias$", lr = 0 } } }
local tree = grouped:step(function(p) return bowl(p.w) + bowl(p.bias) end,
                          { w = one, bias = one })
tap.near(tree.w[1]:item(), 0.8, 1e-15, "a group's pattern leaves others be")
tap.is(tree.bias[1]:item(), 1.0, "a group overrides by its pattern")

-- ---- state -------------------------------------------------------------------------

local a = optim.adam { lr = 0.1 }
local p = one
for _ = 1, 5 do p = a:step(bowl, p) end
local b = optim.adam { lr = 0.1 }
b:load(a:state())
tap.is(a:step(bowl, p)[1]:item(), b:step(bowl, p)[1]:item(),
       "a loaded state goes on exactly")
tap.throws(function() optim.sgd {}:load(a:state()) end, "sgd: the state is of",
           "another rule's state is refused")

local greedy = optim.rule {
  name = "greedy", defaults = { lr = 0.1 },
  init = function(u) return { last = sd.zeros_like(u) } end,
  update = function(u, g, st, h)
    local v = u - h.lr * (g + st.last)
    st.last = g
    return v
  end }
local eager, fast = greedy {}, greedy {}
local run, u, w = fast:compile(bowl), one, one
for _ = 1, 4 do u, w = eager:step(bowl, u), run(w) end
tap.near(u[1]:item(), w[1]:item(), 1e-15,
         "a state may be the gradient itself")
local seen = fast:state().states[1].last
run(w)
tap.ok(seen[1]:item() > 0, "a state that was looked at stays")
local mine = sd.tensor { 1.0, 2 }
local itself = optim.rule { init = function(q) return { m = q } end,
  update = function(q, g, st)
    st.m = st.m + g
    return q - 0.1 * st.m
  end } {}
local go = itself:compile(bowl)
go(go(mine))
tap.ok(mine[1]:item() == 1, "a state may start as the parameter itself")
local kept = {}
local hoarder = optim.rule { name = "hoarder", defaults = { lr = 0.1 },
  init = function(q) return { m = q } end,
  update = function(q, g, st, h)
    kept[#kept + 1] = st.m
    st.m = st.m + g
    return q - h.lr * g
  end }
local hoard = hoarder {}
for _ = 1, 3 do u = hoard:step(bowl, u) end
tap.ok(kept[1][1]:item() and kept[3][1]:item(),
       "a script's rule may keep its old states elsewhere")

do -- a large state is written over, where only the optimizer has it
  local n = 200000
  local function rule(watch)
    return optim.rule { name = "large", defaults = { lr = 0.1 },
      init = function(q) return { m = sd.zeros_like(q) } end,
      update = function(q, g, st, h)
        watch(st)
        st.m = 0.5 * st.m + g
        watch(st)
        return q - h.lr * st.m
      end } {}
  end
  local ones = sd.eval(sd.ones({ n }, f64))
  local function steps(opt, count)
    local q = ones
    for _ = 1, count do q = opt:apply(q, ones) end
    return q
  end
  local wanted = steps(rule(function() end), 4)
  local seen, pending = {}, {}
  local opt = rule(function(st)
    seen[#seen + 1], pending[#pending + 1] = st.m, st.m * 2
  end)
  local q = steps(opt, 4)
  local function ends(x) return { x[1]:item(), x[n]:item() } end
  for i, m in ipairs { 0, 1, 1, 1.5, 1.5, 1.75, 1.75, 1.875 } do
    tap.is(ends(seen[i]), { m, m }, "a state kept by its rule stays " .. i)
    tap.is(ends(pending[i]), { 2 * m, 2 * m }, "so does what waits on it")
  end
  tap.is(ends(q), ends(wanted), "the steps are the same")
  local shown = opt:state().states[1].m
  opt:apply(q, ones)
  tap.is(ends(shown), { 1.875, 1.875 }, "a state that was shown stays")
  if os.getenv "SADDLE_GC" then
    tap.skip("a step takes no memory for its state",
             "the incremental collector may leave handles")
  else
    opt = rule(function() end)
    q = steps(opt, 5)
    collectgarbage()
    core.reset_peak()
    local before = sd.memory().live
    opt:apply(q, ones)
    local grown = (sd.memory().peak - before) / (8 * n)
    tap.ok(grown < 1.5, ("a step takes memory for its parameters alone: %.2f")
      :format(grown))
    tap.is(ends(opt:state().states[1].m), { 1.96875, 1.96875 }, "rightly")
  end
end

-- ---- compiled steps are the same steps ------------------------------------

local function two(q)
  return (q.w * q.w):sum() + 3 * (q.bias * q.bias):sum()
end
local half_step = function(t) return 0.1 / t end
for name, make in pairs {
  ["a group's number over a schedule"] = function()
    return optim.sgd { lr = half_step,
                       groups = { { match = "bias$", lr = 0.01 } } }
  end,
  ["a group's schedule"] = function()
    return optim.sgd { lr = 0.1, groups = {
      { match = "bias$", lr = function(t) return 0.01 * t end } } }
  end,
  ["a momentum that starts at 0"] = function()
    return optim.sgd { lr = 0.1, weight_decay = half_step,
      momentum = function(t) return t < 3 and 0 or 0.9 end }
  end,
  ["a rule that treats the first step apart"] = function()
    return optim.rule { defaults = { lr = 0.1 }, update = function(q, g, _, h)
      if h.t == 1 then return q - 0.01 * g end
      return q - h.lr * g
    end } {}
  end,
  ["a state that is a number"] = function()
    return optim.rule { init = function() return { k = 0 } end,
      update = function(q, g, st)
        st.k = st.k + 1
        return q - 0.1 * st.k * g
      end } {}
  end,
} do
  local slow, quick = make(), make()
  local step = quick:compile(two)
  local f64 = { dtype = "f64" }
  local v1 = { w = sd.ones(2, f64), bias = sd.ones(1, f64) }
  local v2 = v1
  for _ = 1, 5 do v1, v2 = slow:step(two, v1), step(v2) end
  tap.near(v1.w[1]:item(), v2.w[1]:item(), 1e-14, name)
  tap.near(v1.bias[1]:item(), v2.bias[1]:item(), 1e-14, name .. ", bias")
end
tap.throws(function()
  optim.sgd {}:apply({ a = one, b = one }, { b = one, c = one })
end, "gradient 'b'", "gradients of other parameters")
tap.throws(function() optim.sgd {}:apply({ one }, { sd.ones(9) }) end,
           "of shape", "a gradient of another shape")

-- ---- dtypes and results ---------------------------------------------------------------

local scalar = sd.tensor(1.0)
local s1 = optim.adam { lr = 0.1 }:step(function(x) return x * x end, scalar)
local s2 = optim.adam { lr = 0.1 }:compile(function(x) return x * x end)(scalar)
tap.is(s1.dtype, "f32", "a 0-d parameter keeps its dtype")
tap.is(s2.dtype, "f32", "compiled too")
local _, loss, extra = optim.sgd {}:step(function(x)
  return bowl(x), x * 3
end, one)
tap.is(loss:item(), 1.0, "the loss is the one before the step")
tap.is(extra[1]:item(), 3.0, "then come further results")

-- ---- many small parameters --------------------------------------------------

do -- their updates run side by side
  local function train(threads, how)
    sd.threads(threads)
    local p = {}
    local g = sd.generator(3)
    for i = 1, 50 do
      p[i] = sd.randn({ 3 + i % 7, 11 }, { dtype = "f64", generator = g })
    end
    p[51] = sd.randn({ 300, 400 }, { dtype = "f64", generator = g })
    local opt = optim.adam { lr = 0.01, amsgrad = true }
    local function loss(q)
      local sum = 0
      for i, x in ipairs(q) do sum = sum + (x:sin() * i):sum() end
      return sum
    end
    local step = how == "compile" and opt:compile(loss) or
                 function(q) return opt:step(loss, q) end
    for _ = 1, 6 do p = step(p) end
    sd.threads(1)
    return p
  end
  for _, how in ipairs { "step", "compile" } do
    local one, two = train(1, how), train(2, how)
    local same = true
    for i, x in ipairs(one) do same = same and x:eq(two[i]):all():item() end
    tap.ok(same, how .. ": the same bits on one thread and on two")
  end
end

-- ---- mistakes ----------------------------------------------------------------------------

local function bad(f, pattern, name)
  tap.throws(f, "optim_test.lua:%d+: " .. pattern, name)
end
bad(function() optim.adam { lrr = 1 } end,
    "adam: unknown option 'lrr' %(did you mean 'lr'%?%)", "unknown option")
bad(function() optim.adam { lr = -1 } end, "adam: lr must not be negative",
    "a negative rate")
bad(function() optim.adam { beta1 = 1 } end, "adam: beta1 must be below 1",
    "beta of 1")
bad(function() optim.adam { lr = "x" } end, "adam: lr must be a number",
    "a rate that is no number")
bad(function() return optim.adma end, "sd.optim has no 'adma'.*adam",
    "an unknown rule")
bad(function() set.momentun = 1 end, "sgd: unknown option 'momentun'.*momentum",
    "setting an unknown field")
bad(function() optim.sgd {}:step(function(x) return x * sd.ones(2, f64) end,
                                 one) end,
    "value_and_grad: .*shape {2}", "a loss of two elements")
bad(function() optim.sgd {}:step(bowl, {}) end, ".*holds no tensors",
    "no parameters")
bad(function() b:step(function(t) return bowl(t[1]) + bowl(t[2]) end,
                      { one, one }) end,
    "adam: 2 parameters given, the state is for 1", "another tree")
for _, rule in ipairs { "sgd", "rmsprop", "lars" } do
  bad(function() optim[rule] { momentum = 1.5 } end,
      rule .. ": momentum must be at most 1, not 1.5", rule .. "'s momentum")
end
for name, v in pairs { history = 1.5, max_iter = 0, max_eval = 0.5,
                       history_size = 1 / 0 } do
  bad(function() optim.lbfgs { [name] = v } end,
      "lbfgs: " .. (name:match "history" or name) ..
      " must be a whole number, [01] or more, not ", "lbfgs's " .. name)
end
bad(function() optim.polyak { minimum = "0" } end,
    "polyak: minimum must be a number", "a least loss that is none")
do -- counts and least losses may be schedules: 4 at step 1
  local opt = optim.polyak { minimum = function(t) return 5 - 1 / t end }
  local w = opt:step(function(q) return bowl(q) + 4 end, one)
  tap.near(w[1]:item(), 0.5, 1e-12, "a schedule of the least loss")
  local function quartic(q) return bowl(q * q) + bowl(q) end
  local function run(history)
    local lbfgs = optim.lbfgs { history = history, max_iter = 5 }
    return lbfgs:step(quartic, sd.tensor({ 1, -2, 3 }, f64))
  end
  tap.is(run(function() return 2 end), run(2), "one of lbfgs's history")
end
for _, rule in ipairs { "lbfgs", "nonlinear_cg" } do
  local opt = optim[rule] {}
  opt:step(bowl, one)
  bad(function()
    optim[rule] {}:load(opt:state()):step(bowl, sd.ones(3, f64))
  end, rule .. ": the state is for parameters of %d elements, here are 3",
     rule .. "'s state of another shape")
end
bad(function() optim.rule { name = "x" } end, "rule: needs an update",
    "a rule without update")
bad(function()
  optim.rule { name = "wide", update = function(t) return t:expand(2, 1) end }
    {}:step(bowl, one)
end, "wide: update made shape {2, 1}", "an update that changes the shape")

-- Schedules, states and groups that cannot be meant.
for _, way in ipairs { "step", "compile" } do
  local nan = optim.adam { lr = function(t) return t == 3 and 0 / 0 or 0.1 end }
  local step = way == "step" and function(w) return nan:step(bowl, w) end or
               nan:compile(bowl)
  local w = step((step(one)))
  bad(function() step(w) end, "adam: lr must not be negative or NaN: its " ..
      "schedule gave .*nan for step 3", way .. ": a schedule that gives NaN")
  tap.is(nan.t, 2, way .. ": the step does not count")
  local late = optim.adam { beta1 = function(t) return t / 2 end }
  bad(function() late:step(bowl, late:step(bowl, one)) end,
      "adam: beta1 must be below 1: its schedule gave 1.0 for step 2",
      "a schedule that goes too far")
end
bad(function() optim.adam {}.step(bowl, one) end,
    "step: call it with a colon, opt:step", "a dot for a colon")
bad(function() optim.sgd { groups = { { match = "[w", lr = 1 } } } end,
    "sgd: group 1: match = '%[w': malformed pattern", "a pattern that is none")
bad(function()
  optim.sgd { groups = { { match = "bias", lr = 1 } } }:step(function(p)
    return bowl(p.w)
  end, { w = one })
end, "sgd: group 1: no parameter matches 'bias' %(there are w%)",
    "a pattern that matches nothing")
bad(function()
  local state = optim.sgd {}:state()
  state.t = -1
  optim.sgd {}:load(state)
end, "sgd: the state's count of steps is %-1", "a count below 0")

do -- numbers that are set often vary without new plans, if the rule lets them
  local often = optim.shampoo { lr = 0.1 }
  local w = sd.ones(2, 2, f64)
  for k = 1, 6 do
    often.lr = 0.1 / k
    often.eps = 1e-3 * k
    w = often:step(bowl, w)
  end
  tap.ok(often.lr == 0.1 / 6 and often.eps == 6e-3, "what was set last")
  tap.ok(tostring(often):find("lr = " .. 0.1 / 6, 1, true),
         "is what it says")
  bad(function() often.lr = -1 end, "shampoo: lr must not be negative",
      "and is still checked")
end

for what, decay in pairs { -- rules that need the number they look at
  order = function(h) return h.wd > 0 and h.wd or 0 end,
  equality = function(h) return h.wd == 0.5 and 1 or 0 end,
  ["a function of Lua"] = function(h) return math.max(h.wd, 0.1) end,
  text = function(h) return tonumber(("%.6f"):format(h.wd)) end,
} do
  local rule = optim.rule {
    name = "mine", defaults = { lr = 0.1, wd = 0 },
    update = function(p, g, _, h) return p - h.lr * (g + decay(h) * p) end,
  }
  local function run(way)
    local opt, w = rule {}, sd.ones(2, 2, f64)
    local step = way(opt)
    for k = 1, 8 do
      opt.wd = k / 8
      w = step(w)
    end
    return w
  end
  local plain = run(function(opt)
    return function(w) return opt:apply(w, sd.grad(bowl)(w)) end
  end)
  local compiled = run(function(opt) return opt:compile(bowl) end)
  local in_two = run(function(opt)
    opt.on_nonfinite = "skip"
    return opt:compile(bowl)
  end)
  local w = sd.ones(2, 2, f64)
  for k = 1, 8 do
    w = w - 0.1 * (sd.grad(bowl)(w) + decay { wd = k / 8 } * w)
  end
  for way, x in pairs { plain = plain, compiled = compiled, two = in_two } do
    tap.ok((x - w):abs():max():item() < 1e-15,
           ("%s of a number that is set often: %s"):format(what, way))
  end
end

tap.done()
