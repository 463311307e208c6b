-- An optimizer's steps down a function by the fastest way that its rule
-- allows: replayed, or one by one for a rule that steps by itself, looks at
-- values or compares the step's number, which shows by its second step.

--- A function (params, ...) -> params, loss, and f's further results.
---@param opt table an optimizer
---@param f function
return function(opt, f)
  local function plain(...) return opt:step(f, ...) end
  local can, compiled = pcall(opt.compile, opt, f)
  if not can then return plain end
  local count, step = 0, nil
  local function finish(ok, ...)
    if ok then return ... end
    if tostring((...)):find "interrupted" then error((...), 0) end
    step = plain
  end
  return function(...)
    if step then return step(...) end
    count = count + 1
    local out = table.pack(finish(pcall(compiled, ...)))
    if step then return step(...) end
    if count == 2 then step = compiled end
    return table.unpack(out, 1, out.n)
  end
end
