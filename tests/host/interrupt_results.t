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
  is "$status" 0 "$1"
  like "$out" "interrupted*true" "and says so, with what it has"
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

# What is made of a search does not go on without it.
press 'local w = sd.linspace(1, 2, 30000)
  local function f(p) return (w * p * p):sum() end
  print(pcall(sd.critical.classify, f, sd.zeros(30000), { k = 60 }))'
like "$out" "false*interrupted" "a verdict is not made of half a spectrum"
finish
