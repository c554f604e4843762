"""The fixture of either event loop, and limits that count by either twin."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

import fastsocks.implementation
from fastsocks.policy import limits
from harness.loops import run
from twins import IMPLEMENTATIONS, import_twin

__all__ = ["limits_class", "run"]


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def limits_class(request: pytest.FixtureRequest) -> Any:
    """ClientLimits over each twin in turn."""
    import_twin("fastsocks.policy", "_admissions", request.param)
    spec = importlib.util.spec_from_file_location(limits.__name__, limits.__file__)
    assert spec is not None
    assert spec.loader is not None
    copy: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastsocks.implementation, "IMPLEMENTATION", request.param)
        spec.loader.exec_module(copy)
    assert ("_py" in copy.Admission.__module__) == (request.param == "python")
    copy.Cap = limits.Cap
    return copy.ClientLimits
