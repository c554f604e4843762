"""A lock among the threads of a process and its children."""

from __future__ import annotations

import threading
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class ProcessLock:
    """A lock that the kernel takes back from a process that dies; processes made by fork share it.

    Where there is no fork it is one among threads alone.
    """

    def __init__(self) -> None:
        import tempfile

        self._threads = threading.Lock()
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115

    def __del__(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        import fcntl

        self._threads.acquire()
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
        except BaseException:
            # Else the next one would wait for good, and the loop with it.
            self._threads.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        import fcntl

        fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._threads.release()
