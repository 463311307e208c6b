-- Figures, reports and JSON, on plain Lua numbers. What needs gnuplot is
-- skipped where it is missing.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. here .. "/../../lua/?.lua;"
  .. package.path
local tap = require "tap"

local data = require "saddle.plot.data"
local fail = require "saddle.fail"
local fs = require "saddle.fs"
local gnuplot = require "saddle.plot.gnuplot"
local html = require "saddle.plot.html"
local isolines = require "saddle.plot.isolines"
local json = require "saddle.json"
local markup = require "saddle.plot.markup"
local plot = require "saddle.plot"
local report = require "saddle.report"
local smooth = require "saddle.plot.smooth"
local ticks = require "saddle.plot.ticks"

local NAN, INF = 0 / 0, 1 / 0

-- A fresh folder, removed at the end.
local folder = os.tmpname()
os.remove(folder)
fs.mkdirs(folder .. "/a b/c")

local function has(text, plain)
  return text:find(plain, 1, true) ~= nil
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function labels(list)
  local out = {}
  for i, tick in ipairs(list) do out[i] = tick.label end
  return table.concat(out, " ")
end

local function tensor(t)
  return setmetatable({}, { __index = { totable = function() return t end } })
end

-- A bowl x^2 + y^2 over a grid.
local function bowl(nx, ny)
  local x, y = data.linspace(-2, 2, nx), data.linspace(-1, 1, ny)
  local z = {}
  for i = 1, ny do
    z[i] = {}
    for j = 1, nx do z[i][j] = x[j] ^ 2 + y[i] ^ 2 end
  end
  return { x = x, y = y, z = z }
end

-- ---- fail ----------------------------------------------------------------

local _, message = pcall(fail, "%s: bad %d", "op", 3)
tap.ok(message:find("plot_test%.lua:%d+: op: bad 3$"),
  "an error carries the script's own line")
_, message = pcall(plot.lines, { y = { 1 }, titel = "x" })
tap.ok(message:find("plot_test%.lua:%d+: "),
  "also through several functions of the library")

-- ---- json ----------------------------------------------------------------

tap.is(json.encode{ b = 1, a = { 1, 2.5, "x" }, c = true },
  '{"a":[1,2.5,"x"],"b":1,"c":true}', "keys are written in order")
tap.is(json.encode{ 1, 2.0, 0.1, 1e300, -0.0 }, "[1,2.0,0.1,1e+300,-0.0]",
  "integers and floats stay what they are")
local hard = { 1 / 3, math.pi, 5e-324, 2 ^ 53 + 1, 1.7976931348623157e308,
  math.maxinteger, math.mininteger }
tap.is(json.decode(json.encode(hard)), hard, "numbers round-trip exactly")
tap.is(json.encode{ NAN, INF, -INF }, '["NaN","Infinity","-Infinity"]',
  "NaN and infinities are strings")
tap.is(json.encode({ NAN }, { nonfinite = "null" }), "[null]",
  "or null when asked")
tap.is(json.decode('["NaN","-Infinity"]', { nonfinite = true }),
  { NAN, -INF }, "and come back as numbers when asked")
tap.is(json.encode{ {}, json.array{} }, "[{},[]]",
  "an empty table is an object, json.array{} an array")
tap.is(json.encode(json.decode("[[],{}]")), "[[],{}]",
  "decode marks arrays, so they are written as they were")
tap.is(json.encode(tensor{ { 1, 2 }, { 3, 4 } }), "[[1,2],[3,4]]",
  "a tensor is nested arrays")
tap.is(json.decode('"\\u00e9\\ud83d\\ude00\\n"'), "é😀\n",
  "escapes and surrogate pairs are read")
tap.is(json.encode("é\1\255"), '"\\u00c3\\u00a9\\u0001\\u00ff"',
  "bytes that are not UTF-8 stay readable JSON")
tap.is(json.decode("[1, null]")[2], json.null, "null is json.null")
for _, bad in ipairs{ "", "[1,]", "{1:2}", "01", "1.", "[1 2]", '"a',
  "nul", "[1] 2", '{"a":}' } do
  tap.throws(function() json.decode(bad) end, "json: ",
    ("decode rejects %s"):format(bad))
end
local knot = {}
knot.knot = knot
tap.throws(function() json.encode(knot) end, "contain itself",
  "a table that contains itself is an error")
