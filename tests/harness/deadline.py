"""The one deadline of the harness, and waiting for what announces itself by no event."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

DEADLINE = 20.0 * float(os.environ.get("TEST_PATIENCE", "1"))
"""Seconds after which a test gives up; nothing that works comes near it.

``TEST_PATIENCE`` multiplies it for builds that are slow by design.
"""

_POLL_INTERVAL = 0.02


def wait_until(condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Wait for a state that can only be polled, such as a figure in /proc.

    :param condition: true once the state is reached.
    :param what: names the state in the error.
    :param deadline: seconds to wait at most.
    :raises TimeoutError: the state was not reached.
    """
    end = time.monotonic() + deadline
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline} s: {what}")
        pause.wait(_POLL_INTERVAL)
