-- Data sets: generated ones, the usual files, and parts of sets.

local here = debug.getinfo(1, "S").source:match "^@(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. package.path
local common = require "common"
local sd, core, tap = common.sd, common.core, common.tap
local is, ok, near, throws = tap.is, tap.ok, tap.near, tap.throws
local data = sd.data

local function all(mask) return mask:all():item() end
local function equal(a, b)
  return common.same_shape(a, b) and all(a:eq(b))
end
local function counts(y, classes)
  local n = {}
  for c = 1, classes do n[c] = y:eq(c):to "i64":sum():item() end
  return n
end

-- ---- digits --------------------------------------------------------------

local d = data.digits { n = 205, seed = 4 }
is(d.x.shape, { 205, 1, 28, 28 }, "digits are {n, 1, 28, 28}")
is({ d.x.dtype, d.y.dtype, d.classes }, { "f32", "i64", 10 },
   "f32 pictures, i64 labels, ten classes")
ok(all(d.x:ge(0)) and all(d.x:le(1)), "pixels lie in [0, 1]")
is(counts(d.y, 10), { 21, 21, 21, 21, 21, 20, 20, 20, 20, 20 },
   "every digit is equally frequent")
ok(equal(d.x, data.digits { n = 205, seed = 4 }.x), "a seed repeats them")
ok(not equal(d.x, data.digits { n = 205, seed = 5 }.x),
   "another seed draws others")
ok(equal(data.digits { n = 20 }.x, data.digits { n = 20, seed = 1 }.x),
   "the seed is 1 unless given")
local clean = data.digits { n = 100, noise = 0 }.x
local ink = clean:sum { 2, 3, 4 }
ok(ink:min():item() > 20 and ink:max():item() < 250,
   "each picture holds a stroke or more, and mostly background")
