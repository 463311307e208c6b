-- Colours: the Okabe-Ito set for curves, three maps for fields. A map is a
-- list of evenly spaced colours, interpolated linearly.

-- M. Okabe and K. Ito, "Color Universal Design", 2008; yellow comes last
-- because it is faint on white.
local CURVES = { "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7",
  "#56B4E9", "#000000", "#F0E442" }

-- coolwarm: K. Moreland, "Diverging color maps for scientific
-- visualization", 2009. viridis: S. van der Walt and N. Smith, 2015.
local MAPS = {
  coolwarm = { "#3B4CC0", "#6282EA", "#8DB0FE", "#B8D0F9", "#DDDDDD",
    "#F5C4AD", "#F49A7B", "#DE604D", "#B40426" },
  viridis = { "#440154", "#472D7B", "#3B528B", "#2C728E", "#21918C",
    "#28AE80", "#5EC962", "#ADDC30", "#FDE725" },
  gray = { "#000000", "#FFFFFF" },
}

--- The colour of the i-th curve; they repeat after eight.
---@param i integer
---@return string
local function curve(i)
  return CURVES[(i - 1) % #CURVES + 1]
end

local function channels(colour)
  local r, g, b = colour:match("^#(%x%x)(%x%x)(%x%x)$")
  return tonumber(r, 16), tonumber(g, 16), tonumber(b, 16)
end

local function mix(a, b, t)
  return math.floor(a + (b - a) * t + 0.5)
end

--- Red, green and blue, 0 to 255, of a map at t.
---@param name string
---@param t number in [0, 1], clamped
---@return integer r
---@return integer g
---@return integer b
local function at(name, t)
  local map = MAPS[name]
  local x = math.max(0, math.min(1, t)) * (#map - 1)
  local i = math.min(math.floor(x), #map - 2)
  local r, g, b = channels(map[i + 1])
  local r2, g2, b2 = channels(map[i + 2])
  return mix(r, r2, x - i), mix(g, g2, x - i), mix(b, b2, x - i)
end

--- How bright a map is at t, 0 to 1: whether black or white text reads.
---@param name string
---@param t number
---@return number
local function brightness(name, t)
  local r, g, b = at(name, t)
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255
end

return {
  at = at,
  brightness = brightness,
  channels = channels,
  curve = curve,
  maps = MAPS,
}
