-- Optimizers. A rule says how one parameter, its gradient and its state
-- become new ones; an optimizer is a rule with hyper-parameters and the
-- state of a whole tree.

local fail = require "saddle.fail"
local hyper = require "saddle.optim.hyper"
local module = require "saddle.module"
local optimizer = require "saddle.optim.optimizer"
local sd = require "saddle.init"

local optim = {}

--- A rule of your own: a function from hyper-parameters to an optimizer.
---
--- ```lua
--- local signs = sd.optim.rule{
---   name = "signs", defaults = { lr = 0.01 },
---   update = function(p, g, s, h) return p - h.lr * g:sign() end }
--- local opt = signs{ lr = 0.1 }
--- ```
---
--- Every optimizer also takes groups (a list of { match = a Lua pattern of
--- paths, and other values of hyper-parameters there }), maximize (false),
--- on_nonfinite ("error" | "skip" | "warn") and allow_unused (false: a
--- parameter that the loss does not depend on is an error). Hyper-parameters
--- that are numbers may be schedules, functions of the step.
---
--- A rule that wants more than the gradient has a step of its own, and asks
--- the context (saddle.optim.context) for losses, slopes and curvature:
---
--- ```lua
--- local damped = sd.optim.rule{
---   name = "damped", defaults = { damping = 0.1 },
---   step = function(self, f, params, ...)
---     local c = self:context(f, params, ...)
---     local d = c:hessian():solve(c.gradient, { damping = c.h.damping })
---     return c:done(c.x - d.x)
---   end }
--- local p = damped{}:step(function(p) return (p * p):sum() end, sd.ones(2))
--- ```
---@param rule table name, defaults, and one of
---  update(p, g, s, h) -> new p (parameter, gradient, its state, hyper-
---    parameters; h.t counts steps from 1);
---  step(self, f, params, ...) -> new params, loss, f's further results;
---  and for sd.optim.chain: transform(g, p, s, h) -> new g; all(gs, ps, ss,
---    hs) -> new gs, on lists over the leaves; after(q, p, g, s, h) -> new q, q
---    being what the rule before made of p.
---  Further init(p, h) -> state; check(h), which fails when the
---  hyper-parameters do not go together; takes, a set of options that are
---  functions or objects; aliases, other names of options (a name, or a list of
---  names for a list of values); argument, the option that stands for the
---  table;
---  phase(h, t) -> a constant of step t, given as h.phase; evaluate(run, f, h,
---  params, ...) -> what run(params, ...) gives ({ loss, gradients, f's further
---  results .., n = }), and a list over the leaves that update gets as its
---  fifth argument; average(p, s, h) -> p's average.
---  A rule whose functions only compute is traced and then replayed, at the
---  speed of the built-in ones (opt.replays says whether): from the second step
---  on h.t and schedules' values are tensors in it, and its state holds nothing
---  but tensors. One that reads tables or tensors from outside, sets variables
---  there, prints, draws from math.random or compares h.t runs in Lua in each
---  step. tidy = true promises that it computes from its arguments alone, and
---  false that it must run.
function optim.rule(rule)
  sd.check_options(rule, { "name:S", "defaults:L", "init:C", "update:C",
                           "step:C", "check:C", "doc:S", "tidy:B",
                           "transform:C", "all:C", "after:C", "takes:L",
                           "argument:S", "phase:C", "evaluate:C",
                           "average:C", "aliases:L" }, "rule")
  if not (rule.update or rule.step or rule.transform or rule.all or
          rule.after or rule.evaluate) then
    fail "rule: needs an update or a step function"
  end
  rule.name, rule.defaults = rule.name or "rule", rule.defaults or {}
  return function(options)
    if rule.argument and (options ~= nil and type(options) ~= "table" or
                          hyper.callable(options)) then
      options = { [rule.argument] = options }
    end
    if options ~= nil and type(options) ~= "table" then
      fail("%s: options must be a table, not %s", rule.name, type(options))
    end
    options = options or {}
    local part = hyper.part(rule, options, optimizer.general)
    return optimizer.new(rule.name, { part }, options)
  end
end

-- Each adds its rules to the table; the first three are the plain formulas.
for _, name in ipairs {
  "descent", "sgd", "adam", "adaptive", "adamax", "rectified", "signs",
  "layers", "matrix", "diagonals", "quasi", "projected", "lbfgs", "newton",
  "parameter_free",
} do
  require("saddle.optim." .. name)(optim)
end
require "saddle.optim.chain".add(optim)
require "saddle.optim.wrap" (optim)

-- Studies of rules and their settings, read when they are called.
for _, name in ipairs { "stability", "convert", "preset", "compare",
                        "check" } do
  optim[name] = function(...)
    return require("saddle.optim." .. name)(...)
  end
end

return module.strict("sd.optim", optim)
