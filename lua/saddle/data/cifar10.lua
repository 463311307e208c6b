-- CIFAR-10, the binary version: records of a label byte (from 0) and
-- 3 x 32 x 32 pixels, red, green, blue, row by row.

local core = require "saddle.core"
local fail = require "saddle.fail"
local options = require "saddle.data.options"
local sd = require "saddle.init"

local PIXELS = 3 * 32 * 32
local NAMES = { "airplane", "automobile", "bird", "cat", "deer", "dog",
  "frog", "horse", "ship", "truck" }

local function find(dir, name)
  for _, gz in ipairs { "", ".gz" } do
    local path = dir .. "/" .. name .. gz
    if core.is_file(path) then return path end
  end
end

-- Images in [0, 1] and labels of one file.
local function read(path)
  local bytes = core.read_bytes(path)
  local n = #bytes // (PIXELS + 1)
  if n == 0 or #bytes % (PIXELS + 1) ~= 0 then
    fail("cifar10: '%s' is truncated: %d bytes are no whole number of "
      .. "records of %d", path, #bytes, PIXELS + 1)
  end
  local records = bytes:reshape(n, PIXELS + 1)
  local y = records:narrow(2, 1, 1):to "i64":reshape(n) + 1
  if y:max():item() > #NAMES then
    fail("cifar10: '%s' has the label %d; they end at 9", path,
         y:max():item() - 1)
  end
  local x = records:narrow(2, 2, PIXELS):to "f32" / 255
  sd.eval(x, y)
  return x:reshape(n, 3, 32, 32), y
end

local function read_all(paths)
  if #paths == 0 then return nil end
  local xs, ys = {}, {}
  for i, path in ipairs(paths) do xs[i], ys[i] = read(path) end
  local one = #paths == 1
  return sd.eval { x = one and xs[1] or sd.cat(xs, 1),
                   y = one and ys[1] or sd.cat(ys, 1),
                   classes = #NAMES, names = NAMES }
end

--- Reads data_batch_1.bin to data_batch_5.bin and test_batch.bin[.gz] from
--- a folder. The result has the fields train and test as far as there are
--- files, each { x = {n, 3, 32, 32} in [0, 1], y = labels, classes = 10,
--- names = }.
---@param dir string
---@return { train: table?, test: table? }
return function(dir)
  options.folder(dir, "cifar10")
  local batches = {}
  for i = 1, 5 do
    batches[#batches + 1] = find(dir, ("data_batch_%d.bin"):format(i))
  end
  local out = { train = read_all(batches),
                test = read_all { find(dir, "test_batch.bin") } }
  if not next(out) then
    fail("cifar10: '%s' has no data_batch_1.bin and no test_batch.bin", dir)
  end
  return out
end
