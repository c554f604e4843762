"""The key of the first run: where it is, who can read it, and that it stays."""

from __future__ import annotations

import json
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from configured import configure_server
from fastsocks.cli.key_file import METHOD, has_kept_key, keep_key, kept_file
from fastsocks.errors import ConfigError

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes of files")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "fastsocks" / "server.json"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a/server.json"),
        ({"STATE_DIRECTORY": "/var/lib/a", "XDG_STATE_HOME": "/x"}, "/var/lib/a/server.json"),
        ({"XDG_STATE_HOME": "/x"}, "/x/fastsocks/server.json"),
    ],
)
def test_where_the_environment_says(environ: dict[str, str], expected: str) -> None:
    assert kept_file(environ) == Path(expected)


@pytest.mark.parametrize("environ", [{}, {"XDG_STATE_HOME": "relative"}, {"XDG_STATE_HOME": ""}])
@pytest.mark.parametrize(
    ("platform", "user", "expected"),
    [
        ("linux", 1000, "/home/a/.local/state/fastsocks/server.json"),
        ("linux", 0, "/var/lib/fastsocks/server.json"),
        ("darwin", 501, "/home/a/Library/Application Support/fastsocks/server.json"),
        ("darwin", 0, "/Library/Application Support/fastsocks/server.json"),
    ],
)
@posix
def test_where_the_platform_says(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    platform: str,
    user: int,
    expected: str,
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("HOME", "/home/a")
    assert kept_file(environ) == Path(expected)


def test_it_is_made_once_and_is_a_configuration(path: Path) -> None:
    assert not has_kept_key(path)
    assert keep_key(path)
    content = path.read_text("utf-8")
    assert has_kept_key(path)
    assert not keep_key(path)
    assert path.read_text("utf-8") == content
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    found = configure_server(file=path, environ={})
    assert found.warnings == ()
    assert found.services[0].options.method == METHOD
    assert json.loads(content)["password"] == found.services[0].options.password


@posix
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_it_whatever_the_umask(path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        keep_key(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_one_that_others_can_get_at_is_refused(path: Path, mode: int) -> None:
    keep_key(path)
    path.chmod(mode)
    for function in (has_kept_key, keep_key):
        with pytest.raises(ConfigError, match=rf"its mode is {mode:04o}.*chmod 600"):
            function(path)


@posix
def test_one_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_key(path)
    own = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    if own == 0:  # that of root is nobody's trap, if it can be read at all
        assert has_kept_key(path)
    else:
        with pytest.raises(ConfigError, match="belongs to another user"):
            has_kept_key(path)


def test_what_is_no_file_or_no_folder_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ConfigError, match="this is not a file"):
        keep_key(path)
    occupied = path.parent / "occupied"
    occupied.write_text("")
    for beyond in (occupied / "server.json", occupied / "folder" / "server.json"):
        with pytest.raises(ConfigError, match="--password-file"):
            keep_key(beyond)


def test_several_servers_that_start_at_once_have_one_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        new = list(threads.map(lambda _: (keep_key(path), path.read_text("utf-8")), range(8)))
    assert [made for made, _ in new].count(True) == 1
    assert len({content for _, content in new}) == 1
    assert [file.name for file in path.parent.iterdir()] == [path.name]
