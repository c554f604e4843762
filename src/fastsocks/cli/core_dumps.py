"""Keeping keys out of core dumps."""

from __future__ import annotations

import sys

from fastsocks.errors import ConfigError

#: linux/prctl.h.
_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Let this process leave no core dump, and on Linux no other process of its user look into it.

    To be called again when the user has changed, because that may lift it.

    :raises ConfigError: this system cannot do it.
    """
    try:
        import resource
    except ModuleNotFoundError as error:  # Windows
        raise ConfigError("no_core_dumps: this system has no such limit; remove it") from error
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # A handler of core dumps (core_pattern) may get them whatever the limit is.
        _clear_dumpable()


def _clear_dumpable() -> None:
    import ctypes
    import os

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise ConfigError(f"no_core_dumps: {os.strerror(ctypes.get_errno())}")
