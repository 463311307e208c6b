#!/bin/sh
# Ctrl-C during a search returns what the search has.
. tests/host/tap.sh

command -v timeout >/dev/null || { echo "1..0 # skip no timeout"; exit; }
delay=0.4 wait=0.004
[ -z "$SADDLE_SLOW" ] || { delay=3 wait=0.03; }

# press CODE: runs CODE and presses Ctrl-C, again and later when the machine was
# too busy for it to begin, or to print within the grace that Ctrl-C gives.
press() {
  for later in 1 2 4; do
    timeout -k 5 -s INT --preserve-status \
      "$(awk "BEGIN { print $delay * $later }")" "$SADDLE" -e "$1" \
      >"$work/out" 2>"$work/err" </dev/null
    collect $?
    [ "$status" = 130 ] || break
  done
}

# kept NAME: what was pressed printed a reason and what it kept. On a machine
# so busy that nothing was there yet, it was interrupted like anything else.
kept() {
  case "$status:$err" in
    130:*interrupted*)
      report 0 "$1 # skip nothing was there when Ctrl-C came"
      return ;;
  esac
  is "$status" 0 "$1"
  like "$out" "interrupted*true" "and says so, with what it has"
}

# keeps NAME CODE: after Ctrl-C, CODE prints a reason and what it kept.
keeps() {
  press "
    local w = sd.linspace(1, 2, 3000, { dtype = 'f64' })
    local A = sd.curvature.operator { n = 3000, dtype = 'f64', check = false,
      matvec = function(v)
        local t = os.clock()
        while os.clock() - t < $wait do end
        return w * v
      end }
    $2"
  kept "$1"
}

keeps "eigenvalues" 'local e = A:eigs { k = 5 }
  print(e.reason, not e.converged and e.values:numel() > 0)'
keeps "a block of eigenvalues" 'local e = A:eigs { k = 3, method = "block" }
  print(e.reason, not e.converged and e.values:numel() > 0)'
keeps "LOBPCG" 'local e = A:eigs { k = 3, method = "lobpcg", tol = 1e-15 }
  print(e.reason, not e.converged and e.values:numel() > 0)'
keeps "the Lanczos recurrence" 'local l = A:lanczos { steps = 1000 }
  print(l.reason, l.alpha:numel() > 1 and l.ritz:max():item() <= 2)'
keeps "a density" 'local d = A:density { steps = 1000, probes = 2 }
  print(d.reason, math.abs((d:mean(function(x) return x end)) - 1.5) < 0.1)'
keeps "CG" 'local b = sd.ones(3000, { dtype = "f64" })
  local s = (A - 0.9999 * sd.curvature.identity(3000, { dtype = "f64" }))
    :solve(b, { tol = 1e-13 })
  print(s.reason, not s.converged and s.residual < b:norm():item())'
keeps "MINRES" 'local b = sd.ones(3000, { dtype = "f64" })
  local s = (A - 1.5003 * sd.curvature.identity(3000, { dtype = "f64" }))
    :solve(b, { tol = 1e-13, method = "minres" })
  print(s.reason, not s.converged and s.residual < b:norm():item())'

for method in hutchinson hutch++ xtrace; do
  keeps "a trace by $method" "local t, e, why = A:trace { samples = 1200,
      method = '$method' }
    print(why, math.abs(t - 4500) < 1e-6 and not (e > 1e-6))"
done
keeps "a diagonal" 'local d, e, why = A:diag { samples = 1000 }
  print(why, (d - w):abs():max():item() < 1e-12 and
    e:nan_to_num():max():item() < 1e-12)'
keeps "a Frobenius norm" 'local v, e, why = A:frobenius { samples = 1000 }
  print(why, math.abs(v - w:norm():item()) < 1e-9 and not (e > 1e-9))'
keeps "a function of the spectrum" '
  local s, e, q, why = A:spectral_sum(sd.sqrt, { steps = 1000 })
  print(why, q ~= q and math.abs(s / w:sqrt():sum():item() - 1) < 0.01)'
keeps "a log-determinant" '
  local s, e, q, why = A:logdet { method = "lanczos", steps = 1000 }
  print(why, q ~= q and math.abs(s / w:log():sum():item() - 1) < 0.01)'

