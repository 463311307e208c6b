-- What can go wrong with Lanczos, and how right it is when it does not: ghost
-- eigenvalues (Paige 1971), the densities of random matrices (Wigner 1955,
-- Marchenko and Pastur 1967), the variance of Hutchinson's trace. A second;
-- draws out/lanczos.png.
local quick = arg and arg[1] == "--quick"
local function options(seed)
  return { dtype = "f64", generator = sd.generator(seed) }
end

-- ---- ghosts ---------------------------------------------------------------
local f64 = { dtype = "f64" }
local w = sd.cat({ sd.linspace(0, 1, 297, f64),
                   sd.tensor({ 10, 20, 100 }, f64) }, 1)
local D = sd.curvature.operator { n = 300, dtype = "f64", name = "diagonal",
                                  matvec = function(v) return w * v end }

local function copies(l, value)
  return (l.ritz - value):abs():lt(1e-3):to("i64"):sum():item()
end

print "copies of the eigenvalue 100 among the Ritz values (there is one)"
print "steps   plain (expected)   reorthogonalised   |V'V - 1|"
for i, m in ipairs { 40, 80, 160, 300 } do
  local start = sd.randn(300, options(3))
  local plain = D:lanczos { steps = m, start = start,
                            reorthogonalize = false }
  local full = D:lanczos { steps = m, start = start }
  local loss = (full.basis:T():matmul(full.basis) -
                sd.eye(m, f64)):abs():max():item()
  print(("%4d %8d (%d) %17d %17.0e"):format(
    m, copies(plain, 100), ({ 5, 10, 20, 38 })[i], copies(full, 100), loss))
end

-- ---- densities ------------------------------------------------------------
local function matrix(M)
  return sd.curvature.operator {
    n = M:size(1), dtype = "f64",
    matvec = function(v) return M:mv(v) end,
    matmat = function(V) return M:matmul(V) end }
end

local function distance(d, law)
  local want = d.grid:totable()
  for i, x in ipairs(want) do want[i] = law(x) end
  local h = (d.grid[2] - d.grid[1]):item()
  return ((d.density - sd.tensor(want, f64)):abs():sum() * h):item(), want
end

local n = quick and 300 or 1000
local R = sd.randn(n, n, options(5))
local wigner = matrix(sd.eval((R + R:T()) / math.sqrt(2 * n)))
local d = wigner:density { steps = 50, probes = 8, sigma = 0.08 }
local l1, law = distance(d, function(x)
  return math.abs(x) < 2 and math.sqrt(4 - x * x) / (2 * math.pi) or 0
end)
print(("\nsemicircle, n = %d: L1 distance %.3f (expected about .05)"):format(
  n, l1))
if not quick then
  sd.plot.lines { { x = d.grid, y = d.density, name = "Lanczos quadrature" },
                  { x = d.grid, y = law, name = "Wigner's law",
                    style = "dashed" }, xlabel = "eigenvalue",
                  ylabel = "density" }:save "out/lanczos.png"
end

local p = n // 3
local X = sd.randn(n, p, options(6))
local wishart = matrix(sd.eval(X:T():matmul(X) / n))
local e = wishart:eigs { k = 2, which = "both" }
print(("Marchenko-Pastur, n/p = 3: edges %.3f and %.3f (in the limit .179 " ..
       "and 2.488)"):format(e.values[2]:item(), e.values[1]:item()))

-- ---- Hutchinson's variance ------------------------------------------------
local A = sd.randn(60, 60, options(7))
A = sd.eval((A + A:T()) / 2)
local probes = quick and 500 or 4000
local _, error = matrix(A):trace { samples = probes }
print(("Hutchinson's variance with signs: %.0f, by the law %.0f"):format(
  error ^ 2 * probes,
  2 * (A:square():sum() - A:diag():square():sum()):item()))
