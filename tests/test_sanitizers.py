"""The sanitizer build, on tests that have found most, in parts; `make sanitize` runs more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = {
    "datagrams": ["tests/relay", "-k", "udp"],
    "packets": ["tests/shadowsocks/test_packet_layers.py", "tests/fuzz"],
    "set-up": ["tests/setup/test_faults.py", "tests/setup/test_dials.py"],
    "failing calls": ["tests/end_to_end/test_failing_calls.py", "-k", "cython"],
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the sanitizer build is Linux's"),
    # The first one builds.
    pytest.mark.timeout(1800),
]


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_reported(part: str) -> None:
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("these are the tests of the sanitizer build")
    result = subprocess.run(
        ["scripts/sanitize.sh", sys.executable, *PARTS[part], "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-10_000:]
