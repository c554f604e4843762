"""The key of a server that was given none: made once, and kept for its next start."""

from __future__ import annotations

import json
import os
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from fastsocks.errors import ConfigError

METHOD = "2022-blake3-aes-128-gcm"

#: A configuration file like any other.
_NAME = "server.json"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_INSTEAD = "give it a key by --password-file or -c, or another folder by XDG_STATE_HOME"


def kept_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the key is kept, whether or not there is one yet.

    The first folder that systemd names (``StateDirectory=``), or the state folder of the user,
    which is one of the system for root.

    :param environ: by default that of the process.
    :raises ConfigError: the user has no home.
    """
    environ = os.environ if environ is None else environ
    if folders := environ.get("STATE_DIRECTORY"):
        return Path(folders.split(":")[0], _NAME)
    home = environ.get("XDG_STATE_HOME", "")
    # The specification has relative ones ignored.
    if Path(home).is_absolute():
        return Path(home, "fastsocks", _NAME)
    return _folder(environ) / "fastsocks" / _NAME


def _folder(environ: Mapping[str, str]) -> Path:
    if sys.platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return Path(local) if local else _home() / "AppData" / "Local"
    is_root = os.geteuid() == 0
    if sys.platform == "darwin":
        return (Path("/") if is_root else _home()) / "Library" / "Application Support"
    return Path("/var/lib") if is_root else _home() / ".local" / "state"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise ConfigError(f"there is no home folder to keep a key in; {_INSTEAD}") from None


def has_kept_key(path: Path) -> bool:
    """Tell whether there is a key that nobody else can read.

    :raises ConfigError: there is one, and others can read it or have written it.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; {_INSTEAD}") from None
    if sys.platform == "win32":
        return True
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path}: this is not a file; {_INSTEAD}")
    if status.st_mode & _OTHERS:
        raise ConfigError(
            f"{path}: other users may have read this key, its mode is "
            f"{stat.S_IMODE(status.st_mode):04o}: remove it for a new key, or keep it by "
            f"chmod 600 {path}"
        )
    # Root looks at what a service of its own has.
    if os.geteuid() not in (0, status.st_uid) and status.st_uid:
        raise ConfigError(f"{path}: it belongs to another user; {_INSTEAD}")
    return True


def keep_key(path: Path) -> bool:
    """Make a key at `path`, unless there is one.

    :return: whether it is new.
    :raises ConfigError: it cannot be written, or others can read the one that is there.
    """
    if has_kept_key(path):
        return False
    from fastsocks.shadowsocks import generate_key

    text = json.dumps({"method": METHOD, "password": generate_key(METHOD)}, indent=2) + "\n"
    unfinished = path.with_name(f".{_NAME}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _write(unfinished, text)
            _put_in_place(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except FileExistsError:
        # Another server has started at the same time, and was first.
        return not has_kept_key(path)
    except OSError as error:
        raise ConfigError(f"cannot keep a key in {path}: {error.strerror}; {_INSTEAD}") from None
    return True


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Give a file its name, whole and synced, but never in the place of another."""
    if sys.platform == "win32":
        unfinished.rename(path)
        return
    os.link(unfinished, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
