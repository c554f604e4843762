"""The primitives of both twins, and their vectors."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from twins import IMPLEMENTATIONS, import_twin

_VECTORS = Path(__file__).parent.parent / "vectors"


@pytest.fixture(scope="session", params=IMPLEMENTATIONS)
def primitives(request: pytest.FixtureRequest) -> ModuleType:
    """Each twin in turn."""
    return import_twin("fastsocks.crypto", "_primitives", request.param)


@pytest.fixture(scope="session")
def twin_primitives() -> tuple[ModuleType, ModuleType]:
    """Both twins, to be compared."""
    cython, python = (
        import_twin("fastsocks.crypto", "_primitives", implementation)
        for implementation in IMPLEMENTATIONS
    )
    return cython, python


@pytest.fixture(scope="session")
def kdf_vectors() -> Any:
    return json.loads((_VECTORS / "kdf.json").read_text())


@pytest.fixture(scope="session")
def aead_vectors() -> Any:
    return json.loads((_VECTORS / "aead.json").read_text())


@pytest.fixture(scope="session")
def stream_vectors() -> Any:
    return json.loads((_VECTORS / "stream.json").read_text())
