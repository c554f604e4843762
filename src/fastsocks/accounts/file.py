"""Files of accounts: a user name and the hash of a password on each line."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fastsocks.config.accounts import LONGEST_CREDENTIAL
from fastsocks.config.text import read_text_file
from fastsocks.errors import ConfigError

if TYPE_CHECKING:
    from fastsocks.crypto.passwords import ScryptHash

#: Largest file in bytes: more than 100 000 users.
_LARGEST = 16 * 1024 * 1024


def read_accounts_file(path: str | os.PathLike[str]) -> dict[bytes, ScryptHash]:
    """Read hashes by user name, from lines ``USER:HASH``; empty lines and ``#`` ones say nothing.

    :raises ConfigError: it cannot be read, or has a wrong line; repeats nothing of it.
    """
    from fastsocks.crypto.passwords import ScryptHash

    accounts: dict[bytes, ScryptHash] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        name, colon, text = line.partition(b":")
        try:
            if not colon or not 1 <= len(name) <= LONGEST_CREDENTIAL:
                raise ValueError("write USER:HASH, as `fastsocks passwd` does")
            if name in accounts:
                raise ValueError("this user is there twice")
            accounts[name] = ScryptHash(text.strip().decode("ascii", "replace"))
        except ValueError as error:
            raise ConfigError(f"{os.fspath(path)}: line {number}: {error}") from None
    return accounts


def read_lines(path: str | os.PathLike[str]) -> list[bytes]:
    """Return the lines of a file of accounts, without their ends.

    :raises ConfigError: it cannot be read.
    """
    try:
        return read_text_file(path, _LARGEST).splitlines()
    except ConfigError as error:
        raise ConfigError(
            f"{os.fspath(path)}: {error}; `fastsocks passwd` makes such a file"
        ) from None


def open_to_others(path: str | os.PathLike[str]) -> bool:
    """Tell whether other users of this machine can read a file."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return sys.platform != "win32" and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
