"""Shadowsocks clients and servers of either twin, on a fixed clock, and what to feed them."""

from __future__ import annotations

import base64
import hashlib
import importlib
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest

import fastsocks.implementation
from fastsocks.address import Address
from fastsocks.errors import ProtocolError
from fastsocks.request import Request
from fastsocks.shadowsocks.methods import METHODS, Family
from twins import import_twin

#: The clock of the vectors, in seconds.
NOW = 1_700_000_000
PASSWORD = "fastsocks-vectors"

NAMES = list(METHODS)
AEAD = [m.name for m in METHODS.values() if m.family is Family.AEAD]
AEAD_2022 = [m.name for m in METHODS.values() if m.family is Family.AEAD_2022]
STREAM = [m.name for m in METHODS.values() if m.family is Family.STREAM]
AUTHENTICATED = AEAD + AEAD_2022
WITH_USERS = [m.name for m in METHODS.values() if m.identity_headers]

PATTERN = bytes(range(251))

_EXTENSIONS = (
    ("fastsocks.address", "_header"),
    ("fastsocks.crypto", "_primitives"),
    ("fastsocks.shadowsocks", "_framing"),
    ("fastsocks.shadowsocks", "_packets"),
    ("fastsocks.shadowsocks", "_packets_2022"),
)
#: The packages whose modules bind one of the twins when they are imported.
_PACKAGES = ("fastsocks.address", "fastsocks.crypto", "fastsocks.shadowsocks")


def import_shadowsocks(implementation: str) -> ModuleType:
    """Import a copy of fastsocks.shadowsocks, and of all that it shares, bound to one twin.

    Twin modules, addresses and errors are the same objects in every copy.
    """
    for package, name in _EXTENSIONS:
        import_twin(package, name, implementation)
    replaced = {
        name: module
        for name, module in sys.modules.items()
        if name.startswith(_PACKAGES) and not name.rpartition(".")[2].startswith("_")
    }
    attributes = {package: getattr(fastsocks, package.split(".")[1]) for package in _PACKAGES}
    for name in replaced:
        del sys.modules[name]
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fastsocks.implementation, "IMPLEMENTATION", implementation)
            copy = importlib.import_module("fastsocks.shadowsocks")
            # Twins, which are not imported anew, may be all who need these.
            for name in ("headers", "session_ciphers"):
                importlib.import_module(f"fastsocks.shadowsocks.{name}")
    finally:
        for name in list(sys.modules):
            if name.startswith(_PACKAGES) and not name.rpartition(".")[2].startswith("_"):
                del sys.modules[name]
        sys.modules.update(replaced)
        for package, module in attributes.items():
            setattr(fastsocks, package.split(".")[1], module)
    suffix = "_py" if implementation == "python" else ""
    assert copy.Codec.__module__ == f"fastsocks.shadowsocks._framing{suffix}"
    return copy


def psk(method: str, which: int = 0) -> str:
    """Make a key for `method` in base64, the same one for the same `which`."""
    size = METHODS[method].key_size
    return base64.b64encode(random.Random(which).randbytes(size)).decode()


def password(method: str) -> str:
    """Return what goes into a configuration for `method`."""
    return psk(method) if method in AEAD_2022 else PASSWORD


