"""``fastsocks passwd``."""

from __future__ import annotations

import codecs
import contextlib
import os
import secrets
import sys
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

import click

from fastsocks.accounts.file import read_accounts_file, read_lines
from fastsocks.config.accounts import LONGEST_CREDENTIAL
from fastsocks.config.text import as_utf8, read_text_file
from fastsocks.errors import ConfigError

#: Largest list of users and passwords that is read, in bytes.
_LARGEST_LIST = 16 * 1024 * 1024


def change_account(file: str, user: str, *, delete: bool) -> None:
    """Set or take out a user's password in a file of accounts.

    :raises ConfigError: the name or the password cannot be, the file cannot be read or written,
        or has no such user to take out.
    """
    name = os.fsencode(user)
    _check_name(name, "USER")
    path = Path(os.path.realpath(file))
    if delete:
        known, lines = _read(path)
        if name not in known:
            raise ConfigError(f"{file}: it has no user {user!r}")
        _replace(path, [line for line in lines if not line.startswith(name + b":")])
        click.echo(f"{user} is no longer in {file}", err=True)
        return
    _read(path)
    changed = _set(path, {name: _read_password()})
    click.echo(f"{user} is {'changed' if changed else 'added'} in {file}", err=True)


def change_accounts(file: str, user: str | None, listed: str | None, *, delete: bool) -> None:
    """Set the passwords of a list in a file of accounts: of all its users, or of none.

    :param user: None; it is given to say what is wrong with it.
    :param listed: the file of the list; None and ``-`` are standard input.
    :raises ConfigError: a line of the list cannot be, or a file cannot be read or written.
    """
    if user is not None:
        raise ConfigError("USER: leave it out where --from-file names the users")
    if delete:
        raise ConfigError("--delete: name the USER; a list is for setting passwords")
    passwords = _read_list(listed)
    path = Path(os.path.realpath(file))
    _read(path)
    changed = _set(path, passwords)
    added = len(passwords) - changed
    click.echo(f"{added} users are added and {changed} changed in {file}", err=True)


def _read_list(listed: str | None) -> dict[bytes, bytes]:
    """Read passwords by user name, from lines ``USER:PASSWORD``; ``#`` begins a comment."""
    where = "standard input" if listed in (None, "-") else str(listed)
    try:
        if listed is not None and listed != "-":
            data = read_text_file(listed, _LARGEST_LIST)
        elif listed is None and sys.stdin.isatty():
            raise ConfigError("USER: name one, or give a list (--from-file, or standard input)")
        else:
            data = as_utf8(sys.stdin.buffer.read(_LARGEST_LIST + 1))
            if len(data) > _LARGEST_LIST:
                raise ConfigError("it is larger than 16 MiB, the most that is read")
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    passwords: dict[bytes, bytes] = {}
    for number, line in enumerate(data.replace(b"\r\n", b"\n").split(b"\n"), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        name, colon, password = line.partition(b":")
        place = f"{where}: line {number}"
        if not colon:
            raise ConfigError(f"{place}: write USER:PASSWORD")
        _check_name(name, place)
        _check_password(password, place)
        if name in passwords:
            raise ConfigError(f"{place}: this user is there twice")
        passwords[name] = password
    if not passwords:
        raise ConfigError(f"{where}: there is no line USER:PASSWORD")
    return passwords


def _check_name(name: bytes, where: str) -> None:
    if not 1 <= len(name) <= LONGEST_CREDENTIAL:
        raise ConfigError(f"{where}: a name has 1 to 255 bytes (RFC 1929)")
    printable = name.decode("utf-8", "surrogateescape").isprintable()
    if b":" in name or name.startswith(b"#") or name != name.strip() or not printable:
        raise ConfigError(f"{where}: no colon, no control character, no # or space in front")


def _check_password(password: bytes, where: str) -> None:
    if not 1 <= len(password) <= LONGEST_CREDENTIAL:
        raise ConfigError(f"{where}: it has 1 to 255 bytes (RFC 1929)")
    if password.endswith(b"\0"):
        raise ConfigError(f"{where}: it cannot end in NUL")


def _read(path: Path) -> tuple[Container[bytes], list[bytes]]:
    """Return the users and the lines of a file of accounts, which need not be there yet."""
    if not path.exists():
        return (), []
    return read_accounts_file(path), read_lines(path)


def _set(path: Path, passwords: Mapping[bytes, bytes]) -> int:
    """Write hashes of passwords into a file of accounts; return how many users it had already."""
    from concurrent.futures import ThreadPoolExecutor

    from fastsocks.crypto.passwords import ScryptHash

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        hashes = list(threads.map(ScryptHash.of, passwords.values()))
    entries = {
        name: name + b":" + hashed.text.encode()
        for name, hashed in zip(passwords, hashes, strict=True)
    }
    # Read again: hashes take their time.
    known, lines = _read(path)
    lines = [entries.get(line.partition(b":")[0], line) for line in lines]
    lines += [entry for name, entry in entries.items() if name not in known]
    _replace(path, lines)
    return sum(name in known for name in passwords)


def _read_password() -> bytes:
    if sys.stdin.isatty():
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        password = text.encode("utf-8", "surrogateescape")
    else:
        # One byte more than there may be, a byte order mark and the end of the line.
        line = sys.stdin.buffer.readline(LONGEST_CREDENTIAL + 6)
        password = line.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").removesuffix(b"\r")
    _check_password(password, "the password")
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
