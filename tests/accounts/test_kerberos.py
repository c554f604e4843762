"""The glue to the ``gssapi`` package, where it or its keys are missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fastsocks.config import LocalOptions, ProxyOptions
from fastsocks.errors import ConfigError
from fastsocks.service import Local, Proxy

LOCAL: Any = {"server": "192.0.2.1", "method": "aes-256-gcm", "password": "p"}


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(ConfigError, match=r"pip install 'fastsocks\[gssapi\]'.*libkrb5-dev"):
        Proxy(ProxyOptions(gssapi=True))


def test_without_gssapi_the_package_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    Proxy(ProxyOptions())


@pytest.mark.parametrize(
    "start",
    [
        lambda **options: Proxy(ProxyOptions(**options)),
        lambda **options: Local(LocalOptions(**LOCAL, **options)),
    ],
    ids=["proxy", "local"],
)
@pytest.mark.parametrize("content", [None, b"", b"garbage"], ids=["missing", "empty", "garbage"])
def test_without_keys(tmp_path: Path, start: Any, content: bytes | None) -> None:
    pytest.importorskip("gssapi")
    keytab = tmp_path / "keys"
    if content is not None:
        keytab.write_bytes(content)
    with pytest.raises(ConfigError, match=f"gssapi_keytab: {keytab}: "):
        start(gssapi=True, gssapi_keytab=str(keytab))
