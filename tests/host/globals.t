#!/bin/sh
# The names a script sees: undefined globals, bytecode, the sandbox.
. tests/host/tap.sh

script 'local x = 1
pritn(x)'
run "$path"
like "$err" "$path:2: undefined global 'pritn' (did you mean 'print'?)" \
  "a misspelt global is found when it is read"
run -e 'local x = qqqqqq'
like "$err" "undefined global 'qqqqqq'
" "without a guess when nothing is near"
run -e 'count = 1 print(count, rawget(_G, "other"))'
is "$out" "1	nil" "assigning defines, rawget looks"
run -e 'local function f() total = 2 end f() print(total)'
is "$out" 2 "also in a function"
run -e 'print(sd == require "saddle", _G.sd == sd)'
is "$out" "true	true" "sd is the module saddle"

"$SADDLE" -e 'return' # the state is sound
lua5.4 -e 'io.open(arg[1], "wb"):write(string.dump(load "x = 1"))' \
  /dev/null "$work/x.luac" 2>/dev/null ||
  printf '\033Lua' >"$work/x.luac"
cp "$work/x.luac" "$work/mod.lua"
run "$work/x.luac"
is "$status" 1 "a script of bytecode is refused"
is "$err" \
  "saddle: $work/x.luac: bytecode is refused, only source text is loaded" \
  "in words"
refusal="bytecode is refused, only source text is loaded"
run -e 'print(load("\27Lua", "c"))'
is "$out" "nil	c: $refusal" "load refuses it"
run -e 'print(load("return 1", "c", "b"))'
is "$out" "nil	c: $refusal" "and a mode that asks for it alone"
run -e "print(loadfile('$work/x.luac'))"
is "$out" "nil	$work/x.luac: $refusal" "loadfile refuses it"
run -e "dofile('$work/x.luac')"
like "$err" "$refusal" "dofile refuses it"
run -e "package.path = '$work/?.lua'" -e 'require "mod"'
like "$err" "error loading module 'mod'*$refusal" "require refuses it"
run -e 'print(string.dump)'
is "$out" nil "string.dump is gone"
run -e 'print(load("return x", "c", "bt", { x = 4 })())'
is "$out" 4 "load keeps its environment"
run -e 'print(load(coroutine.wrap(function()
  coroutine.yield "return " coroutine.yield "6" end))())'
is "$out" 6 "and takes a function"
echo 'return ..., select(2, ...)' >"$work/mod.lua"
run -e "package.path = '$work/?.lua'" -e 'print(require "mod")'
is "$out" "mod	$work/mod.lua" "require passes the name and the file"

gone() {
  run --sandbox -e "local f = $1"
  like "$err" "$1 is not available in --sandbox" "no $1 in a sandbox"
}
for name in dofile loadfile os.execute os.exit os.remove os.rename os.tmpname \
  package.loadlib debug.getinfo debug.sethook; do
  gone $name
done
run --sandbox -e 'io.open "x"'
like "$err" "io is not available in --sandbox" "no io in a sandbox"
run --sandbox -e 'print(pcall(require, "io"))'
like "$out" "false" "require does not find it either"
run --sandbox -e 'print(#package.searchers, package.loaded.io)'
is "$out" "2	nil" "no C modules in a sandbox"
run --sandbox -e 'print(debug.traceback "t" ~= nil, sd.ones(2):sum():item())'
like "$out" "true	2" "tensors and tracebacks remain"
run --sandbox -e 'print(require "saddle" == sd, sd.nn.dense(1, 1) ~= nil)'
is "$out" "true	true" "and the library can be required"
run --sandbox -e 'print(pcall(sd.zeros(2).matmul, sd.zeros(2), sd.zeros(3)))'
like "$out" "matmul" "the library's errors still speak"

finish
