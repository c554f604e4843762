"""Shadowsocks over UDP, sans-IO, in the implementation that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..implementation import IMPLEMENTATION
from .keys import ClientKey, ServerKey
from .methods import Family
from .packet_faults import packet_error

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

#: How many salts or IVs a server remembers: 1 MB.
SALT_CAPACITY = 1 << 17


def packet_server(
    key: ServerKey,
    *,
    retention: int = 300,
    max_sessions: int = 4096,
    salt_capacity: int = SALT_CAPACITY,
    mtu: int = 1500,
) -> PacketCodec:
    """Make the codec of all UDP listeners of a key.

    :param key: method, key and users.
    :param retention: seconds that a session is kept after its last packet, 62 at least (2022).
    :param max_sessions: how many there are at most; the one not used for longest makes room
        (2022).
    :param salt_capacity: how many salts or IVs, of packets either way, are remembered and
        refused, 0 for none (AEAD and stream).
    :param mtu: bytes of an IP packet that padding must not exceed (2022).
    :raises ValueError: `max_sessions` or `salt_capacity` out of bounds.
    """
    if key.method.family is Family.AEAD_2022:
        return Aead2022PacketServer(key, retention, max_sessions, mtu)
    return _without_sessions(key, salt_capacity)


def packet_client(key: ClientKey, *, salt_capacity: int = 0, mtu: int = 1500) -> PacketCodec:
    """Make the codec of one local association.

    Only the 2022 edition needs one for each; of other methods, one codec may serve them all.

    :param key: method, key and identity keys.
    :param salt_capacity: as for :func:`packet_server`.
    :param mtu: as for :func:`packet_server`.
    """
    if key.method.family is Family.AEAD_2022:
        return Aead2022PacketClient(key, mtu)
    return _without_sessions(key, salt_capacity)


def _without_sessions(key: ClientKey | ServerKey, salt_capacity: int) -> PacketCodec:
    method = key.method
    if method.family is Family.AEAD:
        return AeadPackets(method, key.key, salt_capacity)
    if method.family is Family.STREAM:
        return StreamPackets(method, key.key, salt_capacity)
    return PlainPackets()