tap.throws(function() json.encode{ print } end, "function cannot",
  "a function is an error")
tap.throws(function() json.decode(("["):rep(1e5)) end, "too many levels",
  "deep nesting is an error, not a crash")

-- ---- fs ------------------------------------------------------------------

local file = folder .. "/a b/new/x.txt"
fs.write_atomic(file, "one\0two")
tap.is(fs.read(file), "one\0two", "write_atomic makes folders and writes")
fs.write_atomic(file, "three")
tap.is(fs.read(file), "three", "and replaces")
local _, listing = fs.run("ls " .. fs.quote(folder .. "/a b/new"))
tap.is(listing, "x.txt\n", "no temporary file stays behind")
tap.throws(function() fs.write_atomic(folder, "x") end, "cannot write",
  "a path that is a folder is an error")
tap.throws(function() fs.read(folder .. "/none") end, "cannot read",
  "a missing file is an error")
if exists("/dev/full") then
  tap.throws(function() fs.write_atomic("/dev/full/x", "y") end, "cannot",
    "a path under a device is an error")
end
tap.is(select(2, fs.run("printf %s " .. fs.quote("it's $HOME `x`"))),
  "it's $HOME `x`", "quote keeps every character from the shell")
local popen = io.popen
io.popen = nil -- luacheck: ignore 122
tap.throws(function() fs.run("true") end, "io.popen is not available",
  "without io.popen the error says so")
io.popen = popen -- luacheck: ignore 122

-- ---- ticks, contour lines, smoothing ------------------------------------

tap.is(labels(ticks.linear(0, 1)), "0 0.2 0.4 0.6 0.8 1", "ticks are round")
tap.is(labels(ticks.linear(1.00001, 1.00002, 2)), "1.00001 1.000015 1.00002",
  "labels have the digits their step needs")
tap.is(labels(ticks.log(0.01, 1e4)), "0.01 0.1 1 10 100 1000 1e4",
  "logarithmic ticks are powers of ten")
tap.is(labels(ticks.log(0.02, 0.9)), "0.02 0.05 0.1 0.2 0.5",
  "or 1, 2 and 5 times them over a short range")

