"""``fastsocks passwd``."""

from __future__ import annotations

import codecs
import contextlib
import os
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from fastsocks.config.accounts import LONGEST_CREDENTIAL
from fastsocks.config.accounts_file import read_accounts_file, read_lines
from fastsocks.errors import ConfigError


def change_account(file: str, user: str, *, delete: bool) -> None:
    """Set or take out a user's password in a file of accounts.

    :raises ConfigError: the name or the password cannot be, the file cannot be read or written,
        or has no such user to take out.
    """
    name = os.fsencode(user)
    if not 1 <= len(name) <= LONGEST_CREDENTIAL:
        raise ConfigError("USER: a name has 1 to 255 bytes (RFC 1929)")
    if b":" in name or name.startswith(b"#") or name != name.strip() or not user.isprintable():
        raise ConfigError("USER: no colon, no control character, no # or space in front")
    path = Path(os.path.realpath(file))
    known = {}
    lines: list[bytes] = []
    if path.exists():
        known = read_accounts_file(path)
        lines = read_lines(path)
    if delete:
        if name not in known:
            raise ConfigError(f"{file}: it has no user {user!r}")
        _replace(path, [line for line in lines if not line.startswith(name + b":")])
        click.echo(f"{user} is no longer in {file}", err=True)
        return
    from fastsocks.crypto.passwords import ScryptHash

    entry = name + b":" + ScryptHash.of(_read_password()).text.encode()
    if name in known:
        lines = [entry if line.startswith(name + b":") else line for line in lines]
    else:
        lines.append(entry)
    _replace(path, lines)
    click.echo(f"{user} is {'changed' if name in known else 'added'} in {file}", err=True)


def _read_password() -> bytes:
    if sys.stdin.isatty():
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        password = text.encode("utf-8", "surrogateescape")
    else:
        # One byte more than there may be, a byte order mark and the end of the line.
        line = sys.stdin.buffer.readline(LONGEST_CREDENTIAL + 6)
        password = line.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").removesuffix(b"\r")
    if not 1 <= len(password) <= LONGEST_CREDENTIAL:
        raise ConfigError("the password: it has 1 to 255 bytes (RFC 1929)")
    if password.endswith(b"\0"):
        raise ConfigError("the password: it cannot end in NUL")
    return password


def _replace(path: Path, lines: Iterable[bytes]) -> None:
    """Put a file in the place of another, whole and synced, readable by its owner alone."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(line + b"\n" for line in lines)
                file.flush()
                os.fsync(file.fileno())
                if hasattr(os, "fchown"):
                    # Root changes what a service of its own has.
                    with contextlib.suppress(OSError):
                        before = path.stat()
                        os.fchown(file.fileno(), before.st_uid, before.st_gid)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
