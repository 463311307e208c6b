-- Small sequence tasks for recurrent and attention models.

local fail = require "saddle.fail"
local options = require "saddle.data.options"
local sd = require "saddle.init"

local kinds = {}

-- Sine waves of random frequency and phase; the target is the next value.
function kinds.sine(n, length, noise, source)
  local cycles = 1 + 3 * sd.rand({ n, 1 }, source)
  local phase = sd.rand({ n, 1 }, source)
  local time = sd.arange(0, length):to "f32" / length
  local wave = sd.sin(2 * math.pi * (cycles * time + phase)):unsqueeze(3)
  if noise > 0 then wave = wave + noise * sd.randn(wave.shape, source) end
  return { x = wave:narrow(2, 1, length), y = wave:narrow(2, 2, length) }
end

-- The copy task of S. Hochreiter and J. Schmidhuber, 1997, without a delay:
-- symbols, then as many blanks, during which the symbols are to be repeated.
function kinds.copy(n, length, _, source, symbols)
  local s = sd.randint(1, symbols, { n, length },
                       { generator = source.generator })
  local blank = sd.full({ n, length }, symbols + 1, { dtype = "i64" })
  return { x = sd.cat({ s, blank }, 2), y = sd.cat({ blank, s }, 2),
           classes = symbols + 1 }
end

--- Sequences of one of two kinds. "sine": x and y are {n, length, 1}, y is x
--- one step ahead. "copy": x and y are {n, 2 * length} labels; x holds
--- length symbols 1 .. symbols and then blanks (symbols + 1), y blanks and
--- then x's symbols.
---
--- ```lua
--- local waves = sd.data.sequences{ n = 10, length = 50, noise = 0.05 }
--- local task = sd.data.sequences{ kind = "copy", length = 5, symbols = 4 }
--- ```
---@param o? table kind ("sine"), n (1000), length (32), noise (0), symbols
---(8), seed (1)
return function(o)
  o = sd.check_options(o, { "kind", "n", "length", "noise", "symbols",
                            "seed" }, "sequences")
  local make = kinds[o.kind or "sine"]
  if not make then
    fail("sequences: kind must be 'sine' or 'copy', not '%s'",
         tostring(o.kind))
  end
  return sd.eval(make(options.whole(o.n, 1000, 1, "sequences: n"),
                      options.whole(o.length, 32, 1, "sequences: length"),
                      options.number(o.noise, 0, 0, "sequences: noise"),
                      options.source(o.seed),
                      options.whole(o.symbols, 8, 1, "sequences: symbols")))
end
