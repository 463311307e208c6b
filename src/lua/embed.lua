-- lua5.4 embed.lua OUT.c FILE...: the files as a table of C byte arrays.

local out = assert(io.open(arg[1], "w"))
out:write('#include "lua/binding.h"\n\n')
local rows = {}
for i = 2, #arg do
  local file = assert(io.open(arg[i], "rb"))
  local text = file:read "a"
  file:close()
  local name = arg[i]:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", ".")
  local id = ("file_%d"):format(i)
  out:write("static const unsigned char ", id, "[] = {")
  for k = 1, #text, 20 do
    out:write("\n ", (text:sub(k, k + 19):gsub(".", function(c)
      return c:byte() .. ","
    end)))
  end
  out:write("0};\n")
  rows[#rows + 1] = ('    {"%s", (const char *)%s, %d},\n')
                    :format(name, id, #text)
end
out:write("\nconst SdLibraryFile sd_library[] = {\n", table.concat(rows),
          "    {0, 0, 0}};\n")
assert(out:close())
