-- Runs the workloads and their rivals in turn and prints ours beside theirs.
--
--   saddle tests/bench/run.lua [workload ...]
--
-- ROUNDS (5), THREADS ("1 2"). A rival runs twice a round, with the C
-- library's malloc as it is and tuned to keep its pages; the better median
-- counts. Without python3-torch our side stands alone.

local rounds = tonumber(os.getenv "ROUNDS") or 5
local here = arg[0]:match "^(.*)/" or "."
local build = os.getenv "SADDLE_BUILD" or "build"
local python = os.getenv "PYTHON" or "/usr/bin/python3"
local openblas = "/usr/lib/x86_64-linux-gnu/openblas-openmp"
local tuned = "MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_MMAP_THRESHOLD_=" ..
              "4294967296 "
local workloads = #arg > 0 and { table.unpack(arg) } or
                  { "small", "mlp", "optim", "micro", "curvature", "eigen",
                    "spectra" }

local function capture(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  return text, pipe:close()
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

-- Adds the lines of a run to samples[name]; order remembers first sights.
local function collect(samples, order, text)
  for line in text:gmatch "[^\n]+" do
    local name, seconds, kind, amount =
      line:match "^([^\t]+)\t([^\t]+)\t?([^\t]*)\t?([^\t]*)"
    if name then
      local s = samples[name]
      if not s then
        s = { kind = kind, amount = tonumber(amount) }
        samples[name] = s
        order[#order + 1] = name
      end
      s[#s + 1] = tonumber(seconds)
    end
  end
end

local function threads_line(n)
  return ("OMP_NUM_THREADS=%d OPENBLAS_NUM_THREADS=%d "):format(n, n)
end

local function ours(w, n)
  return ("LUA_PATH=%s/?.lua\\;\\; %s/saddle --threads %d %s/%s.lua"):format(
    here, build, n, here, w)
end

local has_rival = capture(python .. " -c 'import torch' 2>&1") == ""

local function theirs(w, n, malloc)
  return threads_line(n) .. malloc .. "LD_LIBRARY_PATH=" .. openblas .. " " ..
         python .. " " .. here .. "/" .. w .. ".py 2>/dev/null"
end

local function quantity(t)
  if t < 1e-6 then return ("%.1f ns"):format(t * 1e9) end
  if t < 1e-3 then return ("%.1f us"):format(t * 1e6) end
  if t < 1 then return ("%.2f ms"):format(t * 1e3) end
  return ("%.2f s"):format(t)
end

local function compare(w, n, limits)
  local mine, order, plain, fast = {}, {}, {}, {}
  for _ = 1, rounds do
    collect(mine, order, (capture(ours(w, n))))
    if has_rival then
      collect(plain, {}, (capture(theirs(w, n, ""))))
      collect(fast, {}, (capture(theirs(w, n, tuned))))
    end
  end
  for _, name in ipairs(order) do
    local s = mine[name]
    local t = median(s)
    local rival
    for _, side in ipairs { plain, fast } do
      if side[name] then
        rival = math.min(rival or math.huge, median(side[name]))
      end
    end
    local limit = limits[s.kind] and limits[s.kind] * s.amount / t
    print(("%-44s %dT %10s %10s %8s %8s"):format(
      name, n, quantity(t), rival and quantity(rival) or "-",
      rival and ("%.2fx"):format(rival / t) or "-",
      limit and ("%.0f %%"):format(100 * limit) or "-"))
    io.stdout:flush()
  end
end

local function machine()
  local model = "?"
  for line in io.lines "/proc/cpuinfo" do
    model = line:match "^model name%s*:%s*(.*)" or model
  end
  return model
end

print(("%s; medians of %d rounds"):format(machine(), rounds))
print(("%-44s %2s %10s %10s %8s %8s"):format("workload", "", "ours",
      "PyTorch", "ratio", "of limit"))
for n in (os.getenv "THREADS" or "1 2"):gmatch "%d+" do
  local limits = {}
  local samples = {}
  collect(samples, {}, (capture(threads_line(n) .. build ..
                                "/bench_limits")))
  for k, s in pairs(samples) do limits[k] = s[1] end
  for _, w in ipairs(workloads) do compare(w, math.tointeger(n), limits) end
end
