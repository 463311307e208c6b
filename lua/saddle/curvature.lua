-- Curvature without matrices: operators known by their products, and what
-- Lanczos and random probes find out about them.

local operator = require "saddle.curvature.operator"
require "saddle.curvature.spectrum"
require "saddle.curvature.estimate"
local models = require "saddle.curvature.models"

local curvature = {
  operator = operator.make,
  identity = operator.identity,
  chunks = require "saddle.curvature.chunks".make,
  hessian = models.hessian,
  ggn = models.ggn,
  fisher = models.fisher,
  empirical_fisher = models.empirical_fisher,
  kfac = require "saddle.curvature.kfac",
  jacobian = require "saddle.curvature.jacobian".jacobian,
  ntk = require "saddle.curvature.jacobian".ntk,
  overlap = require "saddle.curvature.subspace".overlap,
  classes = require "saddle.curvature.classes".classes,
  class_ownership = require "saddle.curvature.classes".ownership,
  taylor = require "saddle.curvature.taylor",
  noise = require "saddle.curvature.noise",
  kinks = require "saddle.curvature.kinks",
  sharpness = require "saddle.curvature.sharpness",
}

return require "saddle.module".strict("sd.curvature", curvature)
