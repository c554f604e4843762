"""Memory that processes share: those made by fork, and those that are handed its descriptor.

    body      as many bytes as asked for, zeros at first; what they mean is its user's
    trailer   32 bytes: what is in it, and the version of how the body is laid out

It lies in a memfd, whose name (`fastsocks-salts`, say) stands in ``/proc/PID/maps``; where the
system has none, in anonymous memory, which processes made by fork share, but nobody can be handed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct

_MAGIC = b"fastsock"
_TRAILER = struct.Struct("=8sI20s")

#: Linux 6.3: nobody executes what lies in there; not in Python's `os` before 3.14.
_NOEXEC_SEAL = 0x0008


class SharedMemory:
    """Maps memory that processes share; see the module.

    The kernel gives each page when it is first written to.

    :param purpose: what is in it, in 20 letters at most.
    :param size: bytes of the body, 1 or more.
    :param layout: version of how it is laid out, from 1 on.
    :param descriptor: that of another process's memory for the same purpose, this object's from
        now on; by default new memory is made.
    :raises ValueError: at `descriptor` there is something else, or another layout or size of it;
        the descriptor is closed then.
    :raises OSError: there is no memory.
    """

    __slots__ = ("descriptor", "layout", "map", "purpose")

    def __init__(
        self, purpose: str, size: int, layout: int, *, descriptor: int | None = None
    ) -> None:
        self.purpose = purpose
        self.layout = layout
        #: Not inherited by programs that are executed; -1 for anonymous memory.
        self.descriptor = -1
        trailer = _TRAILER.pack(_MAGIC, layout, purpose.encode())
        if descriptor is None:
            descriptor = _new(purpose, size, trailer)
        else:
            _check(descriptor, purpose, size, trailer)
        try:
            #: The body.
            self.map = mmap.mmap(descriptor, size)
        except BaseException:
            _close(descriptor)
            raise
        self.descriptor = descriptor

    def __del__(self) -> None:
        # The map has a descriptor of its own.
        _close(self.descriptor)


def _new(purpose: str, size: int, trailer: bytes) -> int:
    """Return the descriptor of a new memfd, or -1 where there is none to be had."""
    descriptor = -1
    try:
        try:
            descriptor = os.memfd_create(f"fastsocks-{purpose}", os.MFD_CLOEXEC | _NOEXEC_SEAL)
        except OSError:  # Linux before 6.3
            descriptor = os.memfd_create(f"fastsocks-{purpose}")
        os.ftruncate(descriptor, size + len(trailer))
        os.pwrite(descriptor, trailer, size)
    except (AttributeError, OSError):  # not on Linux; forbidden; no descriptor left
        _close(descriptor)
        return -1
    return descriptor


def _check(descriptor: int, purpose: str, size: int, trailer: bytes) -> None:
    """Raise a ValueError where a descriptor is not that of such memory."""
    try:
        found_size = os.fstat(descriptor).st_size - len(trailer)
        found = os.pread(descriptor, len(trailer), max(found_size, 0))
        if found == trailer and found_size == size:
            return
        magic, layout, name = _TRAILER.unpack(found.ljust(len(trailer), b"\0"))
        what = "no memory of fastsocks"
        if magic == _MAGIC:
            what = f"{found_size} bytes of {name.rstrip(bytes(1)).decode()!r}, layout {layout}"
        wanted = _TRAILER.unpack(trailer)[1]
        raise ValueError(f"{what}, where {size} of {purpose!r}, layout {wanted}, belong")
    except BaseException:
        _close(descriptor)
        raise


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        with contextlib.suppress(OSError):
            os.close(descriptor)
