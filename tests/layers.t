#!/bin/sh
# A file may include only from layers below its own.
cd "$(dirname "$0")/.." || exit 1

layer() {
  case "$1" in
    base) echo 0 ;; kernels) echo 1 ;; graph) echo 2 ;; ops|io) echo 3 ;;
    transform) echo 4 ;; nn) echo 5 ;; curvature|optim) echo 6 ;;
    lua) echo 7 ;; host) echo 8 ;; *) echo 9 ;;
  esac
}

bad=$(find src -mindepth 2 -name '*.[ch]' | sort | while read -r file; do
  own=${file#src/}; own=${own%%/*}
  grep -oE '^#include "[a-z]+/' "$file" | sed 's/.*"//; s/\///' | sort -u |
  while read -r other; do
    [ "$own" = "$other" ] && continue
    [ "$(layer "$other")" -lt "$(layer "$own")" ] ||
      echo "# $file includes from $other"
  done
done)
lua=$(grep -rlE '^#include <(lua|lauxlib|lualib)\.h>' src |
      grep -vE '^src/(lua|host)/' | sed 's/^/# includes Lua: /')
long=$(grep -rnE '^.{81,}' src lua --include='*.c' --include='*.h' \
       --include='*.lua' | sed 's/^/# over 80 columns: /' | head)
count=0
check() {
  count=$((count + 1))
  if [ -z "$2" ]; then echo "ok $count - $1"
  else echo "not ok $count - $1"; echo "$2"; failed=1; fi
}
check "includes go down only" "$bad"
check "only the Lua layer and the host know Lua" "$lua"
check "lines fit 80 columns" "$long"
echo "1..$count"
exit "${failed:-0}"
