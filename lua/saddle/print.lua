-- Tensors as text: aligned, elided when long, with shape and dtype.

return function(_, core)
  local edge = 3    -- elements shown at each end of a long dim
  local longest = 8 -- dims longer than this are elided

  local function number_format(values, dtype)
    if dtype == "bool" then return tostring end
    if dtype ~= "f32" and dtype ~= "f64" then
      return function(v) return ("%d"):format(v) end
    end
    local most, least, whole = 0, math.huge, true
    for _, v in ipairs(values) do
      local a = math.abs(v)
      if a == a and a ~= math.huge then
        if a > most then most = a end
        if a > 0 and a < least then least = a end
        if a ~= math.floor(a) then whole = false end
      end
    end
    if whole and most < 1e6 then
      return function(v)
        if v ~= v or v == math.huge or v == -math.huge then
          return ("%g"):format(v)
        end
        return ("%.0f."):format(v)
      end
    elseif most >= 1e5 or least < 1e-4 then
      return function(v) return ("%.4e"):format(v) end
    end
    return function(v) return ("%.4f"):format(v) end
  end

  -- x reduced to what is shown: nested tables with "..." for gaps.
  local function shown(x)
    if x.ndim == 0 then return x:item() end
    local n, rows = x:size(1), {}
    for i = 1, n do
      if n <= longest or i <= edge or i > n - edge then
        rows[#rows + 1] = shown(x[i])
      elseif i == edge + 1 then
        rows[#rows + 1] = "..."
      end
    end
    return rows
  end

  local function shown_fast(x)
    if x:numel() <= 2000 then
      local function elide(t)
        if type(t) ~= "table" then return t end
        local rows, n = {}, #t
        for i = 1, n do
          if n <= longest or i <= edge or i > n - edge then
            rows[#rows + 1] = elide(t[i])
          elseif i == edge + 1 then
            rows[#rows + 1] = "..."
          end
        end
        return rows
      end
      return elide(x:totable())
    end
    return shown(x)
  end

  local function values_of(t, list)
    if type(t) == "table" then
      for _, e in ipairs(t) do values_of(e, list) end
    elseif type(t) ~= "string" then
      list[#list + 1] = t
    end
    return list
  end

  local function width(t, format)
    local w = 0
    for _, v in ipairs(values_of(t, {})) do
      w = math.max(w, #format(v))
    end
    return w
  end

  local function render(t, format, w, indent)
    if type(t) ~= "table" then
      local s = t == "..." and t or format(t)
      return (" "):rep(w - #s) .. s
    end
    local parts = {}
    for i, e in ipairs(t) do
      parts[i] = e == "..." and e or render(e, format, w, indent + 1)
    end
    if type(t[1]) == "table" then
      return "{" .. table.concat(parts, ",\n" .. (" "):rep(indent + 1)) .. "}"
    end
    return "{" .. table.concat(parts, ", ") .. "}"
  end

  local function text(x)
    core.eval { x }
    local t = shown_fast(x)
    local number = number_format(values_of(t, {}), x.dtype)
    -- The sign of a NaN says nothing.
    local function format(v) return v ~= v and "nan" or number(v) end
    local body = render(t, format, width(t, format), 0)
    if x.ndim == 0 then return ("%s  %s"):format(body, x.dtype) end
    return ("%s\n%s {%s}"):format(body, x.dtype, table.concat(x.shape, ", "))
  end

  core.metatable.__tostring = text
end
