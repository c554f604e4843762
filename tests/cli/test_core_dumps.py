"""Keys get into no core dump, where that is asked for."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from harness.process import Process
from harness.services import Implementation, environment, fastsocks_command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: Root may look into everything, so that the kernel has nothing to forbid.
_AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def start(implementation: Implementation, *arguments: str) -> Process:
    """Start a proxy as a user who is not root."""
    command = [*([] if os.geteuid() else _AS_NOBODY), *fastsocks_command("proxy", "-l", "0")]
    process = Process("fastsocks proxy", [*command, *arguments], environment(implementation))
    process.wait_for_line("listening on")
    return process


def limit_of(pid: int) -> str:
    """Return the limit of core dumps, soft and hard."""
    limits = Path(f"/proc/{pid}/limits").read_text("ascii")
    found = re.search(r"^Max core file size +(\S+) +(\S+)", limits, re.MULTILINE)
    assert found is not None
    return " ".join(found.groups())


def is_for_root_alone(pid: int) -> bool:
    """Tell whether none but root may look into a process: proc(5), on prctl(PR_SET_DUMPABLE)."""
    return Path(f"/proc/{pid}/environ").stat().st_uid == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_core_dumps(implementation: Implementation, workers: str) -> None:
    process = start(implementation, "--no-core-dumps", "--workers", workers)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
    assert len(children) >= int(workers) - 1
    for pid in (process.pid, *map(int, children)):
        assert limit_of(pid) == "0 0"
        assert is_for_root_alone(pid)
    assert process.stop() == 0


def test_otherwise_nothing_changes(implementation: Implementation) -> None:
    process = start(implementation)
    assert limit_of(process.pid) == limit_of(os.getpid())
    assert not is_for_root_alone(process.pid)
    assert process.stop() == 0
