-- einsum by pairwise contraction: each pair becomes one batched product.

local fail = require "saddle.fail"
local diagonal = require "saddle.diagonal"

-- Sums out the letters of x that keep does not name, and takes diagonals of
-- repeated ones.
local function simplify(x, letters, keep)
  local i = 1
  while i <= #letters do
    local j = letters:find(letters:sub(i, i), i + 1, true)
    if j then
      if x:size(i) ~= x:size(j) then
        fail("einsum: index '%s' has extents %d and %d", letters:sub(i, i),
             x:size(i), x:size(j))
      end
      x = diagonal(x, i, j)
      letters = letters:sub(1, j - 1) .. letters:sub(j + 1)
    else
      i = i + 1
    end
  end
  for d = #letters, 1, -1 do
    local c = letters:sub(d, d)
    if not keep:find(c, 1, true) then
      x = x:sum(d)
      letters = letters:sub(1, d - 1) .. letters:sub(d + 1)
    end
  end
  return x, letters
end

-- x's dims in the order of letters, missing ones of extent 1.
local function arrange(x, have, letters)
  local order, shape = {}, {}
  for i = 1, #letters do
    local at = have:find(letters:sub(i, i), 1, true)
    if at then order[#order + 1] = at end
    shape[i] = at and x:size(at) or 1
  end
  if #order > 1 then x = x:permute(order) end
  return x:reshape(shape)
end

local function product(list)
  local n = 1
  for _, v in ipairs(list) do n = n * v end
  return n
end

local function contract(sd, x, lx, y, ly, keep)
  local batch, left, right, inner = "", "", "", ""
  for c in lx:gmatch "." do
    if not ly:find(c, 1, true) then left = left .. c
    elseif keep:find(c, 1, true) then batch = batch .. c
    else inner = inner .. c end
  end
  for c in ly:gmatch "." do
    if not lx:find(c, 1, true) then right = right .. c end
  end
  local size = {}
  for i = 1, #lx do size[lx:sub(i, i)] = x:size(i) end
  for i = 1, #ly do
    local c, n = ly:sub(i, i), y:size(i)
    if size[c] and size[c] ~= n then
      fail("einsum: index '%s' has extents %d and %d", c, size[c], n)
    end
    size[c] = n
  end
  local function extents(letters)
    local list = {}
    for c in letters:gmatch "." do list[#list + 1] = size[c] end
    return list
  end
  local b, m, k, n = extents(batch), extents(left), extents(inner),
                     extents(right)
  local a = arrange(x, lx, batch .. left .. inner)
            :reshape(product(b), product(m), product(k))
  local c = arrange(y, ly, batch .. inner .. right)
            :reshape(product(b), product(k), product(n))
  local shape = table.move(m, 1, #m, #b + 1, { table.unpack(b) })
  table.move(n, 1, #n, #shape + 1, shape)
  return sd.matmul(a, c):reshape(shape), batch .. left .. right
end

-- "..." in the terms spelt with letters that nothing else uses, the last
-- letter for the last dim; also those letters.
local function spell_dots(terms, output, xs, spec)
  local free, most, at = "", 0, {}
  for code = 65, 122 do
    local c = string.char(code)
    if c:find "%a" and not spec:find(c, 1, true) then free = free .. c end
  end
  for i, t in ipairs(terms) do
    local head, tail = t:match "^(%a*)%.%.%.(%a*)$"
    if not head and t:find(".", 1, true) then
      fail("einsum: cannot read '%s'", spec)
    end
    if head then
      at[i] = xs[i].ndim - #head - #tail
      if at[i] < 0 then
        fail("einsum: '%s' for a tensor of %d dims", t, xs[i].ndim)
      end
      most = math.max(most, at[i])
    end
  end
  local dots = free:sub(1, most)
  local spelt = {}
  for i, t in ipairs(terms) do
    spelt[i] = at[i] and t:gsub("%.%.%.", dots:sub(most - at[i] + 1)) or t
  end
  local rest = output:gsub("%.%.%.", dots, 1)
  if rest:find(".", 1, true) then fail("einsum: cannot read '%s'", spec) end
  return spelt, rest, dots
end

-- x without its dims of extent 1 among those that dots name, where another
-- tensor has more to broadcast to.
local function drop_ones(x, letters, dots, terms, xs, i)
  for d = #letters, 1, -1 do
    local c, wider = letters:sub(d, d), false
    if dots:find(c, 1, true) and x:size(d) == 1 then
      for k, t in ipairs(terms) do
        local other = k ~= i and t:find(c, 1, true)
        wider = wider or other and (xs[k]:size(other) ~= 1 or k < i)
      end
    end
    if wider then
      x, letters = x:squeeze(d), letters:sub(1, d - 1) .. letters:sub(d + 1)
    end
  end
  return x, letters
end

return function(sd, spec, ...)
  local xs = { ... }
  if type(xs[1]) == "table" then xs = xs[1] end
  if type(spec) ~= "string" then
    fail("einsum: expected index letters, not a %s", type(spec))
  end
  local inputs, output = spec:gsub("%s", ""):match "^([%a,.]*)(.*)$"
  local terms = {}
  for t in (inputs .. ","):gmatch "([^,]*)," do terms[#terms + 1] = t end
  if output ~= "" and not output:match "^%->[%a.]*$" then
    fail("einsum: cannot read '%s'", spec)
  end
  if #terms ~= #xs then
    fail("einsum: '%s' names %d tensors, %d given", spec, #terms, #xs)
  end
  for i in ipairs(terms) do
    if not sd.is_tensor(xs[i]) then
      fail("einsum: argument %d is a %s, not a tensor", i, type(xs[i]))
    end
  end
  local dots
  terms, output, dots = spell_dots(terms, output, xs, spec)
  inputs = table.concat(terms, ",")
  for i, t in ipairs(terms) do
    if #t ~= xs[i].ndim then
      fail("einsum: '%s' for a tensor of %d dims", t, xs[i].ndim)
    end
    xs[i], terms[i] = drop_ones(xs[i], t, dots, terms, xs, i)
  end
  if output == "" then
    local count, once = {}, {}
    for c in inputs:gmatch "%a" do count[c] = (count[c] or 0) + 1 end
    for c, k in pairs(count) do
      if k == 1 and not dots:find(c, 1, true) then once[#once + 1] = c end
    end
    table.sort(once)
    output = dots .. table.concat(once)
  else
    output = output:sub(3)
  end
  for c in output:gmatch "." do
    if not inputs:find(c, 1, true) then
      fail("einsum: output index '%s' is in no input", c)
    end
  end
  local x, letters = xs[1], terms[1]
  for i = 2, #xs do
    local later = output .. table.concat(terms, "", i + 1)
    local y, ly
    x, letters = simplify(x, letters, later .. terms[i])
    y, ly = simplify(xs[i], terms[i], later .. letters)
    x, letters = contract(sd, x, letters, y, ly, later)
  end
  x, letters = simplify(x, letters, output)
  if #output < 2 then return x end
  return arrange(x, letters, output)
end
