"""Which event loop runs.

``FASTSOCKS_LOOP`` decides: ``uvloop`` or ``asyncio`` insist on one, ``auto`` (the default)
takes uvloop where it is installed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastsocks.errors import ConfigError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import ModuleType

_VARIABLE = "FASTSOCKS_LOOP"


def loop_name() -> str:
    """Return ``uvloop`` with its version, or ``asyncio``.

    :raises ConfigError: the loop that is asked for is not there.
    """
    uvloop = _uvloop()
    return "asyncio" if uvloop is None else f"uvloop {uvloop.__version__}"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what :class:`asyncio.Runner` takes; None is asyncio's own.

    :raises ConfigError: the loop that is asked for is not there.
    """
    uvloop = _uvloop()
    return None if uvloop is None else uvloop.new_event_loop


def _uvloop() -> ModuleType | None:
    wanted = os.environ.get(_VARIABLE) or "auto"
    if wanted not in ("auto", "uvloop", "asyncio"):
        raise ConfigError(f"{_VARIABLE}={wanted!r}: use auto, uvloop or asyncio")
    if wanted == "asyncio":
        return None
    try:
        import uvloop
    except ModuleNotFoundError as error:
        if wanted == "uvloop":
            raise ConfigError(
                f"{_VARIABLE}=uvloop, but it is missing: pip install uvloop"
            ) from error
        return None
    return uvloop
