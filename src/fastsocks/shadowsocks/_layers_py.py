"""Codecs within codecs: pure Python. The twin of ``_layers.pyx``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsocks.buffer import Buffer

from ._framing_py import Codec

if TYPE_CHECKING:
    from fastsocks.address import Address

    from .client import ClientCodec


class LayeredCodec(Codec):
    """One Shadowsocks connection within another, as a chain of servers has them.

    :param outer: towards the server that comes first.
    :param inner: towards the next one, its request not sent yet; None where there is only the
        first.
    :param following: what the request of `outer` is to ask for; None where that is sent.
    """

    __slots__ = ("_following", "_inner", "_outer")

    def __init__(
        self,
        outer: ClientCodec | LayeredCodec,
        inner: ClientCodec | None = None,
        following: Address | None = None,
    ) -> None:
        super().__init__()
        self._outer = outer
        self._inner = inner
        self._following = following

    def request(self, address: Address, payload: Buffer = b"") -> bytes:
        """Build the first write towards the target; see :class:`.ClientCodec`."""
        if self._inner is not None:
            payload = self._inner.request(address, payload)
        if self._following is not None:
            return self._outer.request(self._following, payload)
        return bytes(self._outer.seal(payload))

    @property
    def incomplete(self) -> bool:
        """Whether an end of the stream now would cut a header or a record."""
        return self._outer.incomplete or (self._inner is not None and self._inner.incomplete)

    def seal(self, plaintext: Buffer) -> bytes | bytearray:
        """Turn `plaintext`, of any size, into what goes on the wire."""
        if self._inner is not None:
            plaintext = self._inner.seal(plaintext)
        return self._outer.seal(plaintext)

    def open(self, ciphertext: Buffer) -> bytes | bytearray:
        """Turn bytes from the wire into plaintext; see :meth:`.Codec.open`."""
        opened = self._outer.open(ciphertext)
        return opened if self._inner is None else self._inner.open(opened)


__all__ = ["LayeredCodec"]
