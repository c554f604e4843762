#!/bin/sh
# bootstrap.sh [TARGET ...]: install what `make` needs on this machine, then run `make TARGET ...`.
#
# On Debian and Ubuntu missing packages are installed by apt-get, through sudo unless root;
# elsewhere, or without sudo, one line says what is missing. PYTHON names the interpreter
# (default python3; 3.11 or later).
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
packages=

need() { packages="$packages $*"; }
has() { command -v "$1" >/dev/null 2>&1; }

has make || need make
echo '#include <stdlib.h>' | "${CC:-cc}" -E - >/dev/null 2>&1 || need gcc libc6-dev
if [ "${FASTSOCKS_BUILD:-}" != pure ] && [ -z "${FASTSOCKS_OPENSSL_DIR:-}" ]; then
  has pkg-config || need pkg-config
  { has pkg-config && pkg-config --atleast-version=3.0 libcrypto 2>/dev/null; } || need libssl-dev
fi
if ! has "$python"; then
  need python3 python3-dev python3-venv
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "bootstrap.sh: $("$python" --version) is too old: set PYTHON to one of 3.11 or later" >&2
  exit 1
else
  version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  "$python" -c 'import ensurepip, venv' 2>/dev/null || need "$version-venv"
  "$python" -c '
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    need "$version-dev"
fi

if [ -n "$packages" ]; then
  sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  if ! has apt-get || { [ -n "$sudo" ] && ! has sudo; }; then
    echo "bootstrap.sh: install these first (by their Debian names):$packages" >&2
    exit 1
  fi
  echo "bootstrap.sh: installing$packages" >&2
  $sudo apt-get update -q >/dev/null
  # shellcheck disable=SC2086 # package names, one word each
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends $packages >/dev/null
fi

exec make "PYTHON=$python" "$@"
