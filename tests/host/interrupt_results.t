#!/bin/sh
# Ctrl-C during a search returns what the search has.
. tests/host/tap.sh

command -v timeout >/dev/null || { echo "1..0 # skip no timeout"; exit; }

# press CODE: runs CODE, in which ctrl_c() presses Ctrl-C, and ctrl_c_after(n)
# does so n hundred instructions of Lua later, and pressing(n, at, product) is an
# operator in whose product number at it is pressed: by what was done, not by
# the clock, so that no machine is too fast or too slow.
press() {
  timeout -k 5 90 "$SADDLE" -e '
    function ctrl_c() io.popen("kill -INT $PPID"):close() end
    function ctrl_c_after(n)
      debug.sethook(function()
        n = n - 1
        if n > 0 then return end
        debug.sethook()
        ctrl_c()
      end, "", 100)
    end
    function pressing(n, at, product, dtype)
      local calls = 0
      return sd.curvature.operator { n = n, dtype = dtype, check = false,
        matvec = function(v)
          calls = calls + 1
          if calls == at then ctrl_c() end
          return product(v)
        end }
    end
    '"$1" >"$work/out" 2>"$work/err" </dev/null
  collect $?
}

kept() {
  is "$status" 0 "$1"
  like "$out" "interrupted*true" "and says so, with what it has"
}

# keeps NAME N CODE: after Ctrl-C in A's N-th product, CODE prints a reason and
# what it kept.
keeps() {
  press "
    local w = sd.linspace(1, 2, 3000, { dtype = 'f64' })
    local A = pressing(3000, $2, function(v) return w * v end, 'f64')
    $3"
  kept "$1"
}

keeps "eigenvalues" 100 'local e = A:eigs { k = 5 }
  print(e.reason, not e.converged and e.values:numel() > 0)'
keeps "a block of eigenvalues" 100 'local e = A:eigs { k = 3, method = "block" }
  print(e.reason, not e.converged and e.values:numel() > 0)'
keeps "LOBPCG" 100 'local e = A:eigs { k = 3, method = "lobpcg", tol = 1e-15 }
  print(e.reason, not e.converged and e.values:numel() > 0)'
keeps "the Lanczos recurrence" 100 'local l = A:lanczos { steps = 1000 }
  print(l.reason, l.alpha:numel() > 1 and l.ritz:max():item() <= 2)'
keeps "a density" 100 'local d = A:density { steps = 1000, probes = 2 }
  print(d.reason, math.abs((d:mean(function(x) return x end)) - 1.5) < 0.1)'
keeps "CG" 100 'local b = sd.ones(3000, { dtype = "f64" })
  local s = (A - 0.9999 * sd.curvature.identity(3000, { dtype = "f64" }))
    :solve(b, { tol = 1e-13 })
  print(s.reason, not s.converged and s.residual < b:norm():item())'
keeps "MINRES" 100 'local b = sd.ones(3000, { dtype = "f64" })
  local s = (A - 1.5003 * sd.curvature.identity(3000, { dtype = "f64" }))
    :solve(b, { tol = 1e-13, method = "minres" })
  print(s.reason, not s.converged and s.residual < b:norm():item())'

for method in hutchinson hutch++ xtrace; do
  keeps "a trace by $method" 100 "local t, e, why = A:trace { samples = 1200,
      method = '$method' }
    print(why, math.abs(t - 4500) < 1e-6 and not (e > 1e-6))"
done
keeps "a diagonal" 100 'local d, e, why = A:diag { samples = 1000 }
  print(why, (d - w):abs():max():item() < 1e-12 and
    e:nan_to_num():max():item() < 1e-12)'
keeps "a Frobenius norm" 100 'local v, e, why = A:frobenius { samples = 1000 }
  print(why, math.abs(v - w:norm():item()) < 1e-9 and not (e > 1e-9))'
keeps "a function of the spectrum" 100 '
  local s, e, q, why = A:spectral_sum(sd.sqrt, { steps = 1000 })
  print(why, q ~= q and math.abs(s / w:sqrt():sum():item() - 1) < 0.01)'
keeps "a log-determinant" 100 '
  local s, e, q, why = A:logdet { method = "lanczos", steps = 1000 }
  print(why, q ~= q and math.abs(s / w:log():sum():item() - 1) < 0.01)'

press 'local A = pressing(3000, 100, function(v) return 2 * v end, "f64")
  print(pcall(A.dense, A))'
like "$out" "false*interrupted" "a matrix is whole or none"

# The time to make and to use what was kept does not run out with that to clean
# up.
press 'local w = sd.linspace(1, 2, 100000)
  local A = pressing(100000, 90, function(v) return w * v end)
  local e = A:eigs { k = 10, tol = 1e-12 }
  local start = sd.clock()
  while sd.clock() - start < 0.4 do end
  print(e.reason, e.values:numel() == 10)'
