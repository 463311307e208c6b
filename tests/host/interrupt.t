#!/bin/sh
# Ctrl-C, sent once to the program and its children, stops what runs.
. tests/host/tap.sh

command -v timeout >/dev/null || { echo "1..0 # skip no timeout"; exit; }
delay=0.4
[ -z "$SADDLE_SLOW" ] || delay=3
mkfifo "$work/silence"
exec 3<>"$work/silence"

# press CODE: runs CODE and presses Ctrl-C after a while.
press() {
  timeout -k 5 -s INT --preserve-status $delay "$SADDLE" -e "$1" \
    >"$work/out" 2>"$work/err" <&3
  collect $?
}

stops() {
  press "$2"
  is "$status" 130 "$1"
  like "$err" "interrupted" "and says so"
}

stops "a loop" 'while true do end'
stops "a loop in a coroutine" \
  'coroutine.wrap(function() while true do end end)()'
stops "a coroutine that is resumed for ever" \
  'local co = coroutine.create(function()
     while true do coroutine.yield() end end)
   while true do coroutine.resume(co) end'
stops "a loop of protected calls" 'while true do pcall(error) end'
stops "a loop of protected loops" \
  'while true do pcall(function() while true do end end) end'
stops "protected loops in protected coroutines" \
  'while true do pcall(coroutine.wrap(function()
     while true do pcall(function() while true do end end) end end)) end'
stops "a program that runs" 'while true do os.execute "sleep 9" end'
stops "a read" 'io.read()'
stops "a read from a program" 'io.popen("sleep 9"):read()'
stops "a long computation" \
  'local x = sd.randn(500, 500)
   while true do x = x:matmul(x):tanh() sd.eval(x) end'
stops "a protected computation" \
  'local x = sd.randn(500, 500)
   while true do pcall(sd.eval, x:matmul(x)) end'
stops "one large product" \
  'local x = sd.ones(9000, 9000) sd.eval(x:matmul(x))'
stops "one large sort" 'sd.eval((sd.rand(1 << 26):sort()))'
stops "tables of many numbers" \
  'local x = sd.ones(1 << 22) while true do x:totable() end'

press 'local ok, message = pcall(function() while true do end end)
  print("saved", message, sd.ones(2):sum():item())'
is "$status" 0 "a script may catch it"
like "$out" "saved*interrupted	2" "and clean up"

# Pattern matching cannot be stopped from outside; a second Ctrl-C, after the
# first one's grace, ends it.
code='local s = ("a"):rep(30) s:find(("a?"):rep(30) .. s)'
perl -e '
  my ($delay, @command) = @ARGV;
  my $child = fork // die;
  unless ($child) { $SIG{INT} = "DEFAULT"; exec @command or die }
  for my $wait ($delay, 1) {
    select undef, undef, undef, $wait;
    kill INT => $child;
  }
  $SIG{ALRM} = sub { kill KILL => $child };
  alarm 9;
  waitpid $child, 0;
  exit($? & 127 ? 1 : $? >> 8);
' $delay "$SADDLE" -e "$code" >"$work/out" 2>"$work/err" <&3
is $? 130 "a second Ctrl-C ends what cannot be stopped"
finish
