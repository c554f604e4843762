#!/bin/sh
# coverage.sh PYTHON [PYTEST ARGUMENT ...]: run tests, all by default, and print for each file of Python
# and of Cython how many of its lines they ran, child processes included.
#
# The extension modules are built for it in build/coverage, unoptimised and with a trace of each line.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
python=$1
case $python in /*) ;; */*) python=$root/$python ;; esac
shift
[ $# != 0 ] || set -- --numprocesses "${WORKERS:-4}" --dist loadfile "$root/tests"

"$python" scripts/build_variant.py coverage
# Cython names its sources relative to the folder in which they were translated.
cd build/coverage
rm -f .coverage .coverage.*
export COVERAGE_RCFILE="$root/pyproject.toml" COVERAGE_FILE="$PWD/.coverage" COVERAGE_CORE=ctrace
export PYTHONPATH="$PWD/src" FASTSOCKS_REQUIRE_EXTENSIONS=1 TEST_PATIENCE=5
status=0
"$python" -m coverage run -m pytest --rootdir "$root" -c "$root/pyproject.toml" \
  --benchmark-disable --timeout 300 "$@" || status=$?
"$python" -m coverage combine --quiet
"$python" -m coverage report
exit "$status"
