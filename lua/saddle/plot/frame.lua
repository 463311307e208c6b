-- The frame of a figure in gnuplot's words: titles, axes, ticks, legend,
-- note. Every text of the user is quoted and not enhanced.

local number = require("saddle.plot.paper").number
local quote = require("saddle.plot.paper").quote
local ticks = require "saddle.plot.ticks"

local INK, FAINT = "#333333", "#DDDDDD"

--- A range as gnuplot writes it.
---@param range number[]
---@return string
local function range_text(range)
  return ("[%s:%s]"):format(number(range[1]), number(range[2]))
end

-- Powers of ten from 10^4 up and 10^-4 down are set as powers.
local function rich_label(label)
  label = label:gsub("^%-", "−")
  local mantissa, power = label:match("^(.*)e(-?%d+)$")
  if not power then return label end
  local lead = mantissa == "1" and "" or mantissa .. "·"
  return ("%s10^{%s}"):format(lead, (power:gsub("-", "−")))
end

--- Ticks as gnuplot's list of labels and places.
---@param list { at: number, label: string }[]
---@return string
local function tick_list(list)
  local parts = {}
  for i, tick in ipairs(list) do
    parts[i] = ("%s %s"):format(quote(rich_label(tick.label)),
      number(tick.at))
  end
  return "(" .. table.concat(parts, ", ") .. ")"
end

--- Ticks that carry the user's own words, at 1, 2, 3 ...
---@param labels string[]
---@param at? number[]
---@return string
local function word_list(labels, at)
  local parts = {}
  local stride = math.max(1, math.ceil(#labels / 24))
  for i = 1, #labels, stride do
    parts[#parts + 1] = ("%s %s"):format(quote(labels[i]),
      number(at and at[i] or i))
  end
  return "(" .. table.concat(parts, ", ") .. ")"
end

local function titles(paper, figure)
  for _, name in ipairs{ "xlabel", "ylabel" } do
    if figure[name] then
      paper.add("set %s %s noenhanced textcolor rgb '%s'", name,
        quote(figure[name]), INK)
    end
  end
  if figure.title then
    paper.add("set title %s noenhanced font ',12' textcolor rgb '%s'",
      quote(figure.title), "#111111")
  end
  if figure.note then
    paper.add("set bmargin %s", figure.xlabel and 4.6 or 3.6)
    paper.add("set label 999 %s noenhanced at screen cell_x + 0.985 * cell_w, "
      .. "cell_y + 0.022 * cell_h right "
      .. "font ',8' textcolor rgb '#777777'", quote(figure.note))
  end
end

-- Short ticks without labels at 2, 3 ... 9 times the powers of ten.
local function minor_ticks(range)
  local list = {}
  local first, last = math.log(range[1], 10), math.log(range[2], 10)
  if last - first > 9 or last ~= last then return "" end
  for power = math.floor(first), math.ceil(last) do
    for m = 2, 9 do
      local at = m * 10.0 ^ power
      if at >= range[1] and at <= range[2] then
        list[#list + 1] = ("'' %s 1"):format(number(at))
      end
    end
  end
  return #list > 0 and " add (" .. table.concat(list, ", ") .. ")" or ""
end

--- Sets one axis: its range, and round ticks with readable powers of ten.
---@param paper table
---@param name "x" | "y"
---@param range number[]
---@param is_log? boolean
local function axis(paper, name, range, is_log)
  paper.add("set %srange %s", name, range_text(range))
  if not is_log then return end
  paper.add("set logscale %s", name)
  local list = tick_list(ticks.log(range[1], range[2], 6))
  paper.add("set %stics %s", name, list)
  local minor = minor_ticks(range)
  if minor ~= "" then paper.add("set %stics%s", name, minor) end
end

--- The settings that every figure of axes begins with.
---@param paper table
---@param figure table
local function open(paper, figure)
  paper.add("set border 3 linewidth 0.8 linecolor rgb '%s'", "#666666")
  paper.add("set tics nomirror out scale 0.6 textcolor rgb '%s'", INK)
  titles(paper, figure)
end

--- Faint lines behind curves.
---@param paper table
---@param which string "x y", or "y" alone
local function grid(paper, which)
  local parts = which:gsub("%a", "%0tics")
  paper.add("set grid %s back linetype 1 linewidth 0.6 linecolor rgb '%s'",
    parts, FAINT)
end

local PLACES = { outside = "outside right top Left reverse",
  above = "at graph 0.5, graph 1 center bottom horizontal Left reverse" }

--- Puts the legend in its place, or away.
---@param paper table
---@param place? string
local function legend(paper, place)
  if not place then return paper.add("set key off") end
  if place == "above" then
    paper.add("set tmargin 4.5; set title offset 0, 1.3")
  end
  local where = PLACES[place] or ("inside %s Left reverse"):format(place)
  paper.add("set key %s noenhanced samplen 1.8 spacing 1.15 "
    .. "textcolor rgb '%s'", where, INK)
end

--- Puts the plot's sides at shares of its cell of the page.
---@param paper table
---@param left number
---@param right number
---@param bottom number
---@param top number
local function margins(paper, left, right, bottom, top)
  local sides = { l = { "x", "w", left }, r = { "x", "w", right },
    b = { "y", "h", bottom }, t = { "y", "h", top } }
  for _, side in ipairs{ "l", "r", "b", "t" } do
    local axis_name, extent, share = table.unpack(sides[side])
    paper.add("set %smargin at screen cell_%s + %.3f * cell_%s", side,
      axis_name, share, extent)
  end
end

return {
  axis = axis,
  grid = grid,
  legend = legend,
  margins = margins,
  open = open,
  range_text = range_text,
  tick_list = tick_list,
  titles = titles,
  word_list = word_list,
}