local edge = clean:narrow(3, 1, 1):mean():item()
ok(edge < .01, "digits lie inside the picture")
is(#data.digits { n = 3 }.y, 3, "fewer pictures than classes")
throws(function() data.digits { m = 3 } end, "unknown option 'm'",
       "an unknown option")
throws(function() data.digits { n = 0 } end,
       "data_test.lua:%d+: digits: n must be a whole number of at least 1",
       "n = 0")
throws(function() data.digits { noise = -1 } end, "noise must be",
       "negative noise")

-- A linear classifier is good at digits, and not perfect.
local function linear_accuracy(train, test)
  local p = { w = sd.zeros(784, 10), b = sd.zeros(10) }
  local function scores(q, x)
    return x:reshape(#x, 784):matmul(q.w) + q.b
  end
  local grad = sd.grad(function(q, x, y)
    return sd.cross_entropy(scores(q, x), y)
  end)
  for epoch = 1, 12 do
    for _, b in data.batches(train, { size = 64, seed = epoch }) do
      p = sd.eval(sd.tree.axpy(-.1, grad(p, b.x, b.y), p))
    end
  end
  return scores(p, test.x):argmax(2):eq(test.y):to "f32":mean():item()
end
local many = data.digits { n = 6000 }
local accuracy = linear_accuracy(data.split(many, { 5000, 1000 }))
ok(accuracy > .82 and accuracy < .95,
   ("a linear classifier gets %.1f %% of digits"):format(100 * accuracy))

-- ---- points --------------------------------------------------------------

local function norm(x) return x:norm(2, 2) end
local s = data.spirals { n = 90, arms = 3, noise = 0, seed = 2 }
is(s.x.shape, { 90, 2 }, "spirals are points in the plane")
is(counts(s.y, 3), { 30, 30, 30 }, "of as many classes as arms")
local r = norm(s.x)
ok(r:max():item() <= 1.00001, "out to radius 1")
local angle = sd.atan2(s.x:narrow(2, 2, 1), s.x:narrow(2, 1, 1)):squeeze(2)
local turn = (angle / (2 * math.pi) - r - (s.y - 1) / 3)
near(sd.abs(turn - sd.round(turn)):max(), 0, 1e-5,
     "an arm's angle grows with its radius")
local mo = data.moons { n = 50, noise = 0 }
local first = mo.x[mo.y:eq(1)]
near(norm(first), sd.ones(#first), 1e-5, "a moon is half a circle")
ok(all(first:narrow(2, 2, 1):ge(-1e-6)), "the upper half")
local second = sd.tensor { 1, .5 } - mo.x[mo.y:eq(2)]
near(norm(second), sd.ones(#second), 1e-5, "the other is one turned around")
local ci = data.circles { n = 40, noise = 0, factor = .25 }
near(norm(ci.x), sd.where(ci.y:eq(1), 1, .25), 1e-5, "circles")
local bl = data.blobs { n = 3000, centers = { { 0, 0, 9 }, { 5, 0, 0 } },
                        std = .5 }
near(bl.x[bl.y:eq(2)]:mean(1), { 5, 0, 0 }, .05, "blobs lie at centers")
near(bl.x[bl.y:eq(1)]:std(1), { .5, .5, .5 }, .05, "with their spread")
is(data.blobs { n = 10, centers = 4, dim = 5 }.truth.centers.shape, { 4, 5 },
   "blobs tell their centers")
local xo = data.xor { n = 100 }
is(xo.x:prod(2):lt(0), xo.y:eq(2), "xor: class 2 where the signs differ")
local re = data.regression { n = 20, dim = 3, noise = 0 }
near(re.x:matmul(re.truth.weight) + re.truth.bias, re.y, 1e-6,
     "regression tells its weights")
for _, name in ipairs { "spirals", "moons", "circles", "blobs", "xor",
                        "regression", "sequences" } do
  ok(equal(data[name] { n = 9, seed = 3 }.x, data[name] { n = 9, seed = 3 }.x)
     and not equal(data[name] { n = 9, seed = 3 }.x,
                   data[name] { n = 9, seed = 4 }.x),
     name .. " are those of a seed")
  throws(function() data[name] { nn = 1 } end, name .. ": unknown option",
         name .. " know their options")
end

-- ---- sequences -----------------------------------------------------------

local waves = data.sequences { n = 4, length = 10 }
is(waves.x.shape, { 4, 10, 1 }, "sine waves")
is(waves.x:narrow(2, 2, 9), waves.y:narrow(2, 1, 9),
   "whose targets are one step ahead")
local copy = data.sequences { kind = "copy", n = 4, length = 3, symbols = 5 }
is(copy.x.shape, { 4, 6 }, "the copy task")
is(copy.x:narrow(2, 1, 3), copy.y:narrow(2, 4, 3), "repeats the symbols")
is(copy.x:narrow(2, 4, 3), sd.full({ 4, 3 }, 6), "after blanks")
throws(function() data.sequences { kind = "sin" } end, "'sine' or 'copy'",
       "an unknown kind")

-- ---- split ---------------------------------------------------------------

local set = { x = sd.arange(1, 10):to "f32":unsqueeze(2),
              y = sd.arange(1, 10), classes = 10 }
local a, b = data.split(set, { .75, .25 }, { seed = 3 })
is({ #a.x, #b.x }, { 7, 3 }, "shares are rounded down, the last gets more")
is(sd.cat({ a.y, b.y }):sort(), set.y, "parts hold every example once")
is(a.x:squeeze(2), a.y:to "f32", "rows stay together")
is(a.classes, 10, "what belongs to the whole is kept")
is(data.split(set, { .75, .25 }, { seed = 3 }).y, a.y, "a seed repeats it")
local c, e = data.split(set, { 4, 0 }, { shuffle = false })
is(c.y, { 1, 2, 3, 4 }, "sizes, in order")
is(e.x.shape, { 0, 1 }, "an empty part")
is(#data.split(set, { .5 }).x, 5, "a share alone")
is(#data.split(set, { 1.0 }).x, 10, "the whole")
throws(function() data.split(set, { .8, .3 }) end, "neither shares",
       "shares above 1")
throws(function() data.split(set, { 8, 3 }) end, "need 11 .* are 10",
       "more than there is")
throws(function() data.split({ x = sd.zeros(3), y = sd.zeros(2) }, { 1 }) end,
       "x has 3 rows", "x and y of different length")
throws(function() data.split({}, { 1 }) end, "x = tensor", "no x")

-- ---- normalize -----------------------------------------------------------

local train, test = data.split(data.blobs { n = 500 }, { 400, 100 })
local scaled, stats = data.normalize(train)
near(scaled.x:mean(1), { 0, 0 }, 1e-5, "features have mean 0")
near(scaled.x:std(1, { correction = 0 }), { 1, 1 }, 1e-5, "and deviation 1")
near(data.normalize(test, stats).x, (test.x - stats.mean) / stats.std, 1e-6,
     "statistics of another set")
local images = { x = sd.rand(6, 3, 4, 4) * sd.tensor { 1, 2, 3 }
                          :reshape(3, 1, 1) }
near(data.normalize(images).x:std({ 1, 3, 4 }, { correction = 0 }),
     { 1, 1, 1 }, 1e-5, "images are scaled by channel")
is(data.normalize { x = sd.ones(3, 1) }.x, sd.zeros(3, 1),
   "a constant feature becomes 0")

-- ---- batches -------------------------------------------------------------

local function run(o)
  local sizes, ys = {}, {}
  for i, batch in data.batches(set, o) do
    sizes[i] = #batch.x
    for _, v in ipairs(batch.y:totable()) do ys[#ys + 1] = v end
    ok(equal(batch.x:squeeze(2), batch.y:to "f32"), "rows of a batch match")
  end
  return sizes, ys
end
local sizes, order = run { size = 4, seed = 1 }
is(sizes, { 4, 4, 2 }, "the last batch is smaller")
is(sd.tensor(order):sort(), set.y, "batches hold every example once")
ok(not equal(sd.tensor(order), set.y:to "f32"), "shuffled")
is(select(2, run { size = 4, seed = 1 }), order, "a seed repeats the order")
is(run { size = 4, drop_last = true }, { 4, 4 }, "drop_last")
is(select(2, run { size = 3, shuffle = false }), set.y, "in order")
is(run {}, { 10 }, "128 rows unless told")
sd.seed(7)
local _, one = run { size = 10 }
local _, two = run { size = 10 }
ok(not equal(sd.tensor(one), sd.tensor(two)), "each pass shuffles anew")
throws(function() data.batches(set, { size = 0 }) end, "size must be",
       "size = 0")

-- ---- csv -----------------------------------------------------------------

local dir = os.tmpname()
os.remove(dir)
core.mkdirs(dir)
local function put(name, bytes)
  core.write_atomic(dir .. "/" .. name, bytes)
  return dir .. "/" .. name
end
local iris = put("iris.csv", "len,wid,species\n1,2,setosa\n3,4,\"virg\"\n" ..
                 "5,6,setosa\n")
local flowers = data.csv(iris, { labels = "species" })
is(flowers.x, { { 1, 2 }, { 3, 4 }, { 5, 6 } }, "csv: the other columns are x")
is(flowers.y, { 1, 2, 1 }, "labels count from 1")
is(flowers.names, { "setosa", "virg" }, "and have names")
is({ flowers.classes, flowers.columns[2] }, { 2, "wid" }, "classes, columns")
local numbers = put("n.csv", "1,10\n2,9\n")
is(data.csv(numbers, { labels = -1 }).names, { "9", "10" },
   "numeric labels are ordered by value")
is(data.csv(numbers, { target = 1 }).y, { { 1 }, { 2 } }, "a target column")
is(data.csv(numbers).x, { { 1, 10 }, { 2, 9 } }, "x alone")
throws(function() data.csv(iris, { labels = "specie" }) end,
       "did you mean 'species'", "a misspelt column")
throws(function() data.csv(iris, { target = "species" }) end,
       "line 2, field 3: 'setosa'", "a target of texts")

-- ---- mnist and idx -------------------------------------------------------

local function idx(dims, bytes)
  local head = string.char(0, 0, 8, #dims)
  for _, n in ipairs(dims) do head = head .. string.pack(">I4", n) end
  return head .. bytes
end
local pixels = ("\0"):rep(28 * 28) .. ("\255"):rep(28 * 28)
local images_name, labels_name = "t10k-images-idx3-ubyte",
                                 "t10k-labels-idx1-ubyte"
throws(function() data.mnist(dir) end, "has no train%-images", "no files")
throws(function() data.mnist() end, "the folder is a nil", "no folder")
put(images_name, idx({ 2, 28, 28 }, pixels))
throws(function() data.mnist(dir) end, "t10k%-labels", "no labels")
put(labels_name, idx({ 3 }, "\1\2\3"))
throws(function() data.mnist(dir) end, "2 images in '.*' but 3 labels in '",
       "labels for other images")
local labels_path = put(labels_name, idx({ 2 }, "\0\9"))
local small = data.mnist(dir)
is(small.train, nil, "only what is there")
is(small.test.x.shape, { 2, 1, 28, 28 }, "mnist images")
is(small.test.x:mean { 2, 3, 4 }, { 0, 1 }, "scaled to [0, 1]")
is(small.test.y, { 1, 10 }, "labels from 1")
is(data.idx(labels_path), { 0, 9 }, "idx reads one file as it is")
put(images_name, idx({ 2, 28, 28 }, pixels:sub(2)))
throws(function() data.mnist(dir) end, "images%-idx3%-ubyte': truncated",
       "a truncated file")

-- ---- cifar10 -------------------------------------------------------------

throws(function() data.cifar10(dir) end, "has no data_batch_1%.bin",
       "no files")
local record = "\3" .. ("\255"):rep(1024) .. ("\0"):rep(2048)
put("test_batch.bin", record .. record)
put("data_batch_2.bin", record)
put("data_batch_1.bin", "\7" .. record:sub(2))
local cifar = data.cifar10(dir)
is(cifar.test.x:mean { 1, 3, 4 }, { 1, 0, 0 }, "cifar10: channels")
is(cifar.train.y, { 8, 4 }, "batches one after the other")
is(cifar.train.names[4], "cat", "names of classes")
put("test_batch.bin", record .. record:sub(2))
throws(function() data.cifar10(dir) end, "test_batch%.bin' is truncated",
       "a truncated file")
put("test_batch.bin", "\10" .. record:sub(2))
throws(function() data.cifar10(dir) end, "test_batch%.bin' has the label 10",
       "a label that cannot be")

for _, name in ipairs { "iris.csv", "n.csv", images_name, labels_name,
                        "test_batch.bin", "data_batch_1.bin",
                        "data_batch_2.bin" } do
  os.remove(dir .. "/" .. name)
end
os.remove(dir)

-- ---- the real files ------------------------------------------------------

local shared = here .. "/../../../shared/data"
local mnist_dir, cifar_dir = shared .. "/mnist", shared .. "/cifar10"
if core.is_file(mnist_dir .. "/t10k-labels-idx1-ubyte.gz") then
  local real = data.mnist(mnist_dir).test
  is(real.x.shape, { 10000, 1, 28, 28 }, "MNIST's test images")
  is(counts(real.y, 10),
     { 980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009 },
     "its counts of labels (LeCun's page)")
  near(real.x:mean(), .1325, 1e-3, "its mean brightness")
else
  tap.skip("MNIST's test images", "no file in ../shared/data/mnist")
end
if core.is_file(cifar_dir .. "/test_batch.bin") then
  local real = data.cifar10(cifar_dir).test
  is(#real.x, real.y:numel(), "CIFAR-10's test images and labels")
  ok(all(real.y:ge(1)) and all(real.y:le(10)), "labels from 1 to 10")
  near(real.x:mean { 1, 3, 4 }, { .494, .485, .450 }, .02,
       "the channels' means")
else
  tap.skip("CIFAR-10's test images", "no file in ../shared/data/cifar10")
end

tap.done()
