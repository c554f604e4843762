"""Files of accounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from configured import configure_proxy
from fastsocks.accounts.file import open_to_others, read_accounts_file
from fastsocks.config import ProxyOptions
from fastsocks.errors import ConfigError

HASH = "$scrypt$ln=4,r=1,p=1$c29tZXNhbHQ$" + "A" * 43


def write(folder: Path, data: bytes) -> Path:
    file = folder / "accounts"
    file.write_bytes(data)
    return file


def test_lines(tmp_path: Path) -> None:
    text = f"# comment\n\nalice:{HASH}\r\nb b:{HASH} \n".encode() + b"\xff:" + HASH.encode()
    found = read_accounts_file(write(tmp_path, text))
    assert list(found) == [b"alice", b"b b", b"\xff"]
    assert {one.text for one in found.values()} == {HASH}
    assert read_accounts_file(write(tmp_path, b"")) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"alice", 1),
        (b"alice:secret-word", 1),
        (f"alice:{HASH}\n\n:{HASH}".encode(), 3),
        (f"alice:{HASH}\nalice:{HASH}".encode(), 2),
        (b"a" * 256 + b":" + HASH.encode(), 1),
        (b"alice:\xff\xfe", 1),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(tmp_path: Path, text: bytes, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        read_accounts_file(write(tmp_path, text))
    assert str(caught.value).startswith(f"{tmp_path / 'accounts'}: line {line}: ")
    assert "secret-word" not in str(caught.value)
    assert HASH not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path, "\0"):
        with pytest.raises(ConfigError, match="fastsocks passwd"):
            read_accounts_file(path)


def test_who_can_read_it(tmp_path: Path) -> None:
    file = write(tmp_path, b"")
    for mode, others in ((0o600, False), (0o400, False), (0o640, True), (0o604, True)):
        file.chmod(mode)
        assert open_to_others(file) is others
    assert not open_to_others(tmp_path / "missing")


def test_it_stands_beside_the_configuration_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('accounts_file = "users"\nlocal_address = "0.0.0.0"\n')
    found = configure_proxy(file=file, environ={})
    assert found.services[0].options.accounts_file == str(tmp_path / "users")
    # It is no open proxy.
    assert found.warnings == ()


def test_one_who_decides() -> None:
    async def authenticate(username: str, password: str, peer: object) -> bool:
        return True

    assert ProxyOptions(authenticate=authenticate).has_accounts
    assert not ProxyOptions().has_accounts
    for other in ({"accounts": {"a": "b"}}, {"accounts_file": "users"}):
        with pytest.raises(ConfigError, match="authenticate: there are accounts, too"):
            ProxyOptions(authenticate=authenticate, **other)
