"""What ``--version`` prints."""

from __future__ import annotations

import platform

import fastsocks

from .loop import loop_name


def version_line() -> str:
    """Return the versions of all that matters here.

    :raises ConfigError: the environment asks for a loop that is not there.
    :raises ImportError: it asks for an implementation that is not there.
    """
    from fastsocks.crypto import libcrypto_version

    return (
        f"fastsocks {fastsocks.__version__} ({fastsocks.__impl__}), "
        f"Python {platform.python_version()}, {loop_name()}, {libcrypto_version()}"
    )
