-- Critical points: what they are, where they are, and the way down from them.

return require "saddle.module".strict("sd.critical", {
  classify = require("saddle.critical.classify").classify,
  find = require "saddle.critical.find",
  escape = require "saddle.critical.escape",
  sweep = require "saddle.critical.sweep",
})
