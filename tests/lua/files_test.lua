-- sd.save and sd.load: what is written comes back, in every form.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, core, tap = common.sd, common.core, common.tap
local is, ok, throws = tap.is, tap.ok, tap.throws

local dir = os.tmpname()
os.remove(dir)
core.mkdirs(dir .. "/deep/er")
local made = {}
local function path(name)
  made[#made + 1] = dir .. "/" .. name
  return made[#made]
end
local function put(name, text)
  local p = path(name)
  core.write_atomic(p, text)
  return p
end
local function back(name, value, ...)
  local p = path(name)
  sd.save(p, value, ...)
  return sd.load(p)
end

-- ---- .npy ----------------------------------------------------------------

for _, dtype in ipairs { "bool", "u8", "i32", "i64", "f32", "f64" } do
  local x = sd.tensor({ { 1, 0, 1 }, { 0, 2, 3 } }, { dtype = dtype })
  local y = back("x.npy", x)
  is(y.dtype, dtype, ".npy keeps the dtype " .. dtype)
  is(y, x, ".npy keeps the values of " .. dtype)
end
local g = { generator = sd.generator(1) }
local x = sd.randn(4, 3, g)
is(back("x.npy", x:T()), x:T(), "a transposed view is saved as it looks")
is(back("x.npy", x:flip(1)), x:flip(1), "a flipped view is saved likewise")
is(back("x.npy", x + 1), x + 1, "saving computes what is pending")
is(back("x.npy", sd.tensor(3)).shape, {}, "a tensor without dims")
is(back("x.npy", sd.zeros(0, 3)).shape, { 0, 3 }, "an empty tensor")
is(sd.load(put("v2.NPY", (string.pack("c6BB<I4", "\x93NUMPY", 2, 0, 54)
     .. ("{'descr':'>f8','fortran_order':True,'shape':(2,2)}"):format()
     .. "   \n" .. string.pack(">dddd", 1, 2, 3, 4)))),
   { { 1, 3 }, { 2, 4 } }, "big-endian Fortran order, header 2.0")
throws(function() sd.save(path "x.npy", { x }) end,
       "x%.npy' holds one tensor, not a table", ".npy refuses a tree")
throws(function() sd.load(put("bad.npy", "junk")) end, "bad%.npy",
       "a file that is no .npy is named")

-- ---- .npz ----------------------------------------------------------------

local tree = {
  { weight = sd.randn(3, 2, g), bias = sd.zeros(3) },
  { weight = sd.randn(1, 3, g) },
  head = { scale = sd.tensor { 2 } },
}
local same = back("net.npz", tree)
is(same[1].weight, tree[1].weight, "integer keys come back as integers")
is(same.head.scale, tree.head.scale, "names come back as names")
local _, paths = core.leaves(tree)
is(select(2, core.leaves(same)), paths, "a tree has the same leaves again")
ok(core.read_npz(dir .. "/net.npz")["1.weight"], "members are path names")
local run = back("s.npz", { t = 3, lr = .5, on = true, m = { x } })
is({ run.t:item(), run.lr:item(), run.on:item() }, { 3, .5, true },
   "numbers and booleans are saved too")
is({ run.t.dtype, run.lr.dtype, run.on.dtype, run.t.ndim },
   { "i64", "f64", "bool", 0 }, "with their kind")
is(next(back("none.npz", {})), nil, "an empty tree")
throws(function() sd.save(path "t.npz", x) end, "%.npy holds one",
       ".npz points to .npy for one tensor")
throws(function() sd.save(path "t.npz", { ["a.b"] = x }) end, "a%.b",
       "a key with a dot is refused")
throws(function() sd.save(path "t.npz", { ["1"] = x }) end, "'1'",
       "a string key that would become an integer is refused")
local words = back("w.npz", { rule = "adam", none = "", bytes = "\0\255.",
                              { {}, { empty = {} }, "last" } })
is({ words.rule, words.none, words.bytes, words[1][3] },
   { "adam", "", "\0\255.", "last" }, "strings come back")
is({ type(words[1][1]), next(words[1][1]), type(words[1][2].empty) },
   { "table", nil, "table" }, "and so do empty tables")
local letters = sd.tensor({ 97 }, { dtype = "u8" })
core.write_npz(path "u.npz", { "s:text", "f:text", "s:table", ":text" },
               { letters, sd.zeros(1), letters, letters })
local odd_names = sd.load(dir .. "/u.npz")
is({ odd_names.s, odd_names["f:text"].dtype, odd_names["s:table"].dtype,
     odd_names[":text"].dtype }, { "a", "f32", "u8", "u8" },
   "arrays that are no strings stay arrays")
throws(function() sd.save(path "t.npz", { ["a:text"] = x }) end, "a:text",
       "a key that would become a string is refused")
for _, name in ipairs { "adam", "sgd" } do
  local start = { sd.ones(2), w = sd.zeros(3) }
  local function make() return sd.optim[name] { lr = .1 } end
  local function f(p) return (p[1] ^ 2):sum() + (p.w - 1):abs():sum() end
  local opt, other = make(), make()
  local p = opt:step(f, start)
  other:load(back("st.npz", opt:state()))
  is(other:step(f, p)[1], opt:step(f, p)[1], name .. ": its state is saved")
  is(other.t, 2, name .. ": and goes on")
end
throws(function() sd.save(path "t.npz", { a = { s = print } }) end,
       "a%.s, a function", "what cannot be saved is named by its path")
local cycle = {}
cycle.next = cycle
throws(function() sd.save(path "t.npz", cycle) end, "cycle", "a cycle")

-- ---- .json ---------------------------------------------------------------

local value = back("v.json", { loss = { 1, .5 }, name = "a",
                               w = sd.tensor { { 1, 2 }, { 3, 4 } } })
is(value.loss, { 1, .5 }, ".json keeps lists of numbers")
is(value.name, "a", "and strings")
is(value.w, { { 1, 2 }, { 3, 4 } }, "and tensors as lists")
local odd = back("v.json", { 0 / 0, 1 / 0 })
ok(odd[1] ~= odd[1] and odd[2] == 1 / 0, "NaN and infinity come back")

-- ---- .csv ----------------------------------------------------------------

local m = sd.randn(20, 3, g)
is(back("m.csv", m), m, ".csv keeps f32 exactly")
local wide = sd.randn(5, 2, { dtype = "f64", generator = g.generator })
sd.save(path "w.csv", wide)
is(sd.load(path "w.csv", { dtype = "f64" }), wide, "and f64")
is(back("v.csv", sd.tensor { 1, 2 }), { { 1 }, { 2 } },
   "a vector is a column")
local special = back("n.csv", sd.tensor { { 0 / 0, 1 / 0, -1 / 0 } })
is(special, { { 0 / 0, 1 / 0, -1 / 0 } }, "NaN and infinity")
sd.save(path "h.csv", m, { header = { "a", "b,c", 'd"e' } })
local again, header = sd.load(path "h.csv")
is(again, m, "a header is skipped")
is(header, { "a", "b,c", 'd"e' }, "and returned, quotes undone")
local text = "\239\187\191 x , y\r\n1, 2\r\n\r\n 3.5,-4e1\r\n"
is(sd.load(put("crlf.csv", text)), { { 1, 2 }, { 3.5, -40 } },
   "CR LF, spaces, empty lines and a byte order mark")
is(sd.load(put("gap.csv", "1,,3\n4,5,\n")),
   { { 1, 0 / 0, 3 }, { 4, 5, 0 / 0 } }, "an empty field is missing: NaN")
is(sd.load(put("q.csv", '"1","2"\n3,"4"')), { { 1, 2 }, { 3, 4 } },
   "quoted numbers, no line end at the end")
is(select(2, sd.load(put("q2.csv", '"a\nb",c\n1,2\n'))), { "a\nb", "c" },
   "a quoted line end")
is(sd.load(put("years.csv", "2020,2021\n1,2\n"), { header = true }),
   { { 1, 2 } }, "header = true")
throws(function() sd.load(put("r.csv", "1,2\n3\n")) end,
       "r%.csv', line 2: 1 fields, the first line has 2", "a ragged file")
throws(function() sd.load(put("t.csv", "a,b\n1,2\n3,four\n")) end,
       "t%.csv', line 3, field 2: 'four' is no number", "a text field")
throws(function() sd.load(put("o.csv", '"a\n1\n')) end, "not closed",
       "an open quote")
throws(function() sd.load(put("e.csv", "")) end, "no rows", "an empty file")
throws(function() sd.save(path "c.csv", sd.zeros(2, 2, 2)) end, "{2, 2, 2}",
       "three dims do not fit")
throws(function() sd.save(path "c.csv", m, { header = { "a" } }) end,
       "3 names", "a header of the wrong width")

-- ---- endings and folders -------------------------------------------------

throws(function() sd.save(dir .. "/x.txt", x) end,
       "%.csv, %.json, %.jsonl, %.npy, %.npz", "an unknown ending names the known")
throws(function() sd.load(dir .. "/x") end, "must end in one of",
       "no ending")
throws(function() sd.load(3) end, "not a string", "a path that is none")
throws(function() sd.load(dir .. "/absent.npy") end, "absent%.npy",
       "an absent file is named")
throws(function() sd.save(dir .. "/no/x.npy", x) end, "no/x%.npy",
       "an absent folder is named")
throws(function() sd.save(path "x.csv", x, { headers = {} }) end,
       "did you mean 'header'", "a misspelt option")
sd.save(path "keep.npz", { x = x })
ok(not pcall(sd.save, path "keep.npz", { x = print }), "a save may fail")
is(sd.load(path "keep.npz").x, x, "a failed save leaves the old file")
sd.save(path "deep/er/x.npy", x)
is(sd.load(path "deep/er/x.npy"), x, "in a folder made by mkdirs")

for _, p in ipairs(made) do os.remove(p) end
for _, d in ipairs { "/deep/er", "/deep", "" } do
  ok(os.remove(dir .. d), "nothing is left in the folder " .. d)
end
tap.done()
