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
# Coverage loads modules of its own, and a traced line may give up the GIL amid a function.
"$python" -m coverage run -m pytest --rootdir "$root" -c "$root/pyproject.toml" \
  --benchmark-disable --timeout 300 \
  --deselect tests/cli/test_start.py::test_a_service_loads_what_it_needs \
  --deselect "tests/service/test_threads.py::test_threads_with_loops_of_their_own[cython]" \
  "$@" || status=$?
"$python" -m coverage combine --quiet
# Some tests start programs from the checkout, or from copies of it.
"$python" -m coverage report --omit "$root/src/*,*/pytest-of-*/*"
exit "$status"
