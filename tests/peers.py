"""Find the programs of other projects that interoperability tests run.

With ``FASTSOCKS_REQUIRE_PEERS=1`` a missing one fails the test; without it the
test is skipped.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

#: Programs the tests may ask for, and how to get each.
REMEDIES: Final = {
    "ss-local": "make peers (shadowsocks-libev)",
    "ss-server": "make peers (shadowsocks-libev)",
    "sslocal": "make peers (shadowsocks-rust)",
    "ssserver": "make peers (shadowsocks-rust)",
    "curl": "make peers, or your package manager",
}


def find_peer(program: str) -> str:
    """Return the path of `program`, or skip or fail naming the remedy.

    Looked for in ``$FASTSOCKS_PEERS/bin`` (default ``~/.cache/fastsocks-peers``),
    then along PATH.
    """
    prefix = Path(os.environ.get("FASTSOCKS_PEERS") or "~/.cache/fastsocks-peers").expanduser()
    found = shutil.which(program, path=str(prefix / "bin")) or shutil.which(program)
    if found is None:
        reason = f"{program} is missing; get it by {REMEDIES[program]}"
        if os.environ.get("FASTSOCKS_REQUIRE_PEERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found
