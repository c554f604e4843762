"""The Shadowsocks codecs on either twin, and their vectors."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shadowsocks_ends import import_shadowsocks
from twins import IMPLEMENTATIONS

_VECTORS = Path(__file__).parent.parent / "vectors"


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def shadowsocks(request: pytest.FixtureRequest) -> ModuleType:
    """fastsocks.shadowsocks on each twin in turn."""
    return import_shadowsocks(request.param)


@pytest.fixture(scope="session")
def shadowsocks_twins() -> tuple[ModuleType, ModuleType]:
    """Both at once, for tests that compare them or connect them."""
    cython, python = (import_shadowsocks(one) for one in IMPLEMENTATIONS)
    return cython, python


def _by_method(name: str) -> dict[str, Any]:
    vectors = json.loads((_VECTORS / name).read_text())
    return {vector["method"]: vector for vector in vectors["vectors"]} | {
        key: value for key, value in vectors.items() if key != "vectors"
    }


@pytest.fixture(scope="session")
def aead() -> dict[str, Any]:
    """The vectors of SIP004 by method."""
    return _by_method("aead.json")


@pytest.fixture(scope="session")
def aead_2022() -> dict[str, Any]:
    """The vectors of SIP022 by method."""
    return _by_method("aead2022.json")


@pytest.fixture(scope="session")
def stream() -> dict[str, Any]:
    """The vectors of the stream ciphers by method."""
    return _by_method("stream.json")
