-- Which of three optimizers gets down Rosenbrock's valley? Two are built in,
-- one is ten lines long and your own. Takes a second.
local function valley(p)
  return (1 - p[1]) ^ 2 + 100 * (p[2] - p[1] ^ 2) ^ 2
end

-- Descent whose rate grows while the gradient keeps its direction and
-- shrinks when it turns.
local bold = sd.optim.rule {
  name = "bold", defaults = { lr = 1e-3, grow = 1.1, shrink = 0.5 },
  init = function(p)
    return { rate = sd.ones_like(p), last = sd.zeros_like(p) }
  end,
  update = function(p, g, s, h)
    local same = (g * s.last):gt(0)
    s.rate = s.rate * sd.where(same, h.grow, h.shrink)
    s.last = g
    return p - h.lr * s.rate * g:sign()
  end,
}

local start = sd.tensor({ -1.2, 1 }, { dtype = "f64" })
for _, opt in ipairs { sd.optim.sgd { lr = 1e-3, momentum = 0.9 },
                       sd.optim.adam { lr = 0.02 }, bold { lr = 0.1 } } do
  local p, loss = start, nil
  local step = opt:compile(valley) -- the whole step as one replayed plan
  for _ = 1, 3000 do p, loss = step(p) end
  print(("%-5s loss %.1e at (%.4f, %.4f) after %d steps"):format(
    opt.name, loss:item(), p[1]:item(), p[2]:item(), opt.t))
end
print "the minimum is 0 at (1, 1)"
