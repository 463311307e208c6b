-- MNIST and the sets distributed in its form (Fashion-MNIST, KMNIST).

local core = require "saddle.core"
local fail = require "saddle.fail"
local options = require "saddle.data.options"
local sd = require "saddle.init"

-- The first of a file's usual spellings that is there.
local function find(dir, part, kind)
  for _, dot in ipairs { "-", "." } do
    for _, gz in ipairs { "", ".gz" } do
      local path = ("%s/%s%s%subyte%s"):format(dir, part,
        kind == 3 and "-images" or "-labels",
        ("%sidx%d-"):format(dot, kind), gz)
      if core.is_file(path) then return path end
    end
  end
end

-- One part of the set, nil when neither of its files is there.
local function read(dir, part)
  local images, labels = find(dir, part, 3), find(dir, part, 1)
  if not images and not labels then return nil end
  if not images or not labels then
    fail("mnist: '%s' is there, but %s-%s[.gz] is not beside it",
         images or labels, part,
         images and "labels-idx1-ubyte" or "images-idx3-ubyte")
  end
  local x, y = core.read_idx(images), core.read_idx(labels)
  if x.ndim ~= 3 or y.ndim ~= 1 then
    fail("mnist: '%s' has %d dims instead of %d", x.ndim ~= 3 and images or
         labels, x.ndim ~= 3 and x.ndim or y.ndim, x.ndim ~= 3 and 3 or 1)
  end
  if #x ~= #y then
    fail("mnist: %d images in '%s' but %d labels in '%s'", #x, images, #y,
         labels)
  end
  return sd.eval { x = (x:to "f32" / 255):unsqueeze(2),
                   y = y:to "i64" + 1, classes = 10 }
end

--- Reads {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz] from a folder.
--- The result has the fields train and test as far as there are files, each
--- { x = {n, 1, 28, 28} in [0, 1], y = labels, classes = 10 }; digit d has
--- the label d + 1.
---@param dir string
---@return { train: table?, test: table? }
return function(dir)
  options.folder(dir, "mnist")
  local out = { train = read(dir, "train"), test = read(dir, "t10k") }
  if not next(out) then
    fail("mnist: '%s' has no train-images-idx3-ubyte[.gz] and no "
      .. "t10k-images-idx3-ubyte[.gz]", dir)
  end
  return out
end
