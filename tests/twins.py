"""Import either twin of a hot module, so that one test runs on both.

With ``FASTSOCKS_REQUIRE_EXTENSIONS=1`` a Cython twin that is not built fails the
test; without it the test is skipped.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
from pathlib import Path
from types import ModuleType
from typing import Final, NoReturn

import pytest

import fastsocks

IMPLEMENTATIONS: Final = ("cython", "python")

REMEDY = "build the extension modules: make build"

_SOURCE = Path(__file__).parent.parent / "src"


def import_twin(package: str, name: str, implementation: str) -> ModuleType:
    """Import `package`.`name` (cython) or `package`.`name`_py (python).

    :param package: dotted name, ``fastsocks.crypto``.
    :param name: module name of the Cython twin, ``_primitives``.
    :param implementation: ``cython`` or ``python``.
    :return: the module; the test is skipped or fails where it is not built.
    :raises ImportError: the module is there, but does not load.
    """
    if implementation == "python":
        return importlib.import_module(f"{package}.{name}_py")
    if not is_built(f"{package}.{name}"):
        missing_extension(f"{package}.{name}")
    return importlib.import_module(f"{package}.{name}")


def is_built(module: str) -> bool:
    """Tell whether the extension module `module` is there, without importing it."""
    _, *packages, _ = module.split(".")
    folder = Path(next(iter(fastsocks.__path__))).joinpath(*packages)
    return importlib.machinery.PathFinder.find_spec(module, [str(folder)]) is not None


def extension_modules() -> list[str]:
    """Return the dotted names of all Cython modules of this source tree."""
    return [
        ".".join(path.relative_to(_SOURCE).with_suffix("").parts)
        for path in sorted(_SOURCE.glob("fastsocks/**/*.pyx"))
    ]


def missing_extension(module: str) -> NoReturn:
    """Skip, or fail under ``FASTSOCKS_REQUIRE_EXTENSIONS=1``, naming the remedy."""
    reason = f"{module} is not built; {REMEDY}"
    if os.environ.get("FASTSOCKS_REQUIRE_EXTENSIONS") == "1":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)
