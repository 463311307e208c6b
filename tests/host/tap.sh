# What the host's tests share.  `run` runs the program; $out, $err and
# $status are what came of it, and the checks below read like sentences.

SADDLE=${SADDLE:-build/saddle}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
failed=0

run() {
  "$SADDLE" "$@" >"$work/out" 2>"$work/err" </dev/null
  collect $?
}

# run_input TEXT ARGS...: the same with TEXT as standard input.
run_input() {
  printf '%s' "$1" >"$work/in"
  shift
  "$SADDLE" "$@" >"$work/out" 2>"$work/err" <"$work/in"
  collect $?
}

collect() {
  status=$1
  out=$(cat "$work/out")
  err=$(cat "$work/err")
}

# script TEXT: writes a script, whose path is $path.
script() {
  path=$work/script.lua
  printf '%s\n' "$1" >"$path"
}

report() {
  count=$((count + 1))
  if [ "$1" = 0 ]; then
    echo "ok $count - $2"
  else
    echo "not ok $count - $2"
    printf '%s\n' "got: $3" "wanted: $4" "status: $status" | sed 's/^/# /'
    failed=1
  fi
}

# is GOT WANTED NAME
is() {
  [ "$1" = "$2" ]
  report $? "$3" "$1" "$2"
}

# like GOT PATTERN NAME: a shell pattern somewhere in GOT
like() {
  # shellcheck disable=SC2254
  case "$1" in *$2*) report 0 "$3" ;; *) report 1 "$3" "$1" "$2" ;; esac
}

# unlike GOT PATTERN NAME
unlike() {
  # shellcheck disable=SC2254
  case "$1" in *$2*) report 1 "$3" "$1" "not $2" ;; *) report 0 "$3" ;; esac
}

finish() {
  echo "1..$count"
  exit "$failed"
}
