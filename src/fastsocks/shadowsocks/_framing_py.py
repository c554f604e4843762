"""The byte streams of Shadowsocks over TCP, behind the first header: pure Python.

The twin of ``_framing.pyx``; see there for the same classes on libcrypto.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from ..buffer import Buffer
from ..crypto import TAG_SIZE
from ..crypto._primitives_py import Aead, StreamCipher
from ..errors import HeaderError

_LENGTH_SIZE = 2 + TAG_SIZE

#: Empty records a peer may send on one connection (SIP004 is silent on them, libev and
#: shadowsocks-rust never send any): enough for the clumsy, too few to burn CPU with.
EMPTY_RECORDS = 16

_LARGEST_RECORD = 0xFFFF
#: The longest salt and the longest response header with its tag.
_LARGEST_PREAMBLE = 32 + 43 + TAG_SIZE


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= _LARGEST_RECORD:
        raise ValueError(f"a limit of {limit} bytes: a record has 1 to 65535")


def _check_preamble(preamble: bytes) -> None:
    if len(preamble) > _LARGEST_PREAMBLE:
        raise ValueError(f"a preamble of {len(preamble)} bytes, more than any method has")


class RecordSealer:
    """Seals one direction into length-prefixed AEAD records (SIP004, SIP022).

    :param aead: the cipher, keyed with this direction's subkey.
    :param nonce_size: nonce length in bytes, 12 or 24.
    :param limit: longest payload of a record in bytes: 0x3FFF (SIP004) or 0xFFFF (SIP022).
    :param counter: the next nonce.
    :param preamble: bytes that go out once, before the first record (the salt), 91 at most.
    :param opening: called once with the size of the first payload in bytes; what it returns
        goes out first, and that payload follows without a length of its own (the response
        header of SIP022); 91 bytes at most.
    :raises ValueError: a limit or a preamble out of bounds.
    """

    __slots__ = ("_aead", "_counter", "_limit", "_nonce_size", "_opening", "_preamble")

    def __init__(
        self,
        aead: Aead,
        nonce_size: int,
        limit: int,
        *,
        counter: int = 0,
        preamble: bytes = b"",
        opening: Callable[[int], bytes] | None = None,
    ) -> None:
        _check_limit(limit)
        _check_preamble(preamble)
        self._aead = aead
        self._nonce_size = nonce_size
        self._limit = limit
        self._counter = counter
        self._preamble = preamble
        self._opening = opening

    def seal(self, plaintext: Buffer) -> bytes | bytearray:
        """Seal `plaintext`, of any size, into as few records as hold it.

        :return: the bytes to send; none for an empty `plaintext`.
        """
        size = len(plaintext)
        if not size:
            return b""
        limit = self._limit
        preamble = self._preamble
        bare = 0
        if self._opening is not None:
            bare = min(size, limit)
            preamble = self._opening(bare)
            _check_preamble(preamble)
            self._opening = None
        self._preamble = b""
        records = -(-size // limit)
        position = len(preamble)
        out = bytearray(position + size + records * (_LENGTH_SIZE + TAG_SIZE))
        out[:position] = preamble
        source, target = memoryview(plaintext), memoryview(out)
        nonce_size, counter, seal_into = self._nonce_size, self._counter, self._aead.seal_into
        start = 0
        while start < size:
            length = min(limit, size - start)
            if not bare:
                seal_into(
                    counter.to_bytes(nonce_size, "little"),
                    length.to_bytes(2, "big"),
                    target[position : position + _LENGTH_SIZE],
                )
                counter += 1
                position += _LENGTH_SIZE
            bare = 0
            end = position + length + TAG_SIZE
            seal_into(
                counter.to_bytes(nonce_size, "little"),
                source[start : start + length],
                target[position:end],
            )
            counter += 1
            position = end
            start += length
        self._counter = counter
        target.release()
        del out[position:]
        return out


class RecordOpener:
    """Opens one direction's AEAD records (SIP004, SIP022).

    :param aead: the cipher, keyed with this direction's subkey.
    :param nonce_size: nonce length in bytes, 12 or 24.
    :param limit: longest payload accepted, in bytes.
    :param counter: the next nonce.
    :param length: size in bytes of a first payload that comes without a length of its own.
    :param empty_records: how many empty records are let pass before they are an error.
    :raises ValueError: a limit out of bounds.
    """

    __slots__ = ("_aead", "_empty_records", "_length", "_limit", "_nonce_size", "counter")

    def __init__(
        self,
        aead: Aead,
        nonce_size: int,
        limit: int,
        *,
        counter: int = 0,
        length: int = -1,
        empty_records: int = 0,
    ) -> None:
        _check_limit(limit)
        self._aead = aead
        self._nonce_size = nonce_size
        self._limit = limit
        self.counter = counter
        self._length = length
        self._empty_records = empty_records

    @property
    def inside(self) -> bool:
        """Whether a record's length was read, but not yet its payload."""
        return self._length >= 0

    @property
    def wanted(self) -> int:
        """How many bytes the next call of :meth:`open` needs to get anywhere."""
        return _LENGTH_SIZE if self._length < 0 else self._length + TAG_SIZE

    def open(self, data: memoryview) -> tuple[bytes | bytearray, int]:
        """Open every complete record at the start of `data`.

        :return: the plaintext, and how many bytes of `data` are used up.
        :raises TagError: a tag does not match.
        :raises HeaderError: a length that the edition forbids.
        """
        size = len(data)
        out = bytearray(size)
        target = memoryview(out)
        nonce_size, counter, open_into = self._nonce_size, self.counter, self._aead.open_into
        position = produced = 0
        while True:
            if self._length < 0:
                if size - position < _LENGTH_SIZE:
                    break
                sealed = data[position : position + _LENGTH_SIZE]
                opened = self._aead.open(counter.to_bytes(nonce_size, "little"), sealed)
                counter += 1
                position += _LENGTH_SIZE
                self._length = self._checked(int.from_bytes(opened, "big"))
            end = position + self._length + TAG_SIZE
            if end > size:
                break
            open_into(
                counter.to_bytes(nonce_size, "little"),
                data[position:end],
                target[produced : produced + self._length],
            )
            counter += 1
            position = end
            produced += self._length
            self._length = -1
        self.counter = counter
        target.release()
        del out[produced:]
        return out, position

    def _checked(self, length: int) -> int:
        if length > self._limit:
            raise HeaderError(f"a record of {length} bytes, where {self._limit} is the most")
        if not length:
            self._empty_records -= 1
            if self._empty_records < 0:
                raise HeaderError("too many empty records")
        return length