class Clock:
    """Unix time that stands still."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def new_client(
    shadowsocks: Any, method: str, key: str | None = None, *, strict: bool = True, now: float = NOW
) -> Any:
    """Make a ClientCodec of the twin `shadowsocks`."""
    made = shadowsocks.client_key(method, password(method) if key is None else key)
    return shadowsocks.ClientCodec(made, strict=strict, clock=Clock(now))


def new_guard(shadowsocks: Any, method: str, key: str | None = None, memory: Any = None) -> Any:
    """Make the ReplayGuard of a key of the twin `shadowsocks`."""
    made = shadowsocks.server_key(method, password(method) if key is None else key)
    return shadowsocks.ReplayGuard(made, memory)


def new_server(
    shadowsocks: Any,
    method: str,
    key: str | None = None,
    *,
    users: dict[str, str] | None = None,
    guard: Any = None,
    answer_salt: bytes | None = None,
    strict: bool = True,
    clock: Callable[[], float] | None = None,
) -> Any:
    """Make the ServerCodec of `method` of the twin `shadowsocks`.

    `strict` and `clock` matter to the 2022 edition alone.
    """
    made = shadowsocks.server_key(method, password(method) if key is None else key, users)
    guard = shadowsocks.ReplayGuard(made) if guard is None else guard
    options: dict[str, Any] = {"answer_salt": answer_salt}
    if method in AEAD_2022:
        options |= {"strict": strict, "clock": clock or Clock()}
    return type(shadowsocks.server_codec(made, guard))(made, guard, **options)


def serve(server: Any, pieces: Iterable[bytes]) -> tuple[Request | None, bytes]:
    """Feed a server; returns its request and all payload up to the end."""
    request: Request | None = None
    payload = b""
    for piece in pieces:
        if request is None:
            request = server.receive(piece)
            payload = request.early_data if request else b""
        else:
            payload += server.open(piece)
    return request, payload


def open_all(codec: Any, pieces: Iterable[bytes]) -> bytes:
    """Feed a codec; returns all plaintext."""
    return b"".join(codec.open(piece) for piece in pieces)


def pieces_of(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Cut `data` after each of `sizes` bytes; what is left comes last. None is empty."""
    start = 0
    for size in sizes:
        if size and start < len(data):
            yield data[start : start + size]
            start += size
    if start < len(data):
        yield data[start:]


def halves(data: bytes, *boundaries: int) -> Iterator[tuple[bytes, ...]]:
    """Cut `data` in two everywhere; long data near its ends, `boundaries` and at random."""
    size = len(data)
    places = set(range(1, size))
    if size > 700:
        near = {place + step for place in boundaries for step in range(-20, 21)}
        near |= set(random.Random(size).sample(range(size), 40))
        places &= near | set(range(200)) | set(range(size - 100, size))
    for place in sorted(places):
        yield data[:place], data[place:]
    yield (data,)
    if size <= 700:
        yield tuple(data[place : place + 1] for place in range(size))


def random_pieces(data: bytes, source: random.Random) -> Iterator[bytes]:
    """Cut `data` into pieces of 1 byte to 100 kB, small ones more often."""
    start = 0
    while start < len(data):
        size = source.randint(1, 10 ** source.randint(1, 5))
        yield data[start : start + size]
        start += size


def plaintext_of(chunk: Any) -> bytes:
    """Expand the plaintext of a vector's chunk."""
    plain = chunk.get("plaintext", chunk)
    if "hex" in plain:
        return bytes.fromhex(plain["hex"])
    assert plain["repeat_hex"] == "PAT251"
    length: int = plain["length"]
    return (PATTERN * (length // len(PATTERN) + 1))[:length]


def address_of(text: str) -> Address:
    """Make an Address of a vector's ``host:port``."""
    host, _, port = text.rpartition(":")
    return Address.of(host, int(port))


def check_wire(wire: bytes, part: Any) -> bytes:
    """Compare a whole direction with its vector; returns it."""
    assert len(wire) == part["wire_len"]
    if "wire_hex" in part:
        assert wire.hex() == part["wire_hex"]
    assert hashlib.sha256(wire).hexdigest() == part["wire_sha256"]
    return wire


def outcome(codec: Any, call: str, pieces: Iterable[bytes]) -> list[object]:
    """Feed a codec by its method `call` and note what it says, to the first error."""
    trace: list[object] = []
    for piece in pieces:
        try:
            result = getattr(codec, call)(piece)
        except ProtocolError as error:
            return [*trace, type(error)]
        if isinstance(result, Request):
            result, call = tuple(result), "open"
        trace.append((result, codec.incomplete))
    return trace
