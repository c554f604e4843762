"""What the relay asks of a codec."""

from __future__ import annotations

from typing import Protocol

from fastsocks.buffer import Buffer


class RelayCodec(Protocol):
    """Both directions of one end's wire format.

    Those of :mod:`fastsocks.shadowsocks` come in both implementations. Any other is of Python;
    what it returns may be 64 KiB longer than what it was given, and no more.
    """

    @property
    def transparent(self) -> bool:
        """Whether the wire is the plaintext, so that the relay can do without this codec."""

    @property
    def incomplete(self) -> bool:
        """Whether an end of the stream now would cut a record or a header."""

    def seal(self, plaintext: Buffer) -> bytes | bytearray:
        """Turn what the other end sent into what goes on the wire."""

    def open(self, ciphertext: Buffer) -> bytes | bytearray:
        """Turn bytes from the wire into what the other end gets.

        :raises ProtocolError: they are malformed; the relay ends.
        """
