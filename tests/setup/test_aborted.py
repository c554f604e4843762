"""A connection that is gone before it is accepted: accept(2) fails with ECONNABORTED.

Linux hands such connections out nevertheless, so a library between us and libc does it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastsocks
from harness.deadline import DEADLINE

_LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int accept4(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
    static int calls;
    int (*next)(int, struct sockaddr *, socklen_t *, int) =
        (int (*)(int, struct sockaddr *, socklen_t *, int))dlsym(RTLD_NEXT, "accept4");
    int fd = next(listener, address, size, flags);
    if (fd >= 0 && calls++ < 3) {
        close(fd);
        errno = ECONNABORTED;
        return -1;
    }
    return fd;
}
"""

_PROGRAM = r"""
import asyncio, logging, sys

from setup_ends import BAD_LINE, Entrance, LineService, import_setup

logging.basicConfig()

async def scenario(implementation):
    twin = import_setup(implementation)
    async with Entrance(twin, LineService()) as entrance:
        clients = [await entrance.connect(BAD_LINE) for _ in range(4)]
        assert await clients[-1].read_to_end() == b"failed 1\n"
        assert entrance.acceptor.accepted == 1

if sys.argv[2] == "uvloop":
    import uvloop as loops
else:
    import asyncio as loops
with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
    runner.run(scenario(sys.argv[1]))
print("served")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD: Linux only")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_accepting_goes_on_after_aborted_connections(
    implementation: str, loop: str, tmp_path: Path
) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler: apt-get install gcc")
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    source, library = tmp_path / "aborted.c", tmp_path / "aborted.so"
    source.write_text(_LIBRARY)
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=DEADLINE)
    folders = (Path(fastsocks.__path__[0]).parent, Path(__file__).parent.parent)
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM, implementation, loop],
        env={
            **os.environ,
            # Behind what is there already: AddressSanitizer insists on being first.
            "LD_PRELOAD": f"{os.environ.get('LD_PRELOAD', '')} {library}".strip(),
            "PYTHONPATH": os.pathsep.join(map(str, folders)),
        },
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "served\n", "")
