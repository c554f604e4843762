#!/bin/sh
# sanitize.sh PYTHON [PYTEST ARGUMENT ...]: run tests on extension modules built with AddressSanitizer
# and UndefinedBehaviorSanitizer, and fail on any report of theirs. Linux; gcc by default, or CC.
#
# Without arguments the tests run that reach compiled code. Reports are kept in
# build/sanitize/reports, one file for each process that made one.
set -eu
cd "$(dirname "$0")/.."
. scripts/sanitizer_reports.sh
python=$1
shift

"$python" scripts/build_variant.py sanitize
fresh_reports sanitize

compiler=${CC:-gcc}
case $($compiler --version) in
*clang*) runtime=$($compiler -print-file-name="libclang_rt.asan-$(uname -m).so") ;;
*) runtime=$($compiler -print-file-name=libasan.so) ;;
esac

if [ $# = 0 ]; then
  set -- tests/address tests/crypto tests/fuzz tests/shadowsocks tests/socks tests/net tests/relay \
    tests/setup tests/service
  for name in half_close malformed transfer; do
    set -- "$@" "tests/end_to_end/test_$name.py"
  done
  # It measures memory, of which AddressSanitizer frees none at once.
  set -- "$@" --numprocesses "${WORKERS:-4}" --dist loadfile \
    --deselect tests/crypto/test_libcrypto.py::test_memory_is_given_back
fi

# The interpreter leaks by design what lives as long as the process, so no leaks are reported;
# its own allocator would hide from AddressSanitizer where bytes objects end. Without setarch a
# process may get addresses at random that AddressSanitizer needs for itself, and crash.
# Its handlers of signals stay, whatever faulthandler wants; an undefined step ends in SIGILL.
signals=handle_sigill=2:handle_segv=2:handle_sigbus=2:handle_sigfpe=2
status=0
export TEST_PATIENCE=10 FASTSOCKS_REQUIRE_EXTENSIONS=1 PYTHONPATH=build/sanitize/src
LD_PRELOAD=$runtime PYTHONMALLOC=malloc \
  ASAN_OPTIONS="detect_leaks=0:strict_string_checks=1:$signals:log_path=$reports/report" \
  setarch "$(uname -m)" --addr-no-randomize "$python" -m pytest \
  --benchmark-disable --timeout 600 "$@" || status=$?

end_with_reports "$status"
