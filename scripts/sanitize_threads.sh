#!/bin/sh
# sanitize_threads.sh PYTHON SANITIZED [SECONDS]: run tests/thread_racer.py without a GIL on extension
# modules built with ThreadSanitizer, and fail on any report of it. Linux; clang by default, or CC.
#
# SANITIZED is an interpreter built by the same compiler (./configure --disable-gil
# --with-thread-sanitizer). PYTHON is a free-threaded one of the same version with the packages that
# fastsocks and its build need: it builds, which takes the other one ten times as long. CPython has
# suppressions of its own: TSAN_OPTIONS=suppressions=Tools/tsan/... of its sources.
set -eu
cd "$(dirname "$0")/.."
. scripts/sanitizer_reports.sh
[ $# -ge 2 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit 2; }
python=$1
sanitized=$2
seconds=${3:-60}

CC=${CC:-clang} "$python" scripts/build_variant.py threads
fresh_reports threads
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')

# Without setarch a process may get addresses at random that ThreadSanitizer needs for itself.
status=0
PYTHON_GIL=0 FASTSOCKS_IMPL=cython PYTHONPATH=build/threads/src:$packages \
  TSAN_OPTIONS="${TSAN_OPTIONS:-}:log_path=$reports/report" \
  setarch "$(uname -m)" --addr-no-randomize "$sanitized" tests/thread_racer.py "$seconds" || status=$?

end_with_reports "$status"
