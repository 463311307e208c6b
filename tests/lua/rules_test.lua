-- Every rule: its paper's formula, compiled steps, states in files, and what
-- is not finite.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, tap = common.sd, common.tap
local shared = require "optim_problems"
local optim, f64 = sd.optim, { dtype = "f64" }
local problems, flat = shared.problems, shared.flat

-- ---- rules against their papers --------------------------------------------

for name, table_of in pairs(require "golden_rules") do
  for problem, p in pairs(problems) do
    local rule, o = shared.read(name, p.lr * table_of.rate)
    if rule == "dog" or rule == "prodigy" then o.lr = nil end
    local opt, w = optim[rule](o), p.start
    for _ = 1, 50 do w = opt:step(p.f, w) end
    local d = shared.worst(w, table_of[problem])
    -- Roots of nearly singular matrices lose digits.
    tap.ok(d < (rule == "shampoo" and 1e-7 or 1e-9),
           ("%s on %s is its paper's (%.1g)"):format(name, problem, d))
  end
end

-- ---- L-BFGS ----------------------------------------------------------------

local function rosenbrock10(x)
  local a, b = x:narrow(1, 1, 9), x:narrow(1, 2, 9)
  return (100 * (b - a * a) ^ 2 + (1 - a) ^ 2):sum()
end
local more = {
  rosenbrock10 = { f = rosenbrock10, start = sd.zeros(10, f64) },
  origin = problems.rosenbrock and { f = problems.rosenbrock.f,
                                     start = sd.zeros(2, f64) },
}
for name, table_of in pairs(require "golden_lbfgs") do
  for problem, want in pairs(table_of) do
    local p = problems[problem] or more[problem]
    if p then
      local _, o = shared.read("lbfgs " .. name, 1)
      local opt, w = optim.lbfgs(o), p.start
      local worst, scale = 0, p.f(w):item()
      for i = 1, table_of.steps do
        w = opt:step(p.f, w)
        local d = math.abs(p.f(w):item() - want[i])
        worst = math.max(worst, d / math.max(math.abs(want[i]), 1e-9 * scale))
      end
      local s = opt:state().states
      local took, iterations = s.evaluations, s.iterations
      tap.ok(worst < 1e-6 and math.abs(took - want.evaluations) <= 2 and
             math.abs(iterations - (want.iterations or iterations)) <= 1,
             ("lbfgs %s on %s: PyTorch's losses (%.1g), %d evaluations (%d)")
               :format(name, problem, worst, took, want.evaluations))
    end
  end
end

-- ---- all rules in a loop ---------------------------------------------------

local g = sd.generator(3)
local X = sd.randn(16, 3, { dtype = "f64", generator = g })
local Y = X:narrow(2, 1, 1) * X:narrow(2, 2, 1)
local net = sd.nn.mlp { 3, 4, 1, activation = "tanh" }
local start = net:init { seed = 1, dtype = "f64" }
local function loss(p, x) return sd.mse(net(p, x or X), Y) end

local base = optim.adam { lr = 0.01 }
local options = {
  newton = { damping = 0.5, line_search = true },
  saddle_free_newton = { damping = 0.1, line_search = true },
  perturbed_gd = { threshold = 10, interval = 3 },
  levenberg_marquardt = { residuals = function(p) return net(p, X) - Y end },
  gauss_newton_cg = { model = function(p, x) return net(p, x) end,
                      loss = function(z) return sd.mse(z, Y) end },
  kfac = { net = net, likelihood = "gaussian" },
  soap = { every = 3 }, shampoo = { every = 2 }, sophia = { every = 3 },
  rmsprop = { centered = true, momentum = 0.9 }, adam = { amsgrad = true },
  sgd = { momentum = 0.9, dampening = 0.1 }, swa = { start = 3, every = 2 },
}
local rules = {}
for name in ([[gd sgd momentum adagrad adadelta rmsprop rprop adam adamw adamax
  nadam radam adabelief lion adan lamb lars signsgd schedule_free muon shampoo
  soap adafactor sophia adahessian sam lookahead swa ema lbfgs nonlinear_cg
  gauss_newton_cg newton newton_cg trust_region cubic_newton kfac perturbed_gd
  asgd yogi armijo polyak novograd qhm qhadam sgdp adamp dog prodigy
  saddle_free_newton levenberg_marquardt cautious
  ]]):gmatch "%S+" do
  rules[name] = function(extra)
    local o = { table.unpack(options[name] or {}) }
    for k, v in pairs(options[name] or {}) do o[k] = v end
    for k, v in pairs(extra or {}) do o[k] = v end
    if name == "sam" or name == "lookahead" or name == "swa" or
       name == "ema" or name == "cautious" then
      o.base = base
    end
    return optim[name](o)
  end