class StreamSealer:
    """Encrypts one direction with a running stream cipher.

    :param cipher: the cipher; it keeps its position.
    :param preamble: bytes that go out once, before the first ciphertext (the IV), 91 at most.
    :raises ValueError: a longer preamble.
    """

    __slots__ = ("_cipher", "_preamble")

    def __init__(self, cipher: StreamCipher, preamble: bytes = b"") -> None:
        _check_preamble(preamble)
        self._cipher = cipher
        self._preamble = preamble

    def seal(self, plaintext: Buffer) -> bytes:
        """Encrypt `plaintext`; nothing comes of an empty one."""
        if not len(plaintext):
            return b""
        preamble, self._preamble = self._preamble, b""
        return preamble + self._cipher.update(plaintext)


class StreamOpener:
    """Decrypts one direction with a running stream cipher."""

    __slots__ = ("_cipher",)

    inside = False
    wanted = 1

    def __init__(self, cipher: StreamCipher) -> None:
        self._cipher = cipher

    def open(self, data: memoryview) -> tuple[bytes, int]:
        """Decrypt all of `data`; returns the plaintext and the size of `data` in bytes."""
        return self._cipher.update(data), len(data)


Sealer = RecordSealer | StreamSealer
Opener = RecordOpener | StreamOpener


class Codec:
    """Both directions of one Shadowsocks connection, once its first header is through.

    The subclass sets `sealer` and `opener`, or overrides :meth:`begin` where the opener
    depends on the peer's first bytes. With neither, and `transparent` set, bytes pass as
    they are (method ``none``).
    """

    __slots__ = ("_kept", "opener", "sealer", "transparent")

    #: Most bytes that :meth:`begin` ever looks at.
    HEAD_SIZE = 128

    def __init__(self) -> None:
        self.sealer: Sealer | None = None
        self.opener: Opener | None = None
        #: Whether the wire is the plaintext, so that a relay can do without this codec.
        self.transparent = False
        self._kept = bytearray()

    # A copy would use nonces a second time.
    def __reduce__(self) -> NoReturn:
        raise TypeError("a codec can be neither copied nor pickled")

    def begin(self, head: bytes) -> tuple[Opener, int] | None:
        """Make the opener from the peer's first bytes.

        :param head: the first bytes received, 128 at most.
        :return: the opener and how many bytes of `head` it cost; None while more is needed.
        """
        raise HeaderError("nothing may be received yet")

    @property
    def incomplete(self) -> bool:
        """Whether an end of the stream now would cut a header or a record."""
        return bool(self._kept) or (self.opener is not None and self.opener.inside)

    def seal(self, plaintext: Buffer) -> bytes | bytearray:
        """Turn `plaintext`, of any size, into what goes on the wire."""
        if self.transparent:
            return bytes(plaintext)
        if self.sealer is None:
            raise HeaderError("nothing may be sent yet")
        return self.sealer.seal(plaintext)

    def open(self, ciphertext: Buffer) -> bytes | bytearray:
        """Turn bytes from the wire into plaintext; an incomplete record is kept for later.

        :return: the plaintext of every complete record, possibly none.
        :raises ProtocolError: a tag, length or header that does not hold.
        """
        if self.transparent or not len(ciphertext):
            return bytes(ciphertext)
        if self._kept:
            self._kept += ciphertext
            if self.opener is not None and len(self._kept) < self.opener.wanted:
                return b""
            ciphertext, self._kept = self._kept, bytearray()
        data = memoryview(ciphertext)
        if self.opener is None:
            begun = self.begin(bytes(data[: self.HEAD_SIZE]))
            if begun is None:
                self._kept += data
                return b""
            self.opener, used = begun
            data = data[used:]
        plaintext, used = self.opener.open(data)
        self._kept += data[used:]
        return plaintext


__all__ = [
    "EMPTY_RECORDS",
    "Codec",
    "RecordOpener",
    "RecordSealer",
    "StreamOpener",
    "StreamSealer",
]
