-- Training, watched: what happens to gradients, weights and activations, and
-- what to do when too much or too little of it does.

return require "saddle.module".strict("sd.dynamics", {
  clip = require "saddle.dynamics.clip",
  lr_range = require "saddle.dynamics.lr_range",
  monitor = require "saddle.dynamics.monitor",
})
