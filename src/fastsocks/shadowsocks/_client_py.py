"""The client's end of a Shadowsocks connection over TCP; the twin of ``_client.pyx``."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastsocks.buffer import Buffer

from ..address import Address
from ..crypto import TAG_SIZE, random_bytes
from ..errors import HeaderError, ReplayError
from . import headers
from ._framing_py import Codec, Opener
from .keys import ClientKey
from .session_ciphers import (
    record_opener,
    record_sealer,
    session_aead,
    stream_opener,
    stream_sealer,
)


class ClientCodec(Codec):
    """What a client sends to a Shadowsocks server and makes of its answer.

    Call :meth:`request` once, before anything else.

    :param key: method and keys.
    :param strict: refuse a 2022 response whose salt and fixed header do not come in one read
        (SIP022 3.1.5); only a middlebox that cuts segments calls for False.
    :param clock: Unix time in seconds.
    """

    __slots__ = ("_clock", "_key", "_salt", "_strict")

    def __init__(
        self,
        key: ClientKey,
        *,
        strict: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._key = key
        self._strict = strict
        self._clock = clock
        self._salt = b""
        self.transparent = not key.method.cipher

    def request(
        self,
        address: Address,
        payload: Buffer = b"",
        *,
        salt: bytes | None = None,
        padding: bytes | None = None,
    ) -> bytes:
        """Build the first write: salt or IV, headers and first payload in one piece.

        :param address: the target, which the server will dial.
        :param payload: what the client has to say already; of any size.
        :param salt: the salt or IV, ``method.salt_size`` bytes; at random by default.
        :param padding: of the 2022 header; by default what SIP022 asks for.
        :raises ValueError: a salt of the wrong size, or more padding than 900 bytes.
        """
        method = self._key.method
        if self.transparent:
            return address.wire + bytes(payload)
        self._salt = random_bytes(method.salt_size) if salt is None else salt
        if len(self._salt) != method.salt_size:
            raise ValueError(f"a salt of {len(self._salt)} bytes for {method.name}")
        if method.family.timed:
            return self._request_2022(address, memoryview(payload), padding)
        if method.authenticated:
            aead = session_aead(method, self._key.key, self._salt)
            self.sealer = record_sealer(method, aead, preamble=self._salt)
        else:
            self.sealer = stream_sealer(method, self._key.key, self._salt)
        return bytes(self.sealer.seal(address.wire + payload))

    def _request_2022(self, address: Address, payload: memoryview, padding: bytes | None) -> bytes:
        key, salt = self._key, self._salt
        fixed, variable, taken = headers.build_request_headers(
            address, payload, int(self._clock()), padding
        )
        aead = session_aead(key.method, key.key, salt)
        nonce_size = key.method.nonce_size
        self.sealer = record_sealer(key.method, aead, counter=2)
        return b"".join(
            (
                salt,
                headers.build_identity_headers(key.identity_keys, key.identity_hashes, salt),
                aead.seal(bytes(nonce_size), fixed),
                aead.seal((1).to_bytes(nonce_size, "little"), variable),
                self.sealer.seal(payload[taken:]),
            )
        )

    def begin(self, head: bytes) -> tuple[Opener, int] | None:
        """Make the opener from the server's salt or IV and, in the 2022 edition, its header.

        :raises HeaderError: the header breaks a rule of SIP022, the echo of our salt among them.
        :raises TagError: the header does not open.
        :raises ReplayError: the answer is our own request (AEAD and stream, which have no
            type byte).
        """
        key, method = self._key, self._key.method
        salt_size = method.salt_size
        if method.family.timed:
            return self._begin_2022(head)
        if len(head) < salt_size:
            return None
        salt = head[:salt_size]
        if salt == self._salt:
            raise ReplayError("our own request, sent back to us")
        if method.authenticated:
            return record_opener(method, session_aead(method, key.key, salt)), salt_size
        return stream_opener(method, key.key, salt), salt_size

    def _begin_2022(self, head: bytes) -> tuple[Opener, int] | None:
        method, salt_size = self._key.method, self._key.method.salt_size
        size = salt_size + headers.REQUEST_HEADER_SIZE + salt_size + TAG_SIZE
        if len(head) < size:
            if self._strict:
                raise HeaderError("the response's salt and header came in pieces")
            return None
        aead = session_aead(method, self._key.key, head[:salt_size])
        header = aead.open(bytes(method.nonce_size), head[salt_size:size])
        length = headers.read_response_header(header, int(self._clock()), self._salt)
        return record_opener(method, aead, counter=1, length=length), size
