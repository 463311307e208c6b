-- Functions of two variables (and Wood's, of four). Definitions as in
-- Surjanovic and Bingham's Virtual Library of Simulation Experiments, unless
-- said; critical points in the domain to all digits, from Newton's method in
-- 50 digits where no closed form is given.

local point = require "saddle.problems.point"

local list, box = point.list, point.box

-- Points of rows { x, y, loss, index }.
local function rows(t)
  local out = {}
  for i, r in ipairs(t) do
    out[i] = { r[1], r[2], loss = r[3], index = r[4] }
  end
  return list(out)
end

return function(define)
  -- A problem of fields that are made when it is asked for.
  local function plane(name, fields)
    define(name, {}, function()
      local p = fields()
      p.start = point.tensor(p.start)
      p.domain = p.domain or box(2, -5, 5)
      p.optimum = p.optimum or p.minima and p.minima[1].loss
      return p
    end)
  end

  plane("beale", function()
    return { start = { 1, 1 }, domain = box(2, -4.5, 4.5),
      minima = list { { 3, 0.5 } },
      saddles = list({ { 0, 1, loss = 14.203125 } }, 1),
      f = function(p)
        local x, y = p[1], p[2]
        return (1.5 - x + x * y) ^ 2 + (2.25 - x + x * y ^ 2) ^ 2 +
               (2.625 - x + x * y ^ 3) ^ 2
      end }
  end)

  -- Himmelblau 1972: all its critical points.
  plane("himmelblau", function()
    return { start = { 0, 0 },
      minima = rows {
        { -3.779310253377747, -3.2831859912861696,
          0, 0 },
        { -2.8051180869527448, 3.131312518250573,
          0, 0 },
        { 3, 2,
          0, 0 },
        { 3.5844283403304917, -1.8481265269644036,
          0, 0 },
      },
      saddles = rows {
        { 3.3851541836070211, 0.073851879837749282,
          13.311926270405589, 1 },
        { 0.086677504555396356, 2.8842547011747759,
          67.719150087526145, 1 },
        { -3.0730257507643897, -0.08135304428796751,
          104.0151629175581, 1 },
        { -0.12796134673068008, -1.9537149802445763,
          178.33723920192747, 1 },
      },
      maxima = rows {
        { -0.27084459066734762, -0.92303855647998145,
          181.6165215225827, 2 },
      },
      f = function(p)
        local x, y = p[1], p[2]
        return (x ^ 2 + y - 11) ^ 2 + (x + y ^ 2 - 7) ^ 2
      end }
  end)

  plane("booth", function()
    return { start = { -5, 5 }, domain = box(2, -10, 10),
      minima = list { { 1, 3 } }, f = function(p)
        local x, y = p[1], p[2]
        return (x + 2 * y - 7) ^ 2 + (2 * x + y - 5) ^ 2
      end }
  end)

  plane("matyas", function()
    return { start = { 5, -5 }, domain = box(2, -10, 10),
      minima = list { { 0, 0 } }, f = function(p)
        local x, y = p[1], p[2]
        return 0.26 * (x ^ 2 + y ^ 2) - 0.48 * x * y
      end }
  end)

  -- Stationary where cos(x + y) = -1/2 and x - y = 1.
  plane("mccormick", function()
    local a, third = 0.5, math.pi / 3
    local low, root = -math.sqrt(3) / 2 - third, math.sqrt(3) / 2
    return { start = { 0, 0 }, domain = { { -1.5, 4 }, { -3, 4 } },
      minima = list { { a - third, -a - third, loss = low },
                      { a + 2 * third, 2 * third - a, loss = low + math.pi } },
      saddles = list({ { a + third, third - a, loss = root + third } }, 1),
      f = function(p)
        local x, y = p[1], p[2]
        return (x + y):sin() + (x - y) ^ 2 - 1.5 * x + 2.5 * y + 1
      end }
  end)

  -- Three valleys meet three ridges; the Hessian at 0 vanishes.
  plane("monkey_saddle", function()
    return { start = { 1e-3, 1 }, domain = box(2, -1, 1),
      saddles = list { { 0, 0, degenerate = true } },
      f = function(p) return p[1] ^ 3 - 3 * p[1] * p[2] ^ 2 end }
  end)

  plane("branin", function()
    local rest = 5 / (4 * math.pi)
    return { start = { 2.5, 7.5 }, domain = { { -5, 10 }, { 0, 15 } },
      minima = list { { -math.pi, 12.275, loss = rest },
                      { math.pi, 2.275, loss = rest },
                      { 3 * math.pi, 2.475, loss = rest } },
      f = function(p)
        local x, y = p[1], p[2]
        local bend = y - 5.1 / (4 * math.pi ^ 2) * x ^ 2 +
                     5 / math.pi * x - 6
        return bend ^ 2 + 10 * (1 - 1 / (8 * math.pi)) * x:cos() + 10
      end }
  end)

  plane("goldstein_price", function()
    return { start = { -1.5, 1.5 }, domain = box(2, -2, 2),
      minima = rows {
        { 0, -1,
          3, 0 },
        { -0.59999999999999998, -0.40000000000000002,
          30, 0 },
        { 1.8, 0.20000000000000001,
          84, 0 },
        { 1.2, 0.80000000000000004,
          840, 0 },
      },
      saddles = rows {
        { -0.40000000000000002, -0.59999999999999998,
          35, 1 },
        { 1.2, -0.20000000000000001,
          99, 1 },
        { 1.3999999999999999, 0.59999999999999998,
          980, 1 },
        { 0.59999999999999998, 0.40000000000000002,
          990, 1 },
      },
      f = function(p)
        local x, y = p[1], p[2]
        local a = 19 - 14 * x + 3 * x ^ 2 - 14 * y + 6 * x * y + 3 * y ^ 2
        local b = 18 - 32 * x + 12 * x ^ 2 + 48 * y - 36 * x * y + 27 * y ^ 2
        return (1 + (x + y + 1) ^ 2 * a) * (30 + (2 * x - 3 * y) ^ 2 * b)
      end }
  end)

  plane("three_hump_camel", function()
    return { start = { 2, -1 },
      minima = rows {
        { 0, 0,
          0, 0 },
        { -1.7475523458302888, 0.87377617291514442,
          0.29863844223685981, 0 },
        { 1.7475523458302888, -0.87377617291514442,
          0.29863844223685981, 0 },
      },
      saddles = rows {
        { -1.07054229182366, 0.53527114591183,
          0.87736155776314018, 1 },
        { 1.07054229182366, -0.53527114591183,
          0.87736155776314018, 1 },
      },
      f = function(p)
        local x, y = p[1], p[2]
        return 2 * x ^ 2 - 1.05 * x ^ 4 + x ^ 6 / 6 + x * y + y ^ 2
      end }
  end)

  plane("six_hump_camel", function()
    return { start = { 1.5, 1 }, domain = { { -3, 3 }, { -2, 2 } },
      minima = rows {
        { -0.089842013100318058, 0.71265640302073963,
          -1.0316284534898774, 0 },
        { 0.089842013100318058, -0.71265640302073963,
          -1.0316284534898774, 0 },
        { -1.703606714969981, 0.79608356867262509,
          -0.21546382438371764, 0 },
        { 1.703606714969981, -0.79608356867262509,
          -0.21546382438371764, 0 },
        { -1.6071047529201972, -0.56865145488413138,
          2.1042503103112584, 0 },
        { 1.6071047529201972, 0.56865145488413138,
          2.1042503103112584, 0 },
      },
      saddles = rows {
        { 0, 0,
          0, 1 },
        { -1.1092053368047865, 0.76826809250953987,
          0.54371860097818514, 1 },
        { 1.1092053368047865, -0.76826809250953987,
          0.54371860097818514, 1 },
        { -1.6380679841897785, -0.22867406904439408,
          2.2293571975307147, 1 },
        { 1.6380679841897785, 0.22867406904439408,
          2.2293571975307147, 1 },
        { -1.2960702671671092, -0.60508438803865849,
          2.2294708180298599, 1 },
        { 1.2960702671671092, 0.60508438803865849,
          2.2294708180298599, 1 },
      },
      maxima = rows {
        { -1.2302298765166526, -0.16233458445899496,
          2.4962953510235768, 2 },
        { 1.2302298765166526, 0.16233458445899496,
          2.4962953510235768, 2 },
      },
      f = function(p)
        local x, y = p[1], p[2]
        return (4 - 2.1 * x ^ 2 + x ^ 4 / 3) * x ^ 2 + x * y +
               (4 * y ^ 2 - 4) * y ^ 2
      end }
  end)

  -- Flat but for a hole: gradients vanish far from it.
  plane("easom", function()
    return { start = { 2, 2 }, domain = box(2, -10, 10),
      minima = list { { math.pi, math.pi, loss = -1 } }, f = function(p)
        local x, y = p[1], p[2]
        return -x:cos() * y:cos() *
               (-(x - math.pi) ^ 2 - (y - math.pi) ^ 2):exp()
      end }
  end)

  -- N. 6: a valley with a kink all along its bottom.
  plane("bukin", function()
    return { start = { -7, 2 }, domain = { { -15, -5 }, { -3, 3 } },
      minima = list { { -10, 1, kink = true } }, f = function(p)
        local x, y = p[1], p[2]
        return 100 * (y - 0.01 * x ^ 2):abs():sqrt() +
               0.01 * (x + 10):abs()
      end }
  end)

  -- (u v - 1)^2 / 2, the smallest net of two layers: minima along u v = 1, of
  -- sharpness u^2 + v^2, and a saddle at 0 with eigenvalues -1 and 1.
  plane("product", function()
    return { start = { 2, 0.1 }, domain = box(2, -3, 3),
      minima = list { { 1, 1, degenerate = true },
                      { -1, -1, degenerate = true } },
      saddles = list({ { 0, 0, loss = 0.5 } }, 1),
      f = function(p) return (p[1] * p[2] - 1) ^ 2 / 2 end }
  end)

  -- Colville 1968. Its saddle, near (-1, 1, -1, 1), holds descent up.
  define("wood", {}, function()
    return { start = point.tensor { -3, -1, -3, -1 },
      domain = box(4, -10, 10), optimum = 0,
      minima = list { { 1, 1, 1, 1 } },
      saddles = list({
        { -0.9679740249375931, 0.94713914081784178,
          -0.96951631033159114, 0.95124766579232523,
          loss = 7.8769671651768673 },
      }, 1),
      f = function(x)
        local a, b, c, d = x[1], x[2], x[3], x[4]
        return 100 * (a ^ 2 - b) ^ 2 + (a - 1) ^ 2 +
               90 * (c ^ 2 - d) ^ 2 + (c - 1) ^ 2 +
               10.1 * ((b - 1) ^ 2 + (d - 1) ^ 2) +
               19.8 * (b - 1) * (d - 1)
      end }
  end)

end
