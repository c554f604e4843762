"""Shadowsocks over UDP, sans-IO, in the implementation that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..crypto import KeyedHash, random_bytes
from ..implementation import IMPLEMENTATION
from .guard import SHORTEST_IV
from .keys import ClientKey, ServerKey
from .packet_faults import packet_error
from .replay import Fingerprints, ReplayMemory, SaltFilter

if TYPE_CHECKING or IMPLEMENTATION == "python":
    from ._packets_2022_py import Aead2022PacketClient, Aead2022PacketServer
    from ._packets_py import (
        AeadPackets,
        PacketCodec,
        PacketSession,
        PlainPackets,
        StreamPackets,
    )
else:
    from ._packets import (
        AeadPackets,
        PacketCodec,
        PacketSession,
        PlainPackets,
        StreamPackets,
    )
    from ._packets_2022 import Aead2022PacketClient, Aead2022PacketServer

__all__ = ["PacketCodec", "PacketSession", "packet_client", "packet_error", "packet_server"]

#: How many salts or IVs a client remembers: 1 MB.
SALT_CAPACITY = 1 << 17


def packet_server(
    key: ServerKey,
    *,
    retention: int = 300,
    max_sessions: int = 4096,
    memory: ReplayMemory | None = None,
    mtu: int = 1500,
) -> PacketCodec:
    """Make the codec of all UDP listeners of a key.

    :param key: method, key and users.
    :param retention: seconds that a session is kept after its last packet, 62 at least (2022).
    :param max_sessions: how many there are at most; the one not used for longest makes room
        (2022).
    :param memory: what codecs of the same key share, and those of others may; one of its own by
        default.
    :param mtu: bytes of an IP packet that padding must not exceed (2022).
    :raises ValueError: `max_sessions` out of bounds.
    """
    if memory is None:
        memory = ReplayMemory()
    fingerprints = Fingerprints(memory.hash, key.method.name, key.key)
    if key.method.family.sessions:
        return Aead2022PacketServer(
            key,
            retention,
            max_sessions,
            mtu,
            memory=memory.sessions,
            fingerprints=fingerprints,
        )
    return _without_sessions(key, memory.packet_salts, fingerprints)


def packet_client(key: ClientKey, *, salt_capacity: int = 0, mtu: int = 1500) -> PacketCodec:
    """Make the codec of one local association.

    Only the 2022 edition needs one for each; of other methods, one codec may serve them all.

    :param key: method, key and identity keys.
    :param salt_capacity: how many salts or IVs, of packets either way, are remembered and
        refused, 0 for none (AEAD and stream).
    :param mtu: as for :func:`packet_server`.
    :raises ValueError: `salt_capacity` out of bounds.
    """
    if key.method.family.sessions:
        return Aead2022PacketClient(key, mtu)
    if not salt_capacity:
        return _without_sessions(key, None, None)
    fingerprints = Fingerprints(KeyedHash(random_bytes(16)), key.method.name, key.key)
    return _without_sessions(key, SaltFilter(salt_capacity), fingerprints)


def _without_sessions(
    key: ClientKey | ServerKey, salts: SaltFilter | None, fingerprints: Fingerprints | None
) -> PacketCodec:
    method = key.method
    if method.salt_size < SHORTEST_IV:
        salts = None
    if method.authenticated:
        return AeadPackets(method, key.key, salts, fingerprints)
    if method.cipher:
        return StreamPackets(method, key.key, salts, fingerprints)
    return PlainPackets()
