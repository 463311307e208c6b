-- Borders made of what they surround: pad with mode = "reflect",
-- "replicate" or "circular", one dim after another. Widths are as those of
-- the core's pad: before and after, last dim first, negative ones crop.

local fail = require "saddle.fail"
local arguments = require "saddle.arguments"

-- Where place i, perhaps outside 1 .. n, is taken from; and how wide a
-- border can be.
local modes = {
  reflect = { function(i, n)
    return i < 1 and 2 - i or i > n and 2 * n - i or i
  end, function(n) return n - 1 end },
  replicate = { function(i, n) return math.max(1, math.min(i, n)) end,
                function(n) return n > 0 and math.huge or 0 end },
  circular = { function(i, n) return (i - 1) % n + 1 end,
               function(n) return n end },
}

local function pad_dim(sd, x, dim, before, after, mode)
  local n, places = x:size(dim), {}
  local most = mode[2](n)
  if before > most or after > most or before + after + n < 0 then
    fail("pad: widths %d and %d around %d elements", before, after, n)
  end
  for i = 1 - before, n + after do
    places[#places + 1] = mode[1](i, n)
  end
  return x:index_select(dim, sd.tensor(places, { dtype = "i64" }))
end

return function(sd, methods, core, about)
  local plain = core.ops.pad
  local known = { "mode:S", "value:F", "widths:L" }

  local function widths_of(o, ...)
    if o.widths then return o.widths end
    local first = ...
    return type(first) == "table" and first or { ... }
  end

  local function bordered(x, o, widths)
    local mode = modes[o.mode]
    if not mode then
      fail("pad: mode is 'constant', 'reflect', 'replicate' or 'circular', "
           .. "not '%s'", o.mode)
    end
    if #widths % 2 ~= 0 or #widths > 2 * x.ndim then
      fail("pad: %d widths for %d dims (pairs of before and after, last dim "
           .. "first)", #widths, x.ndim)
    end
    for k = 1, #widths, 2 do
      local before, after = widths[k], widths[k + 1]
      if not math.tointeger(before) or not math.tointeger(after) then
        fail("pad: widths: expected whole numbers")
      end
      if before ~= 0 or after ~= 0 then
        x = pad_dim(sd, x, x.ndim - k // 2, before, after, mode)
      end
    end
    return x
  end

  local function pad(x, ...)
    local n = select("#", ...)
    local o = n > 0 and select(n, ...)
    if type(o) ~= "table" or o.mode == nil or not sd.is_tensor(x) then
      return plain(x, ...)
    end
    arguments.options(o, known, "pad")
    local list = { ... }
    list[n] = nil
    local widths = widths_of(o, table.unpack(list))
    if o.mode == "constant" then
      return plain(x, widths, { value = o.value })
    end
    return bordered(x, o, widths)
  end

  sd.pad, methods.pad = pad, pad
  local entry = {}
  for k, v in pairs(core.about.pad) do entry[k] = v end
  entry.doc = "Bordered by value (0), or by mode: 'reflect', 'replicate', "
              .. "'circular'; widths before and after, last dim first."
  about.pad = entry
end
