-- What a model's outputs make of its inputs: Jacobians and attacks.

local attack = require "saddle.sensitivity.attack"
local spectrum = require "saddle.sensitivity.spectrum"

return require "saddle.module".strict("sd.sensitivity", {
  spectrum = spectrum.spectrum, depths = spectrum.depths,
  saliency = spectrum.saliency, lipschitz = spectrum.lipschitz,
  fgsm = attack.fgsm, pgd = attack.pgd, robustness = attack.robustness,
})
