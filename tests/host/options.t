#!/bin/sh
# The command line: what runs, in which order, and what is refused.
. tests/host/tap.sh

run -e 'x = 1' -e 'print(x + 1)'
is "$out" 2 "-e may be repeated and shares its globals"
is "$status" 0 "a script that ends well gives status 0"

script 'print(arg[0] == ..., #arg, arg[1], arg[2], select("#", ...))'
run "$path" -e --info
is "$out" "false	2	-e	--info	2" "what follows the script belongs to it"
script 'print(arg[0], ...)'
run -- "$path" x
is "$out" "$path	x" "-- ends the options"
script '#!/usr/bin/env saddle
print "hello"'
run "$path"
is "$out" hello "a first line for the shell is skipped"

run_input 'print("in", ...)' - a b
is "$out" "in	a	b" "- reads the script from standard input"
run_input '1 + 1' -i -e 'print "first"'
is "$out" "first
2" "-i enters the prompt after the lines"
script 'y = 5'
run_input 'y' -i "$path"
is "$out" 5 "-i keeps the script's globals"

run --seed 7 -e 'print(sd.randn(3))'
first=$out
run --seed=7 -e 'print(sd.randn(3))'
is "$out" "$first" "--seed repeats the random numbers"
run --seed 8 -e 'print(sd.randn(3))'
unlike "$out" "$first" "another seed gives others"
run --dtype f64 -e 'print(sd.zeros(1).dtype)'
is "$out" f64 "--dtype sets the default dtype"
run --threads 1 -e 'print(sd.threads())'
is "$out" 1 "--threads sets the number of threads"
run --deterministic -e 'print(sd.deterministic())'
is "$out" true "--deterministic sets the mode"

run --sedd 1
is "$status" 2 "an unknown option gives status 2"
is "$err" "saddle: unknown option '--sedd' (did you mean '--seed'?)" \
  "and the nearest known one"
run --threads many
is "$status" 2 "a bad value gives status 2"
is "$err" "saddle: --threads: expected 1 to 1024, got 'many'" "and its name"
run --threads 0
is "$status" 2 "no threads are too few"
run --dtype f16
is "$err" "saddle: --dtype: expected f32 or f64, got 'f16'" \
  "a dtype is one of two"
run --seed 1x
is "$status" 2 "a seed is an integer"
run --seed
is "$err" "saddle: --seed: N is missing" "a missing value is named"

run -v
like "$out" "Saddle [0-9]*Lua 5.4*OpenBLAS*thread" "-v is one line"
run -h
like "$out" "usage: saddle*--deterministic" "-h lists the options"
is "$status" 0 "and is no failure"
run --info
for part in Lua BLAS OpenMP core libopenblas LAPACK SLEEF vectors \
  threads GOMP_SPINCOUNT memory; do
  like "$out" "$part" "--info tells about $part"
done
unset GOMP_SPINCOUNT OMP_WAIT_POLICY
run --info
like "$out" "GOMP_SPINCOUNT 1000" "idle threads do not spin for long"
settings=$(OMP_DISPLAY_ENV=VERBOSE "$SADDLE" -e '' 2>&1)
like "$settings" "GOMP_SPINCOUNT = '1000'" "and libgomp has heard of it"
settings=$(GOMP_SPINCOUNT=77 OMP_DISPLAY_ENV=VERBOSE "$SADDLE" -e '' 2>&1)
like "$settings" "GOMP_SPINCOUNT = '77'" "unless the user says otherwise"

finish