local field = bowl(81, 41)
field.h = field.z
local lines = isolines.trace(field, 0.5)
tap.is(#lines, 1, "a circle is one line")
local worst = 0
for i, x in ipairs(lines[1].x) do
  worst = math.max(worst, math.abs(x ^ 2 + lines[1].y[i] ^ 2 - 0.5))
end
tap.ok(worst < 2e-3, "and lies on the circle")
tap.ok(lines[1].x[1] == lines[1].x[#lines[1].x], "and is closed")
tap.is(#isolines.trace(field, 2), 2, "an open level is two lines")
field.h[21][1] = NAN
tap.is(#isolines.trace(field, 3.9), 3, "a hole breaks the line it meets")

local fine = smooth.field({ x = { 0, 1, 2, 3 }, y = { 0, 1 },
  h = { { 0, 1, 4, 9 }, { 0, 1, 4, 9 } }, hrange = { 0, 9 } }, 2)
tap.is(fine.x, { 0, 0.5, 1, 1.5, 2, 2.5, 3 }, "smoothing refines the grid")
tap.near(fine.h[2], { 0, 0.375, 1, 2.25, 4, 6.375, 9 }, 1e-12,
  "passes through every point, and is exact on a parabola inside")

-- ---- options -------------------------------------------------------------

tap.throws(function() plot.lines{ y = { 1 }, xlable = "x" } end,
  "plot%.lines: unknown option 'xlable' %(did you mean 'xlabel'%?%)",
  "a misspelt option names the nearest")
tap.throws(function() plot.lines{ { y = { 1 }, nam = "x" } } end,
  "did you mean 'name'", "also inside a series")
tap.throws(function() plot.lines{ y = { 1 }, title = 3 } end,
  "title must be a string, got 3", "a wrong type says which was expected")
tap.throws(function() plot.lines{ y = { 1 }, legend = "middle" } end,
  'one of "top right"', "a wrong word lists the words")
tap.throws(function() plot.lines{ y = { 1 }, xrange = { 2, 1 } } end,
  "from < to", "a range must increase")
tap.throws(function() plot.lines{ title = "x" } end, "nothing to draw",
  "no data is an error")
tap.throws(function() plot.lines{ x = { 1, 2 }, y = { 1, 2, 3 } } end,
  "x has 2 numbers, y has 3", "lengths must agree")
tap.throws(function() plot.lines{ y = { 1, "a" } } end,
  "y%[2%] is a string", "a word among the numbers is named")
tap.throws(function() plot.lines{ y = { 1 }, lo = { 0 } } end,
  "both lo and hi", "a band needs both sides")
tap.throws(function() plot.lines{ y = { 1 }, logy = true,
  yrange = { -1, 1 } } end, "above zero", "logarithms need positive ranges")
tap.throws(function() plot.surface{ z = { { 1, 2 }, { 3 } } } end,
  "row 2 has 1 numbers", "a matrix's rows have one length")
tap.throws(function() plot.surface{ x = { 1, 2, 3 }, z = { { 1, 2 },
  { 3, 4 } } } end, "x has 3 numbers", "x fits the columns")
tap.throws(function() plot.contour{ x = { 2, 1 }, z = { { 1, 2 },
  { 3, 4 } } } end, "x must increase", "coordinates increase")
tap.throws(function() plot.heatmap{ z = { { 1 } }, clip = 2 } end,
  "quantile", "clip is a quantile")
tap.throws(function() plot.grid{ 3 } end, "not a figure",
  "a grid holds figures")
tap.throws(function() plot.lines{ y = { 1 } }:save("a.gif") end,
  "%.png, %.svg or %.pdf", "an unknown ending is an error")

-- ---- what figures hold ---------------------------------------------------

local fig = plot.lines{ tensor{ 1, 2, 4 }, { 3, 2, 1 }, x = { 0, 1, 2 } }
tap.is(#fig.series, 2, "bare lists and tensors are curves")
tap.is(fig.series[1].x, { 0, 1, 2 }, "that share the figure's x")
tap.is(plot.lines{ y = { 5, 6 } }.series[1].x, { 1, 2 },
  "x counts from 1 unless given")
tap.is(plot.lines{ y = { 1, NAN, INF, 100 }, logy = true,
  yrange = { 1, 200 } }.yrange, { 1, 200 }, "a range is taken as given")
tap.is(plot.lines{ { y = { 1, 1, 1 }, name = "low" },
  { y = { 9, 1, 1 }, name = "high" } }.legend, "top right",
  "the legend goes to the emptiest corner")
tap.is(plot.histogram{ values = { 0, 0.5, 1, 1, 2 }, bins = { 0, 1, 2 } }
  .series[1].y, { 2, 3 }, "a histogram's last bin includes its end")
tap.near(plot.histogram{ values = { 0, 0.5, 1, 1, 2 }, bins = { 0, 1, 2 },
  density = true }.series[1].y, { 0.4, 0.6 }, 1e-12,
  "as a density its area is one")
tap.is(plot.bars{ values = { 1, 3 } }.yrange[1], 0, "bars stand on zero")

fig = plot.surface{ z = { { 1, 10 }, { 100, 1000 } }, log = true }
tap.is(fig.h, { { 0, 1 }, { 2, 3 } }, "log draws the logarithm")
fig = plot.contour{ z = { { 1, 2, 3 }, { 4, 5, 1000 } }, clip = 0.8 }
tap.is(fig.z[2][3], 5, "clip cuts at the quantile")
tap.ok(has(fig.note, "clipped at 5") and has(fig.note, "1000"),
  "and says so in a note")
fig = plot.contour{ z = { { -1, 2 }, { 0, NAN } }, log = true }
tap.ok(has(fig.note, "3 of 4 values"), "holes are counted in a note")
tap.is(plot.heatmap{ x = { 0.1, 0.01 }, z = { { 1, 2 } } }.x_names,
  { "0.1", "0.01" }, "uneven numbers name a heatmap's cells")
tap.is(plot.heatmap{ x = { 1, 2, 3 }, z = { { 1, 2, 3 } } }.xrange,
  { 0.5, 3.5 }, "even ones keep a numeric axis")
tap.is(#plot.image{ z = tensor{ { { 0, 1 }, { 1, 0 } } } }.z, 2,
  "an image may have a leading channel dim")
tap.is(#plot.image{ z = { { { 0 } }, { { 1 } }, { { 1 } } } }.rgb, 3,
  "or three colours")

-- ---- the terminal --------------------------------------------------------

fig = plot.lines{ { y = { 1, 0.1, 0.01 }, name = "SGD" }, logy = true,
  title = "A title", xlabel = "epoch", ylabel = "loss" }
local text = tostring(fig)
tap.ok(has(text, "A title") and has(text, "epoch") and has(text, "loss"),
  "tostring shows title and axes")
tap.ok(has(text, "SGD") and has(text, "0.1┤"), "names and tick labels")
tap.ok(text:find("[\u{2801}-\u{28FF}]"), "and braille dots")
tap.ok(not has(text, "\27"), "tostring has no colours")
tap.ok(has(fig:text{ color = true }, "\27["), "color = true has")
for line in (fig:text{ width = 50, height = 6 } .. "\n"):gmatch("(.-)\n") do
  if utf8.len(line) > 50 then tap.ok(false, "width is kept: " .. line) end
end
tap.throws(function() fig:text{ colour = true } end, "mean 'color'",
  "fig:text knows its options")
fig = plot.image{ z = { { 0, 1 }, { 1, 0 } } }
tap.is(tostring(fig), "··██\n██··",
  "an image is blocks, its first row on top")
tap.ok(has(tostring(plot.bars{ labels = { "a", "b" }, values = { 1, 2 } }),
  "b│████"), "bars are bars")
fig = plot.lines{ y = { 1, 2 }, title = "A title" }
tap.ok(has(tostring(plot.grid{ fig, fig }), "A title"), "a grid shows all")

-- Nothing finite, one point, constants, extremes: no kind may fail.
local extremes = { { NAN }, { 1 }, { 2, 2, 2 }, { 1e308, -1e308, NAN },
  { 5e-324, 1, INF }, { 0, 0, -1 } }
local shown, wanted = 0, 0
for _, list in ipairs(extremes) do
  for _, log in ipairs{ false, true } do
    local rows = { list, list }
    local makers = {
      function() return plot.lines{ y = list, logy = log } end,
      function() return plot.scatter{ x = list, y = list, logx = log } end,
      function() return plot.bars{ values = list, logy = log } end,
      function() return plot.histogram{ values = list } end,
      function() return plot.density{ grid = list, density = list } end,
      function() return plot.heatmap{ z = rows, log = log } end,
      function() return plot.image{ z = rows } end,
    }
    if #list > 1 then
      makers[8] = function() return plot.contour{ z = rows, log = log } end
      makers[9] = function() return plot.surface{ z = rows, log = log } end
    end
    for _, make in ipairs(makers) do
      wanted = wanted + 1
      local good, made = pcall(make)
      if good then good = pcall(tostring, made) end
      if good then good = pcall(gnuplot.script, made, "png", "x") end
      if not good then print("# " .. tostring(made)) end
      shown = shown + (good and 1 or 0)
    end
  end
end
tap.is(shown, wanted, "every kind takes every list of odd numbers")

-- ---- gnuplot -------------------------------------------------------------

local script, numbers = gnuplot.script(plot.lines{ y = { 1, NAN, NAN, 2 },
  title = "it's `touch x`\n@home" }, "png", "fig")
tap.ok(has(script, [[set title 'it''s `touch x`'."\n".'@home' noenhanced]]),
  "texts are quoted so that nothing expands")
tap.ok(has(numbers, "1 1\n\n4 2"), "a gap is one empty line of the data")

-- Everything but the drawing is tested above.
local function test_gnuplot()
  local base = folder .. "/a b/fig"
  local figures = {
    lines = plot.lines{ { y = { 1, 2, 4 }, lo = { 0, 1, 3 },
      hi = { 2, 3, 5 }, name = "it's_a {test}" }, logy = true },
    scatter = plot.scatter{ y = { 1, NAN, 3 } },
    bars = plot.bars{ values = { 1, 2 }, lo = { 0.5, 1 }, hi = { 2, 3 } },
    histogram = plot.histogram{ values = { 1, 2, 2, 3 } },
    density = plot.density{ grid = { 0, 1, 2 }, density = { 1, 2, 1 },
      nodes = { 1 }, weights = { 1 } },
    heatmap = plot.heatmap{ z = { { 1, 2 }, { 3, NAN } } },
    contour = plot.contour(bowl(9, 7)),
    surface = plot.surface(bowl(9, 7)),
    image = plot.image{ z = { { 0, 1 }, { 1, 0 } } },
    empty = plot.lines{ y = { NAN, NAN } },
  }
  figures.grid = plot.grid{ figures.lines, figures.surface, columns = 1 }
  for kind, figure in pairs(figures) do
    figure:save(base .. ".png")
    tap.is(fs.read(base .. ".png"):sub(1, 8), "\137PNG\r\n\26\n",
      kind .. " saves a PNG")
  end
  figures.lines:save(base .. ".svg"):save(base .. ".pdf")
  tap.ok(has(fs.read(base .. ".svg"), "<svg"), "SVG too")
  tap.is(fs.read(base .. ".pdf"):sub(1, 5), "%PDF-", "and PDF")
  tap.ok(exists(base .. ".gp") and exists(base .. ".dat"),
    "the script and its data stay beside the figure")
  os.remove(base .. ".pdf")
  fs.run("cd " .. fs.quote(folder .. "/a b") .. " && gnuplot fig.gp")
  tap.ok(exists(base .. ".pdf"), "and draw it again by themselves")
  fs.write_atomic(folder .. "/broken", "#!/bin/sh\necho 'line 7: no' >&2\n"
    .. "exit 3\n")
  fs.run("chmod +x " .. fs.quote(folder .. "/broken"))
  local kept = fs.read(base .. ".png")
  tap.throws(function()
    gnuplot.save(figures.lines, base .. ".png", folder .. "/broken")
  end, "exit 3%):\nline 7: no", "gnuplot's errors are shown")
  tap.is(fs.read(base .. ".png"), kept, "and the old figure is kept")
  tap.is(figures.lines:bytes("png"):sub(2, 4), "PNG", "bytes gives the file")
  local page = report{ title = "T" }:figure(figures.lines, "A *caption*")
    :html()
  tap.ok(has(page, "data:image/svg+xml;base64,") and
    has(page, "A <em>caption</em>"), "a report holds its figures")
end

if fs.run("gnuplot --version") then
  test_gnuplot()
else
  tap.skip("figures are saved", "gnuplot is not installed")
end
tap.throws(function()
  gnuplot.save(plot.lines{ y = { 1 } }, folder .. "/x.png", "no-such")
end, "no%-such was not found.*apt%-get install gnuplot",
  "a missing gnuplot says how to install it")

-- ---- html and reports ----------------------------------------------------

local options = bowl(5, 4)
options.title, options.zlabel = "</script><b>", "loss"
options.z[1][1] = NAN
local page = html.page(options)
tap.ok(has(page, "function saddleSurface") and has(page, '"h":[[null,'),
  "a page holds the viewer and the heights, holes as null")
tap.ok(not has(page, "</script><b>"), "a title cannot end the script")
tap.ok(not page:find("src=") and not page:find("href="),
  "and nothing is loaded from anywhere")
tap.ok(not has(html.surface(plot.surface(options)), "function saddleSurface"),
  "a fragment leaves the viewer to the page")

tap.is(markup.blocks("a **b** `c*d*` *e* <f>\n\n- one\n- two"),
  "<p>a <strong>b</strong> <code>c*d*</code> <em>e</em> &lt;f&gt;</p>\n"
  .. "<ul>\n<li>one\n<li>two\n</ul>\n", "markup reads a light markdown")
tap.is(markup.inline("[x](https://a.b/c) [y](javascript:z)"),
  '<a href="https://a.b/c">x</a> [y](javascript:z)',
  "links lead to the web or beside the file only")

local r = report{ title = "A & B", { heading = "One" }, "Some *text*." }
r:table{ columns = { "name", "loss" }, rows = { { "sgd", 0.123456 },
  { name = "adam", loss = 2 } } }:surface(options):surface(options)
r:save(folder .. "/deep/report.html")
page = fs.read(folder .. "/deep/report.html")
tap.ok(has(page, "<title>A &amp; B</title>") and has(page, "<h2>One</h2>")
  and has(page, "Some <em>text</em>."), "a report holds what it was given")
tap.ok(has(page, '<td>sgd</td><td class="number">0.1235</td>')
  and has(page, '<td>adam</td><td class="number">2</td>'),
  "rows are lists or have names, numbers are aligned")
tap.is(select(2, page:gsub("function saddleSurface", "")), 1,
  "two surfaces share one viewer")
tap.throws(function() report{ titel = "x" } end, "mean 'title'",
  "a report knows its options")
tap.throws(function() r:figure{} end, "needs a figure",
  "report:figure takes figures only")

fs.run("rm -rf " .. fs.quote(folder))
tap.done()
