#!/bin/sh
# What a script's failure looks like.
. tests/host/tap.sh

script 'local function f(x)
  error("bad " .. x)
end
local t = { 2, 1 }
table.sort(t, function(a, b) f(a) return a < b end)'
run "$path"
is "$status" 1 "an uncaught error gives status 1"
is "$err" "saddle: $path:2: bad 1
stack traceback:
	$path:2: in function 'f'
	$path:5: in function <$path:5>
	$path:5: in main chunk" "the traceback has the script's own levels"

script 'local loss = function(p) return p:matmul(p):sum() end
sd.grad(loss)(sd.zeros(2, 3))'
run "$path"
like "$err" "saddle: $path:1: matmul: " "an error of the core has the line"
like "$err" "$path:2: in main chunk" "and the way there"
unlike "$err" "saddle.transform" "the library's own levels are hidden"

script 'error(setmetatable({}, { __tostring = function() return "ours" end }))'
run "$path"
like "$err" "saddle: ours" "__tostring of an error object is honoured"
run -e 'error({})'
like "$err" "(error object is a table value)" "another table is described"
run -e 'error()'
like "$err" "(error object is a nil value)" "and so is nil"
run -e 'error("no position", 0)'
like "$err" "saddle: no position" "a message stands as it is"
script 'local function f() return 1 + f() end
f()'
run "$path"
like "$err" "stack overflow*in function 'f'*...*in main chunk" \
  "a deep stack is cut in the middle"
[ "$(printf '%s\n' "$err" | wc -l)" -lt 40 ]
report $? "to less than a screen" "$err" "fewer lines"

script 'x = = 1'
run "$path"
is "$status" 1 "a syntax error gives status 1"
is "$err" "saddle: $path:1: unexpected symbol near '='" "in one line"
run "$work/missing.lua"
is "$status" 1 "a missing script gives status 1"
is "$err" "saddle: cannot open $work/missing.lua: No such file or directory" \
  "in one line"
run "$work"
is "$err" "saddle: cannot read $work: Is a directory" "and so does a folder"

run -e 'os.exit(3)'
is "$status" 3 "os.exit gives its own status"
if [ -c /dev/full ]; then
  "$SADDLE" -e 'print(1)' >/dev/full 2>"$work/err"
  collect $?
  is "$status" 1 "output that cannot be written is a failure"
  like "$err" "cannot write to standard output" "that is reported"
fi
lines=$("$SADDLE" -e 'for i = 1, 1e6 do print(i) end' 2>"$work/err" | head -n 1)
is "$lines$(cat "$work/err")" 1 "a closed pipe ends the program quietly"

finish
