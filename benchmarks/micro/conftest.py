"""What the micro benchmarks share: every one runs on both implementations, side by side."""

from __future__ import annotations

from typing import cast

import pytest

import twins


@pytest.fixture(params=twins.IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    """``cython`` and ``python`` in turn, for `twins.import_twin`."""
    return cast("str", request.param)
