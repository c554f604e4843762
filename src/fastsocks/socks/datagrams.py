"""SOCKS5 datagrams: how they are read and built, and how fragments become one (RFC 1928 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.buffer import Buffer
from fastsocks.errors import ProtocolError
from fastsocks.implementation import IMPLEMENTATION

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._datagrams_py import read_datagram
else:
    from ._datagrams import read_datagram

if TYPE_CHECKING:
    from fastsocks.address import Address

__all__ = ["LARGEST_PAYLOAD", "Reassembler", "build_datagram", "read_datagram"]

#: What fits one UDP packet over IPv4, in bytes.
LARGEST_PAYLOAD = 65_507

_LAST = 0x80


def build_datagram(address: Address, payload: Buffer, fragment: int = 0) -> bytes:
    """Build RSV FRAG ATYP DST.ADDR DST.PORT DATA (RFC 1928 section 7).

    :param address: where it is for, from a server where it is from.
    :param payload: of any size.
    :param fragment: FRAG, 0..255 and 0 for a whole datagram.
    :return: the datagram, 10..262 bytes longer than `payload`.
    """
    return b"".join((b"\0\0", bytes((fragment,)), address.wire, payload))


class Reassembler:
    """The reassembly queue and timer of one association (RFC 1928 section 7).

    Fragments come as 1, 2, 3 and so on, the last one with the bit 0x80 set. The queue is
    abandoned when the timer runs out, and when a datagram comes whose FRAG is lower than the
    highest one in it, a whole datagram included, so fragments have to come in order. It is also
    abandoned where one is missing or goes to another address: it could never be completed.

    :param timeout: seconds from the first fragment to the last, 5 or more.
    :param limit: most bytes that are put together.
    :raises ValueError: a shorter timeout.
    """

    __slots__ = ("_address", "_deadline", "_highest", "_limit", "_pieces", "_size", "_timeout")

    def __init__(self, timeout: float = 5.0, limit: int = LARGEST_PAYLOAD) -> None:
        if timeout < 5:
            raise ValueError("the reassembly timer is 5 seconds at least")
        self._timeout = timeout
        self._limit = limit
        self._pieces: list[bytes] = []
        self._address: Address | None = None
        self._highest = 0
        self._size = 0
        self._deadline = 0.0

    def __len__(self) -> int:
        """How many bytes are held."""
        return self._size

    @property
    def pending(self) -> bool:
        """Whether fragments are held.

        While they are not, whole datagrams need not be shown to :meth:`add`.
        """
        return self._highest > 0

    def add(self, datagram: Buffer, now: float) -> tuple[Address, bytes] | None:
        """Take in a datagram.

        :param datagram: with its header, as :func:`read_datagram` takes it.
        :param now: monotonic time in seconds.
        :return: address and payload of what is whole now; None while fragments are missing.
        :raises ProtocolError: one that cannot be used; it is dropped, and if it is a fragment
            out of place, the queue with it.
        """
        self.expire(now)
        fragment, address, payload = read_datagram(datagram)
        if fragment == 0:
            self.clear()
            return address, payload
        position = fragment & ~_LAST
        if position == 1:
            self.clear()
            self._address = address
            self._deadline = now + self._timeout
        elif position and position == self._highest:
            raise ProtocolError(f"fragment {position} for the second time")
        elif position != self._highest + 1 or address != self._address:
            highest = self._highest
            self.clear()
            raise ProtocolError(f"fragment {position} after fragment {highest} of a datagram")
        if self._size + len(payload) > self._limit:
            self.clear()
            raise ProtocolError(f"fragments of more than {self._limit} bytes")
        self._pieces.append(payload)
        self._size += len(payload)
        self._highest = position
        if not fragment & _LAST:
            return None
        whole = b"".join(self._pieces)
        self.clear()
        return address, whole

    def expire(self, now: float) -> bool:
        """Abandon the queue if its timer has run out; returns whether it had.

        :param now: monotonic time in seconds.
        """
        if not self._highest or now < self._deadline:
            return False
        self.clear()
        return True

    def clear(self) -> None:
        """Abandon the queue."""
        self._pieces.clear()
        self._address = None
        self._highest = self._size = 0
