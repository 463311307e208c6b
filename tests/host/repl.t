#!/bin/sh
# The prompt, read through a pipe: results alone are printed.
. tests/host/tap.sh

run_input '1 + 1
x = 3
x, "y"
'
is "$out" "2
3	y" "results are printed, statements are quiet"
is "$err" "" "there is no banner and no prompt"
is "$status" 0 "the end of the input ends it well"
run_input 'for i = 1, 2 do
  print(i)
end
(
3)'
is "$out" "1
2
3" "a chunk goes on until it is complete"
run_input 'error "one"
local function f() error "two" end f()
nil + 1
"still here"'
is "$out" "still here" "errors keep the session"
like "$err" "stdin:1: one
stdin:1: two
stack traceback:
	stdin:1: in function 'f'
stdin:1: attempt to perform arithmetic" "and are shown"
run_input 'print = nil
7'
is "$out" 7 "results do not depend on print"
run_input 'setmetatable({}, { __tostring = function() return "mine" end })'
is "$out" mine "results are shown by tostring"
run_input 'sd.ones(2)'
like "$out" "f32" "a tensor is shown"
run_input 'x ='
like "$err" "near <eof>" "an unfinished chunk at the end is an error"
run_input 'undefined_name'
like "$err" "undefined global 'undefined_name'" "globals are strict here too"
run_input '%time 1 + 1'
like "$out" "2
*[0-9]* s" "%time says how long it took"
run_input 'sd.help = function(topic) return "about " .. topic end
?adam'
is "$out" "about adam" "?name asks sd.help"

finish
