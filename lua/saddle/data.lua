-- Data sets: tables { x =, y =, classes = } whose tensors have one row (of
-- the first dim) for each example. Class labels count from 1.

return require "saddle.module".strict("sd.data", {
  digits = require "saddle.data.digits",
  spirals = require "saddle.data.points".spirals,
  moons = require "saddle.data.points".moons,
  circles = require "saddle.data.points".circles,
  blobs = require "saddle.data.points".blobs,
  xor = require "saddle.data.points".xor,
  regression = require "saddle.data.regression",
  sequences = require "saddle.data.sequences",

  mnist = require "saddle.data.mnist",
  cifar10 = require "saddle.data.cifar10",
  csv = require "saddle.data.csv".read,
  idx = require "saddle.core".read_idx,

  split = require "saddle.data.sets".split,
  normalize = require "saddle.data.sets".normalize,
  batches = require "saddle.data.sets".batches,
})
