"""The server's end of a Shadowsocks connection over TCP; the twin of ``_server.pyx``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import cast

from fastsocks.buffer import Buffer

from ..address import Address, read_address
from ..crypto import TAG_SIZE, Aead, random_bytes
from ..errors import FastsocksError, HeaderError, UserError
from ..inbound import Accepted, Inbound, Inbounds
from ..request import Request
from . import headers
from ._framing_py import Codec, Opener
from .guard import ReplayGuard
from .keys import ServerKey
from .methods import Method
from .session_ciphers import (
    record_opener,
    record_sealer,
    session_aead,
    stream_opener,
    stream_sealer,
)


class ServerCodec(Codec):
    """What a Shadowsocks server makes of a client's connection, and answers.

    It is the Inbound of a server: feed :meth:`receive` until it returns the request, then
    use it as the codec of the relay. Nothing of a ProtocolError that it raises may be seen
    on the wire: the caller drains the connection in silence.

    :param key: method, key and users.
    :param guard: knows the salts of earlier connections; one for all listeners of a key.
    :param answer_salt: the salt or IV of our answer; at random by default.
    """

    __slots__ = ("_answer_salt", "_guard", "_key", "_received")

    silent = True
    #: Whether an answer can end inside a record: then its client, who alone can tell, is told of
    #: no break but by an end, as other servers do.
    cuts_answers = False
    tells_address = False
    short_replies = False
    #: It waits for nobody but its client.
    pending = None
    #: Whose key it is, once that is proved; None where there are no users.
    user: str | None = None

    def __init__(
        self, key: ServerKey, guard: ReplayGuard, *, answer_salt: bytes | None = None
    ) -> None:
        super().__init__()
        self._key = key
        self._guard = guard
        self._answer_salt = answer_salt
        self._received = b""

    @property
    def codec(self) -> ServerCodec:
        """The codec of the relay: this object."""
        return self

    def take_outgoing(self) -> bytes:
        """Nothing: a server is silent until its target speaks."""
        return b""

    def connected(self, bound: Address | None) -> bytes:
        """Nothing: Shadowsocks has no reply to a request."""
        return b""

    def failed(self, error: FastsocksError) -> bytes:
        """Nothing but a cut: Shadowsocks has no reply to a request."""
        return self.cut_answer()

    def cut_answer(self) -> bytes:
        """Return bytes with which the answer ends inside a record, so that it does not look whole.

        None where the method has no records, or there can be no answer yet.
        """
        if self.sealer is None or not self.cuts_answers:
            return b""
        return bytes(self.seal(b"\0")[:-1])

    def receive(self, data: Buffer) -> Request | None:
        """Take in bytes of the client.

        :return: the request with all payload so far, or None while it is incomplete.
        :raises ProtocolError: a wrong key, a replay, or a malformed header.
        """
        raise NotImplementedError

    def _new_salt(self) -> bytes:
        salt = self._answer_salt or random_bytes(self._key.method.salt_size)
        if len(salt) != self._key.method.salt_size:
            raise ValueError(f"a salt of {len(salt)} bytes for {self._key.method.name}")
        return salt

    def _new_remembered_salt(self) -> bytes:
        """Make a salt that opens no request: without a type byte our answer looks like one."""
        salt = self._new_salt()
        self._guard.add(salt)
        return salt

    def _request(self, plaintext: bytes | bytearray) -> Request | None:
        received = self._received + plaintext
        found = read_address(received)
        if found is None:
            self._received = received
            return None
        self._received = b""
        address, end = found
        return Request(address, bytes(received[end:]))


class PlainServerCodec(ServerCodec):
    """Method ``none``: the address header, then bytes as they are."""

    __slots__ = ()

    def __init__(
        self, key: ServerKey, guard: ReplayGuard, *, answer_salt: bytes | None = None
    ) -> None:
        super().__init__(key, guard, answer_salt=answer_salt)
        self.transparent = True

    def receive(self, data: Buffer) -> Request | None:
        """Take in bytes of the client; see :meth:`ServerCodec.receive`."""
        return self._request(bytes(data))


class _SaltedServerCodec(ServerCodec):
    """A salt or IV, then the encrypted address header and payload."""

    __slots__ = ("_salt",)

    def receive(self, data: Buffer) -> Request | None:
        """Take in bytes of the client; see :meth:`ServerCodec.receive`."""
        if self.opener is None:
            data = self._received + data
            size = self._key.method.salt_size
            if len(data) < size:
                self._received = data
                return None
            self._received = b""
            self._salt, data = data[:size], data[size:]
            self._guard.check(self._salt)
            self.opener = self._new_opener()
        return self._receive_opened(self.open(data))

    def _new_opener(self) -> Opener:
        raise NotImplementedError

    def _receive_opened(self, plaintext: bytes | bytearray) -> Request | None:
        raise NotImplementedError


class StreamServerCodec(_SaltedServerCodec):
    """The stream ciphers, which cannot tell a wrong key but by the address header."""

    __slots__ = ()

    def _new_opener(self) -> Opener:
        return stream_opener(self._key.method, self._key.key, self._salt)

    def _receive_opened(self, plaintext: bytes | bytearray) -> Request | None:
        request = self._request(plaintext)
        if request is not None:
            self._guard.add(self._salt)
            salt = self._new_remembered_salt()
            self.sealer = stream_sealer(self._key.method, self._key.key, salt)
        return request


class AeadServerCodec(_SaltedServerCodec):
    """SIP004: a salt, then sealed records, the address header at their head."""

    __slots__ = ()

    cuts_answers = True

    def _new_opener(self) -> Opener:
        method = self._key.method
        return record_opener(method, session_aead(method, self._key.key, self._salt))

    def _receive_opened(self, plaintext: bytes | bytearray) -> Request | None:
        method = self._key.method
        if plaintext and not self._received:
            self._guard.add(self._salt)
        request = self._request(plaintext)
        if request is not None:
            salt = self._new_remembered_salt()
            aead = session_aead(method, self._key.key, salt)
            self.sealer = record_sealer(method, aead, preamble=salt)
        return request


class Aead2022ServerCodec(ServerCodec):
    """SIP022 and SIP023: salt, identity header, fixed header, variable header, records.

    :param strict: refuse a request whose salt and fixed header do not come in one read
        (SIP022 3.1.5); only a middlebox that cuts segments calls for False.
    :param clock: Unix time in seconds.
    """

    __slots__ = (
        "_aead",
        "_clock",
        "_header",
        "_session_key",
        "_strict",
        "_variable_size",
        "_salt",
        "user",
    )

    cuts_answers = True

    def __init__(
        self,
        key: ServerKey,
        guard: ReplayGuard,
        *,
        answer_salt: bytes | None = None,
        strict: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(key, guard, answer_salt=answer_salt)
        self._header = bytearray()
        self._strict = strict
        self._clock = clock
        self._aead: Aead | None = None
        self._session_key = key.key
        self.user: str | None = None
        self._variable_size = 0
        self._salt = b""

    def receive(self, data: Buffer) -> Request | None:
        """Take in bytes of the client; see :meth:`ServerCodec.receive`."""
        received = self._header
        received += data
        if self._aead is None:
            self._aead = self._open_fixed_header()
            if self._aead is None:
                return None
        size = self._variable_size + TAG_SIZE
        if len(received) < size:
            return None
        method = self._key.method
        nonce = (1).to_bytes(method.nonce_size, "little")
        header = headers.read_variable_request_header(self._aead.open(nonce, received[:size]))
        self.opener = record_opener(method, self._aead, counter=2)
        rest = received[size:]
        received.clear()
        salt = self._new_salt()
        answer = session_aead(method, self._session_key, salt)
        opening = partial(_open_answer, answer, method, self._clock, self._salt, salt)
        self.sealer = record_sealer(method, answer, counter=1, opening=opening)
        return Request(header.address, header.payload + self.open(rest), self.user)

    def _open_fixed_header(self) -> Aead | None:
        key, method, received = self._key, self._key.method, self._header
        start = method.salt_size + (headers.IDENTITY_HEADER_SIZE if key.users is not None else 0)
        end = start + headers.REQUEST_HEADER_SIZE + TAG_SIZE
        if len(received) < end:
            if self._strict:
                raise HeaderError("the request's salt and header came in pieces")
            return None
        salt = bytes(received[: method.salt_size])
        name = None
        if key.users is not None:
            identity = bytes(received[method.salt_size : start])
            user = key.users.by_hash.get(headers.open_identity_header(key.key, salt, identity))
            if user is None:
                raise UserError("the identity header names no user of this server")
            self._session_key, name = user.key, user.name
        aead = session_aead(method, self._session_key, salt)
        fixed = aead.open(bytes(method.nonce_size), received[start:end])
        self.user = name
        now = int(self._clock())
        self._variable_size = headers.read_fixed_request_header(fixed, now)
        self._guard.add(salt, now, self._session_key)
        self._salt = salt
        del received[:end]
        return aead


# Not a method: a codec that its own sealer refers to would outlive its connection until the
# garbage collector comes by.
def _open_answer(
    aead: Aead,
    method: Method,
    clock: Callable[[], float],
    request_salt: bytes,
    salt: bytes,
    length: int,
) -> bytes:
    header = headers.build_response_header(int(clock()), request_salt, length)
    return salt + aead.seal(bytes(method.nonce_size), header)


def server_codec(key: ServerKey, guard: ReplayGuard) -> ServerCodec:
    """Make the codec of one accepted connection.

    :param key: method, key and users.
    :param guard: the replay guard of that key.
    """
    method = key.method
    if method.family.timed:
        return Aead2022ServerCodec(key, guard)
    if method.authenticated:
        return AeadServerCodec(key, guard)
    return StreamServerCodec(key, guard) if method.cipher else PlainServerCodec(key, guard)


class ServerInbounds(Inbounds):
    """Makes the codecs of a server, which are Inbounds.

    :param key: method, key and users.
    :param guard: the replay guard of that key.
    """

    def __init__(self, key: ServerKey, guard: ReplayGuard) -> None:
        self._key = key
        self._guard = guard

    def inbound(self, accepted: Accepted) -> Inbound:
        """Make the codec of one connection; see :meth:`fastsocks.inbound.Inbounds.inbound`."""
        # But for `begin`, which is asked of nobody who waits for bytes.
        return cast("Inbound", server_codec(self._key, self._guard))
