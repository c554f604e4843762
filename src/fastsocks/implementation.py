"""Which implementation runs: the Cython extension modules or pure Python.

``FASTSOCKS_IMPL`` decides: ``cython`` or ``python`` insist on one, ``auto`` (the
default) takes the extension modules where they were built.

Whoever selects a twin writes this, and nothing else asks::

    if TYPE_CHECKING or IMPLEMENTATION == "python":
        from ._name_py import Name
    else:
        from ._name import Name

Type checkers then see the twin that has types, and Python loads no more than the one that runs.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from pathlib import Path
from typing import Literal

Implementation = Literal["cython", "python"]

_VARIABLE = "FASTSOCKS_IMPL"
_PROBE = "fastsocks.crypto._primitives"


def _choose(wanted: str) -> Implementation:
    if wanted not in ("auto", "cython", "python"):
        raise ImportError(f"{_VARIABLE}={wanted!r}: use auto, cython or python")
    if wanted == "python":
        return "python"
    # The path is given because looking it up would import fastsocks.crypto, which asks us.
    folder = Path(__file__).parent / "crypto"
    if importlib.machinery.PathFinder.find_spec(_PROBE, [str(folder)]) is None:
        problem = "the extension modules are not built"
        if wanted == "cython":
            raise ImportError(
                f"{_VARIABLE}=cython, but {problem}: reinstall fastsocks with a C compiler "
                "and the headers of OpenSSL 3.0 or later, or take a prebuilt wheel"
            )
        import logging  # only here: `--help` comes this way, and is quick

        logging.getLogger("fastsocks").warning(
            "running the slower pure-Python implementation: %s; install a prebuilt wheel, or "
            "a C compiler and the headers of OpenSSL, or set %s=python to say that it is meant",
            problem,
            _VARIABLE,
        )
        return "python"
    # Extension modules that are there but do not load (a libcrypto too old, say)
    # raise where they are imported: a broken installation must not pass for a slow one.
    return "cython"


IMPLEMENTATION: Implementation = _choose(os.environ.get(_VARIABLE) or "auto")

#: That of modules that wait with epoll and receive with recvmmsg, which only Linux has.
LINUX_IMPLEMENTATION: Implementation = IMPLEMENTATION if sys.platform == "linux" else "python"