kept "eigenvectors that take their time"
press 'local A = pressing(3000, 90, function(v) return 2 * v end, "f64")
  A:lanczos { steps = 200 }
  while true do pcall(A.lanczos, A, { steps = 200 }) end'
is "$status" 130 "it runs out, though"

# What works on functions: searches, sweeps and attacks; Ctrl-C comes N hundred
# instructions after they began.
searches() {
  press "
    local w = sd.linspace(1, 2, 20000, { dtype = 'f64' })
    local function f(p) return (w * p:cosh()):sum() end
    local far = 20 * sd.randn(20000, { dtype = 'f64' })
    local net = sd.nn.mlp { 20, 20, 10, activation = 'tanh' }
    local p = net:init { seed = 1 }
    local x, y = sd.randn(2000, 20), sd.randint(1, 10, { 2000 })
    local function model(v) return net(p, v) end
    ctrl_c_after($2)
    $3"
  kept "$1"
}
# The products of the core's search are the calls without a name that follow.
searches "the sharpness" 1e9 '
  local many, products = sd.linspace(1, 2, 100000), nil
  debug.sethook(function()
    local i = debug.getinfo(2, "nS")
    if i.what ~= "C" then return end
    if i.name == "eigs" then products = 0 end
    if i.name or not products then return end
    products = products + 1
    if products == 12 then debug.sethook() ctrl_c() end
  end, "c")
  local v, r, n, why = sd.curvature.sharpness(function(q)
    return (many * q ^ 2):sum()
  end, many)
  print(why, v > 2 and v <= 4 + 1e-5)'
searches "a search for a minimum" 300 '
  local at, c = sd.critical.find(f, far, { kind = "minimum", tol = 1e-300,
    max_iter = 100000 })
  print(c.reason, c.kind == "unknown" and not c.converged and
    c.loss < f(far):item() and c.loss == f(at):item() and
    tostring(c):find "unknown %(interrupted%)" ~= nil)'
for method in gradient_norm eigenvector dimer; do
  searches "a search by $method" 300 "
    local at, c = sd.critical.find(f, far, { method = '$method', tol = 1e-300,
      max_iter = 100000 })
    print(c.reason, c.kind == 'unknown' and c.loss == f(at):item())"
done
searches "a sweep" 300 '
  local list = sd.critical.sweep(function(v)
    return (v[1] ^ 2 + v[2] - 11) ^ 2 + (v[1] + v[2] ^ 2 - 7) ^ 2
  end, { { -5, 5 }, { -5, 5 } }, { steps = 1000000 })
  local found = 0
  for _, c in ipairs(list) do
    if c.kind ~= "not critical" then found = found + 1 end
  end
  print(list.reason, not list.converged and found == #list)'
searches "singular values" 100 '
  local many = sd.linspace(1, 2, 100000, { dtype = "f64" })
  local s = sd.sensitivity.spectrum(function(v) return v * many end, many,
    { k = 1, tol = 1e-13, max_iter = 100000 })
  print(s.reason, not s.converged and s.values:max():item() <= 2)'
searches "an attack" 300 '
  local at, l, why = sd.sensitivity.pgd { model = model, x = x, y = y,
    eps = 0.1, steps = 100000 }
  print(why, #l == 2000 and (at - x):abs():max():item() <= 0.1 + 1e-6)'
searches "an attack in chunks" 300 '
  local at, l, why = sd.sensitivity.pgd { model = model, x = x, y = y,
    eps = 0.1, steps = 100, starts = 100, chunk = 200 }
  print(why, at:size(1) == l:size(1) and at:size(1) < 2000)'
searches "a robustness curve" 1500 '
  local eps = {}
  for i = 1, 1000 do eps[i] = i / 1000 end
  local r = sd.sensitivity.robustness { model = model, x = x, y = y,
    eps = eps, attack = "pgd" }
  print(r.reason, r.converged == false and #r.eps == #r.accuracy and
    #r.eps < 1000)'
searches "the mean of noisy gradients" 2000 '
  local s, why = sd.sensitivity.saliency(model, x, nil, { method = "smooth",
    samples = 100000 })
  print(why, s:isfinite():all():item())'
searches "a local Lipschitz constant" 300 '
  local r = sd.sensitivity.lipschitz(model, x[{ { 1, 1 } }],
    { radius = 0.1, samples = 100000 })
  print(r.reason, r.lower >= r.local_norm)'
searches "the way down from a saddle" 100 '
  local big = sd.rand(20000000)
  local _, r = sd.critical.escape(function(q)
    return -(q[1] ^ 2 * big:cos()):sum()
  end, sd.zeros(1), { step = 1e-12 })
  print(r.reason, r.escaped and r.loss < 0)'

# What is made of a search does not go on without it.
press 'local w = sd.linspace(1, 2, 3000)
  local function f(p) return (w * p * p):sum() end
  ctrl_c_after(40)
  print(pcall(sd.critical.classify, f, sd.zeros(3000), { k = 20 }))'
like "$out" "false*interrupted" "a verdict is not made of half a spectrum"
finish