press 'local n = 3000
  local w = sd.linspace(1, 2, n, { dtype = "f64" })
  local A = sd.curvature.operator { n = n, dtype = "f64", check = false,
    matvec = function(v)
      local t = os.clock()
      while os.clock() - t < 0.004 do end
      return w * v
    end }
  print(pcall(A.dense, A))'
like "$out" "false*interrupted" "a matrix is whole or none"

# What works on functions: searches, sweeps and attacks.
searches() {
  press "
    local w = sd.linspace(1, 2, 20000, { dtype = 'f64' })
    local function f(p) return (w * p:cosh()):sum() end
    local far = 20 * sd.randn(20000, { dtype = 'f64' })
    local net = sd.nn.mlp { 400, 400, 10, activation = 'tanh' }
    local p = net:init { seed = 1 }
    local x, y = sd.randn(2000, 400), sd.randint(1, 10, { 2000 })
    local function model(v) return net(p, v) end
    $2"
  kept "$1"
}
searches "a search for a minimum" '
  local at, c = sd.critical.find(f, far, { kind = "minimum", tol = 1e-300,
    max_iter = 100000 })
  print(c.reason, c.kind == "unknown" and not c.converged and
    c.loss < f(far):item() and c.loss == f(at):item() and
    tostring(c):find "unknown %(interrupted%)" ~= nil)'
for method in gradient_norm eigenvector dimer; do
  searches "a search by $method" "
    local at, c = sd.critical.find(f, far, { method = '$method', tol = 1e-300,
      max_iter = 100000 })
    print(c.reason, c.kind == 'unknown' and c.loss == f(at):item())"
done
searches "a sweep" '
  local list = sd.critical.sweep(function(v)
    return (v[1] ^ 2 + v[2] - 11) ^ 2 + (v[1] + v[2] ^ 2 - 7) ^ 2
  end, { { -5, 5 }, { -5, 5 } }, { steps = 1000000 })
  local found = 0
  for _, c in ipairs(list) do
    if c.kind ~= "not critical" then found = found + 1 end
  end
  print(list.reason, not list.converged and found == #list)'
searches "singular values" '
  local many = sd.linspace(1, 2, 400000, { dtype = "f64" })
  local s = sd.sensitivity.spectrum(function(v) return v * many end, many,
    { k = 1, tol = 1e-13, max_iter = 100000 })
  print(s.reason, not s.converged and s.values:max():item() <= 2)'
searches "an attack" '
  local at, l, why = sd.sensitivity.pgd { model = model, x = x, y = y,
    eps = 0.1, steps = 100000 }
  print(why, #l == 2000 and (at - x):abs():max():item() <= 0.1 + 1e-6)'
searches "an attack in chunks" '
  local at, l, why = sd.sensitivity.pgd { model = model, x = x, y = y,
    eps = 0.1, steps = 100, starts = 100, chunk = 200 }
  print(why, at:size(1) == l:size(1) and at:size(1) < 2000)'
searches "a robustness curve" '
  local eps = {}
  for i = 1, 100000 do eps[i] = i / 100000 end
  local r = sd.sensitivity.robustness { model = model, x = x, y = y,
    eps = eps, attack = "pgd" }
  print(r.reason, r.converged == false and #r.eps == #r.accuracy and
    #r.eps < 100000)'
searches "the mean of noisy gradients" '
  local s, why = sd.sensitivity.saliency(model, x, nil, { method = "smooth",
    samples = 100000 })
  print(why, s:isfinite():all():item())'
searches "a local Lipschitz constant" '
  local r = sd.sensitivity.lipschitz(model, x[{ { 1, 1 } }],
    { radius = 0.1, samples = 100000 })
  print(r.reason, r.lower >= r.local_norm)'
searches "the way down from a saddle" '
  local big = sd.rand(20000000)
  local _, r = sd.critical.escape(function(q)
    return -(q[1] ^ 2 * big:cos()):sum()
  end, sd.zeros(1), { step = 1e-12 })
  print(r.reason, r.escaped == (r.loss < 0))'

# What is made of a search does not go on without it.
press 'local w = sd.linspace(1, 2, 30000)
  local function f(p) return (w * p * p):sum() end
  print(pcall(sd.critical.classify, f, sd.zeros(30000), { k = 60 }))'
like "$out" "false*interrupted" "a verdict is not made of half a spectrum"
finish
