"""`fastsocks passwd`, at a terminal and without one."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from fastsocks.accounts.file import read_accounts_file
from harness.deadline import DEADLINE
from harness.services import environment, fastsocks_command
from harness.terminal import Terminal


def passwd(*arguments: str, password: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        fastsocks_command("passwd", *arguments),
        input=password,
        env=environment(),
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )


def test_a_file_from_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    steps = [
        (["alice"], b"one\n", "alice is added"),
        (["bobby"], b"\xff\r\nnot this\n", "bobby is added"),
        (["alice"], b"\xef\xbb\xbfthree\r\n", "alice is changed"),
    ]
    for arguments, password, said in steps:
        done = passwd(*arguments[:-1], str(path), arguments[-1], password=password)
        assert (done.returncode, done.stdout) == (0, b"")
        assert said in done.stderr.decode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = read_accounts_file(path)
    assert list(found) == [b"alice", b"bobby"]
    assert found[b"alice"].matches(b"three")
    assert found[b"bobby"].matches(b"\xff")
    assert b"three" not in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]
    assert passwd("--delete", str(path), "alice").returncode == 0
    assert list(read_accounts_file(path)) == [b"bobby"]


def test_what_else_the_file_has_stays(tmp_path: Path) -> None:
    path, link = tmp_path / "accounts", tmp_path / "link"
    passwd(str(path), "alice", password=b"one\n")
    before = b"# ours\n\n" + path.read_bytes()
    path.write_bytes(before)
    link.symlink_to(path)
    assert passwd(str(link), "bob", password=b"two\n").returncode == 0
    assert link.is_symlink()
    assert path.read_bytes().startswith(before + b"bob:$scrypt$")


def test_at_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    command = fastsocks_command("passwd", str(path), "alice")
    with Terminal(command, environment()) as terminal:
        terminal.wait_for("Password: ")
        terminal.type("hunter2")
        terminal.wait_for("Repeat for confirmation: ")
        terminal.type("hunter2")
        assert terminal.wait() == 0
        assert "alice is added" in terminal.output
        assert "hunter2" not in terminal.output
    assert read_accounts_file(path)[b"alice"].matches(b"hunter2")


@pytest.mark.parametrize(
    ("arguments", "password", "said"),
    [
        (["alice"], b"", "the password: it has 1 to 255 bytes"),
        (["alice"], b"\n", "the password: it has 1 to 255 bytes"),
        (["alice"], b"p" * 256, "the password: it has 1 to 255 bytes"),
        (["alice"], b"one\0", "the password: it cannot end in NUL"),
        (["a" * 256], b"one", "USER: a name has 1 to 255 bytes"),
        ([""], b"one", "USER: a name has 1 to 255 bytes"),
        (["a:b"], b"one", "USER: no colon"),
        (["#a"], b"one", "USER: no colon"),
        (["a\nb"], b"one", "USER: no colon"),
        (["--delete", "alice"], b"", "it has no user 'alice'"),
    ],
)
def test_what_cannot_be(tmp_path: Path, arguments: list[str], password: bytes, said: str) -> None:
    path = tmp_path / "accounts"
    done = passwd(*arguments[:-1], str(path), arguments[-1], password=password)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert not path.exists()


LIST = b"\xef\xbb\xbf# of the office\r\nalice:one:with a colon\r\n\r\nbob: two \r\ncarol:three"


@pytest.mark.parametrize("source", ["file", "-", "input"])
def test_a_list(tmp_path: Path, source: str) -> None:
    path, listed = tmp_path / "accounts", tmp_path / "list"
    listed.write_bytes(LIST)
    assert passwd(str(path), "bob", password=b"before\n").returncode == 0
    given = {"file": ["--from-file", str(listed)], "-": ["--from-file", "-"], "input": []}[source]
    done = passwd(str(path), *given, password=b"" if source == "file" else LIST)
    assert (done.returncode, done.stdout) == (0, b"")
    assert "2 users are added and 1 changed" in done.stderr.decode()
    found = read_accounts_file(path)
    assert list(found) == [b"bob", b"alice", b"carol"]
    assert found[b"alice"].matches(b"one:with a colon")
    assert found[b"bob"].matches(b" two ")
    assert found[b"carol"].matches(b"three")


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (b"alice:one\nbob", "standard input: line 2: write USER:PASSWORD"),
        (b"alice:", "standard input: line 1: it has 1 to 255 bytes"),
        (b":one", "standard input: line 1: a name has 1 to 255 bytes"),
        (b" alice:secret-word", "standard input: line 1: no colon, no control character"),
        (b"alice:secret-word\0", "standard input: line 1: it cannot end in NUL"),
        (b"alice:secret-word\nalice:two", "standard input: line 2: this user is there twice"),
        (b"\n# nobody\n", "standard input: there is no line USER:PASSWORD"),
    ],
)
def test_a_list_that_cannot_be(tmp_path: Path, listed: bytes, said: str) -> None:
    path = tmp_path / "accounts"
    done = passwd(str(path), password=listed)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert b"secret-word" not in done.stderr
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["alice", "--from-file", "list"], "USER: leave it out"),
        (["--delete", "--from-file", "list"], "--delete: name the USER"),
        (["--from-file", "missing"], "missing: No such file"),
    ],
)
def test_flags_that_do_not_go_together(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = passwd(str(tmp_path / "accounts"), *arguments, password=b"one\n")
    assert done.returncode == 2
    assert said in done.stderr.decode()


def test_the_longest_password(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    assert passwd(str(path), "alice", password=b"p" * 255 + b"\r\n").returncode == 0
    assert read_accounts_file(path)[b"alice"].matches(b"p" * 255)


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "accounts"
    path.write_text("not accounts\n")
    done = passwd(str(path), "alice", password=b"one\n")
    assert done.returncode == 2
    assert b"line 1" in done.stderr
    assert path.read_text() == "not accounts\n"
    done = passwd(str(tmp_path / "no folder" / "accounts"), "alice", password=b"one\n")
    assert done.returncode == 2
    assert b"No such file" in done.stderr
