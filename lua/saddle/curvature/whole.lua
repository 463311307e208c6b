-- Ctrl-C ends a search early with what it has. What is made of the result must
-- not pass for an answer: it ends there, as if the search had raised the error.

--- r, unless Ctrl-C cut it short.
---@param r table with a reason
return function(r)
  if r.reason == "interrupted" then error("interrupted", 0) end
  return r
end
