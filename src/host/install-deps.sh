#!/bin/sh
# Installs what building and running Saddle needs and is missing. Silent when
# all is there, also without a network.
set -eu

debian="gcc make pkg-config libopenblas-openmp-dev liblapacke-dev
  libsleef-dev liblua5.4-dev lua5.4 zlib1g-dev gnuplot-nox perl"

missing_debian() {
  for p in $debian; do
    state=$(dpkg-query -W -f='${Status}' "$p" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || printf '%s ' "$p"
  done
}

advise() {
  echo "Saddle needs: $1" >&2
  echo "Install it with:" >&2
  echo "  $2" >&2
  exit 1
}

if command -v dpkg-query >/dev/null 2>&1; then
  missing=$(missing_debian)
  [ -n "$missing" ] || exit 0
  line="apt-get install -y --no-install-recommends $missing"
  if [ "$(id -u)" = 0 ]; then
    as=
  elif sudo -n true 2>/dev/null; then
    as="sudo -n"
  else
    advise "$missing" "sudo $line"
  fi
  echo "Installing $missing"
  $as apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $as $line
elif command -v dnf >/dev/null 2>&1; then
  set -- gcc make pkgconf openblas-devel lapack-devel sleef-devel \
    lua-devel zlib-devel gnuplot perl-Test-Harness
  rpm -q "$@" >/dev/null 2>&1 || advise "$*" "sudo dnf install $*"
elif command -v pacman >/dev/null 2>&1; then
  set -- gcc make pkgconf openblas lapacke sleef lua zlib gnuplot perl
  pacman -Q "$@" >/dev/null 2>&1 || advise "$*" "sudo pacman -S $*"
elif command -v brew >/dev/null 2>&1; then
  set -- gcc make pkg-config openblas lapack sleef lua@5.4 gnuplot
  brew list "$@" >/dev/null 2>&1 || advise "$*" "brew install $*"
else
  echo "Unknown system: needs a C compiler, make, OpenBLAS (OpenMP)," \
    "LAPACKE, SLEEF, Lua 5.4, zlib, gnuplot, perl" >&2
fi