end
for _, name in ipairs { "clip_norm", "clip_value", "clip_adaptive",
                        "centralize", "normalize", "weight_decay", "noise",
                        "accumulate" } do
  rules[name] = function(extra)
    return optim.chain { optim[name] {}, base,
                         on_nonfinite = extra and extra.on_nonfinite }
  end
end
rules["a long chain"] = function(extra)
  return optim.chain {
    optim.clip_norm(0.1), optim.noise(0.01), optim.accumulate(3),
    optim.weight_decay(0.1),
    optim.soap { lr = function(t) return 0.01 / t end, every = 2 },
    on_nonfinite = extra and extra.on_nonfinite }
end
rules["wrappers in wrappers"] = function(extra)
  return optim.ema { decay = 0.9, on_nonfinite = extra and extra.on_nonfinite,
    base = optim.lookahead { base = optim.sam {
      base = optim.sophia { every = 3 } } } }
end

local function same(a, b)
  return flat(a):eq(flat(b)):all():item()
end

-- Steps before the state is saved, and after; fewer where the collector runs
-- at each.
local before, later = 7, 5
if os.getenv "SADDLE_GC" then before, later = 3, 1 end

local path = os.tmpname()
os.remove(path)
path = path .. ".npz"
for name, make in pairs(rules) do
  local a, b = make(), make()
  local p, q, l = start, start, nil
  local step = b:compile(loss)
  for _ = 1, before do
    p, l = a:step(loss, p, X)
    q = step(q, X)
  end
  local d = common.distance(flat(p), flat(q))
  tap.ok(d < 1e-12, ("%s: a compiled step is a step (%.1g)"):format(name, d))
  tap.ok(l:item() == l:item() and not same(p, start), name .. ": moves")

  sd.save(path, a:state())
  local c = make():load(sd.load(path))
  local from_file = p
  for _ = 1, later do
    p, from_file = a:step(loss, p, X), c:step(loss, from_file, X)
  end
  tap.ok(same(p, from_file), name .. ": goes on exactly from a file")
  tap.ok(a.t == before + later and c.t == a.t, name .. ": and counts its steps")

  -- A loss that is NaN: nothing changes.
  local function broken(w, x) return loss(w, x) * (0 / 0) end
  tap.throws(function() a:step(broken, p, X) end,
             ("step %d: the gradient of '1.bias' is not finite"):format(a.t + 1),
             name .. ": NaN is refused")
  local s = make { on_nonfinite = "skip" }:load(a:state())
  tap.ok(same(s:step(broken, p, X), p), name .. ": or left out")
  tap.ok(same(a:step(loss, p, X), c:step(loss, from_file, X)),
         name .. ": and the state is as before")
end
os.remove(path)

-- ---- f32 stays f32 ---------------------------------------------------------

do
  local small = net:init { seed = 1 }
  local x, y = X:to "f32", Y:to "f32"
  local function loss32(p) return sd.mse(net(p, x), y) end
  for name, make in pairs(rules) do
    if not (options[name] and (options[name].model or options[name].net or
                               options[name].residuals)) then
      local p = make():step(loss32, small)
      local good = true
      for _, t in ipairs((sd.tree.leaves(p))) do
        good = good and t.dtype == "f32" and t:isfinite():all():item()
      end
      tap.ok(good, name .. ": f32 parameters stay so")
    end
  end
end

do -- PyTorch's names of options
  local o = optim.rprop { etas = { 0.4, 1.3 }, step_sizes = { 1e-5, 2 } }
  tap.is({ o.eta_minus, o.eta_plus, o.step_min, o.step_max },
         { 0.4, 1.3, 1e-5, 2 }, "etas and step_sizes")
  tap.throws(function() return optim.rprop { etas = 0.5 } end,
            "etas must be a list of 2 numbers", "one eta")
  o = optim.lbfgs { history_size = 7, line_search_fn = "strong_wolfe" }
  tap.is({ o.history, o.line_search }, { 7, "strong_wolfe" },
         "history_size and line_search_fn")
end

tap.done()
