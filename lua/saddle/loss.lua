-- Losses. Class labels count from 1; options are PyTorch's.

local core = require "saddle.core"
local fail = require "saddle.fail"

return function(sd, define, options, ops)
  local function reduce(l, o, what)
    local how = o.reduction or "mean"
    if how == "mean" then return sd.mean(l) end
    if how == "sum" then return sd.sum(l) end
    if how == "none" then return l end
    if how == "batchmean" and what == "kl_div" then
      return sd.sum(l) / l:size(1)
    end
    fail("%s: reduction must be 'mean', 'sum' or 'none', not '%s'", what,
         tostring(how))
  end

  local function same_shape(x, y, what)
    if sd.is_tensor(y) and not core.same_shape(x, y) then
      fail("%s: shapes differ: {%s} and {%s}", what,
           table.concat(x.shape, ", "), table.concat(y.shape, ", "))
    end
  end

  local function pointwise(name, doc, extra, f)
    local known = { "reduction:S", table.unpack(extra) }
    define(name, "x y:T", doc, "u(.1, .9, {2, 3}), u(.1, .9, {2, 3})",
      function(x, y, o)
        o = options(o, known, name)
        same_shape(x, y, name)
        return reduce(f(x, y, o), o, name)
      end)
  end

  pointwise("mse", "Mean of (x - y)^2.", {},
    function(x, y) return sd.square(x - y) end)
  pointwise("l1", "Mean of |x - y|.", {},
    function(x, y) return sd.abs(x - y) end)
  pointwise("huber", "Quadratic near 0, linear beyond delta (1).",
    { "delta:F" }, function(x, y, o)
      local delta, a = o.delta or 1, sd.abs(x - y)
      return sd.where(a:le(delta), 0.5 * a * a, delta * (a - 0.5 * delta))
    end)
  pointwise("bce", "Cross-entropy of probabilities x and targets y in [0, 1].",
    { "weight:T" }, function(x, y, o)
      -- PyTorch holds the logarithms above -100.
      local l = -(y * sd.clamp(sd.log(x), -100) +
                  (1 - y) * sd.clamp(sd.log(1 - x), -100))
      return o.weight and l * o.weight or l
    end)
  pointwise("bce_logits", "bce of sigmoid(x), exact for large |x|.",
    { "weight:T", "pos_weight:T" }, function(x, y, o)
      local w = o.pos_weight and 1 + (o.pos_weight - 1) * y or 1
      local l = (1 - y) * x + w * sd.softplus(-x)
      return o.weight and l * o.weight or l
    end)
  pointwise("kl_div", "y (log y - x) for log-probabilities x.",
    { "log_target:B" }, function(x, y, o)
      if o.log_target then return sd.exp(y) * (y - x) end
      local safe = sd.where(sd.gt(y, 0), y, 1)
      return sd.where(sd.gt(y, 0), y * (sd.log(safe) - x), 0)
    end)
  define("hinge", "x y:T", "Mean of max(0, margin - y x), y in {-1, 1}.",
    "r{4}, r{4}:sign()", function(x, y, o)
      o = options(o, { "reduction:S", "margin:F" }, "hinge")
      return reduce(sd.relu((o.margin or 1) - y * x), o, "hinge")
    end)

  -- Labels along the class dim (2, or 1 for a single example), and weights:
  -- 0 where the label is ignore_index.
  local function chosen(logp, y, o, what)
    local dim = logp.ndim == 1 and 1 or 2
    local classes = logp:size(dim)
    if y.ndim ~= logp.ndim - 1 then
      fail("%s: scores of shape {%s} need labels of %d dims, not {%s}", what,
           table.concat(logp.shape, ", "), logp.ndim - 1,
           table.concat(y.shape, ", "))
    end
    y = y:to "i64"
    local keep
    if o.ignore_index then
      keep = y:ne(o.ignore_index)
      y = sd.where(keep, y, 1)
    end
    local function pick(x, d, labels)
      return ops.pick_(x, d, labels, what == "nll" and 2 or 1)
    end
    local picked = pick(logp, dim, y:unsqueeze(dim)):squeeze(dim)
    local w
    if o.weight then
      w = pick(o.weight, 1, y:reshape(-1)):reshape(y.shape)
    end
    if keep then
      local k = keep:to(logp.dtype)
      w = w and w * k or k
    end
    return picked, w, dim, classes
  end

  local function weighted(l, w, o, what)
    if not w then return reduce(l, o, what) end
    if (o.reduction or "mean") ~= "mean" then
      return reduce(l * w, o, what)
    end
    return sd.sum(l * w) / sd.sum(w)
  end

  local labelled = { "reduction:S", "weight:X", "ignore_index:I" }
  define("nll", "logp labels", "Mean of -logp at the label.",
    "r{3, 4}, i(4, {3})", function(logp, y, o)
      o = options(o, labelled, "nll")
      local picked, w = chosen(logp, y, o, "nll")
      return weighted(-picked, w, o, "nll")
    end)
  define("cross_entropy", "scores labels",
    "nll of log_softmax(scores); labels, or probabilities of each class.",
    "r{3, 4}, i(4, {3})\nr{4}, i(4, {})", function(x, y, o)
      o = options(o, { "reduction:S", "weight:X", "ignore_index:I",
                       "label_smoothing:F" }, "cross_entropy")
      local smooth = o.label_smoothing or 0
      local dim = x.ndim == 1 and 1 or 2
      local logp = sd.log_softmax(x, dim)
      local classes = x:size(dim)
      local wc
      if o.weight then
        local s = {}
        for d = 1, x.ndim do s[d] = d == dim and classes or 1 end
        wc = o.weight:reshape(s)
      end
      if y.ndim == x.ndim then
        local target = y * (1 - smooth) + smooth / classes
        local l = -(target * logp)
        if wc then l = l * wc end
        l = l:sum(dim)
        if (o.reduction or "mean") ~= "mean" then
          return reduce(l, o, "cross_entropy")
        end
        return sd.mean(l)
      end
      local picked, w = chosen(logp, y, o, "cross_entropy")
      local l = weighted(-picked, w, o, "cross_entropy")
      if smooth == 0 then return l end
      local all = -(wc and logp * wc or logp):sum(dim)
      if o.ignore_index then all = all * y:ne(o.ignore_index):to(x.dtype) end
      local s
      if (o.reduction or "mean") ~= "mean" or not w then
        s = reduce(all, o, "cross_entropy")
      else
        s = sd.sum(all) / sd.sum(w)
      end
      return (1 - smooth) * l + smooth / classes * s
    end)
end
