"""What all tests share: the header line and the two implementations."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
from typing import cast

import hypothesis
import pytest
from cryptography.hazmat.backends.openssl import backend

import fastsocks.implementation
import twins

# How long one example takes is the machine's matter: speed lives in benchmarks/.
hypothesis.settings.register_profile("fastsocks", deadline=None)
hypothesis.settings.load_profile("fastsocks")


def pytest_configure() -> None:
    """Open as many files as the hard limit allows: that of a shell is 1024 on most systems."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # macOS: "unlimited" is more than the kernel allows.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_report_header() -> list[str]:
    """Say which implementation and which versions these tests run on."""
    modules = twins.extension_modules()
    built = [module for module in modules if twins.is_built(module)]
    versions = [
        f"Python {platform.python_version()}",
        *(f"{name} {_version(name)}" for name in ("uvloop", "Cython")),
        f"libcrypto {_linked_libcrypto()} (cython), {backend.openssl_version_text()} (python)",
    ]
    chosen = fastsocks.implementation.IMPLEMENTATION
    count = f"{len(built)} of {len(modules)} extension modules built"
    return [f"fastsocks: {chosen} by default, {count}", ", ".join(versions)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what only root can do."""
    if item.get_closest_marker("root") and (not hasattr(os, "geteuid") or os.geteuid() != 0):
        pytest.skip("only root can: make test-root")


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _linked_libcrypto() -> str:
    if not twins.is_built("fastsocks.crypto._primitives"):
        return "not built"
    primitives = importlib.import_module("fastsocks.crypto._primitives")
    return cast(str, primitives.libcrypto_version())


@pytest.fixture(params=twins.IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    """``cython`` and ``python`` in turn: for `twins.import_twin` and for ``FASTSOCKS_IMPL``."""
    chosen = cast(str, request.param)
    probe = "fastsocks.crypto._primitives"
    if chosen == "cython" and not any(map(twins.is_built, twins.extension_modules() or [probe])):
        twins.missing_extension(probe)
    return chosen
