-- The elements of x that have one place in dims i < j, along dim i: every
-- (n + 1)-th of the two dims joined. Nothing is multiplied, so that NaN
-- beside the diagonal stays there.

return function(x, i, j)
  local n, order, shape = x:size(i), { i, j }, {}
  for d = 1, x.ndim do
    if d ~= i and d ~= j then
      order[#order + 1] = d
      shape[#shape + 1] = x:size(d)
    end
  end
  table.insert(shape, 1, n * n)
  local joined = x:permute(order):reshape(shape)
  return joined[{ { 1, n * n, n + 1 } }]:movedim(1, i)
end
