"""Packet codecs of either twin, and packets made without them."""

from __future__ import annotations

from typing import Any

from fastsocks.crypto import Aead, BlockCipher, blake3_hash16
from fastsocks.errors import ProtocolError
from fastsocks.shadowsocks.headers import session_subkey
from fastsocks.shadowsocks.keys import client_key
from fastsocks.shadowsocks.methods import METHODS
from shadowsocks_ends import NOW, password

#: Packet IDs that a server or client still takes behind its highest one, itself included.
WINDOW = 1985


def new_packet_server(
    shadowsocks: Any,
    method: str,
    key: str | None = None,
    *,
    users: dict[str, str] | None = None,
    **options: Any,
) -> Any:
    """Make a server's PacketCodec of the twin `shadowsocks`."""
    made = shadowsocks.server_key(method, password(method) if key is None else key, users)
    return shadowsocks.packet_server(made, **options)


def new_packet_client(shadowsocks: Any, method: str, key: str | None = None, **options: Any) -> Any:
    """Make a client's PacketCodec of the twin `shadowsocks`."""
    made = shadowsocks.client_key(method, password(method) if key is None else key)
    return shadowsocks.packet_client(made, **options)


def forge(method: str, ids: bytes, body: bytes, key: str | None = None) -> bytes:
    """Seal any body as a packet of the 2022 edition, without the code that is tested.

    :param ids: session ID and packet ID, 16 bytes.
    :param key: as a client's password; with an identity header if it is ``iPSK:uPSK``.
    """
    made = client_key(method, password(method) if key is None else key)
    cipher = METHODS[method].cipher
    if not METHODS[method].identity_headers:
        nonce = ids + ids[:8]
        return nonce + Aead("X" + cipher, made.key).seal(nonce, ids + body)
    header_key = made.identity_keys[0] if made.identity_keys else made.key
    header = BlockCipher(header_key).encrypt(ids)
    if made.identity_keys:
        named = zip(blake3_hash16(made.key), ids, strict=True)
        header += BlockCipher(header_key).encrypt(bytes(a ^ b for a, b in named))
    return header + Aead(cipher, session_subkey(made.key, ids[:8])).seal(ids[4:], body)


def request_body(
    contents: bytes, *, kind: int = 0, stamp: int = NOW, padding: int = 0, said: int | None = None
) -> bytes:
    """Build the body of a client's packet.

    :param contents: address and payload.
    :param said: the padding's size as the header has it.
    """
    size = (padding if said is None else said).to_bytes(2, "big")
    return bytes((kind,)) + stamp.to_bytes(8, "big") + size + bytes(padding) + contents


def ids(session: int, packet: int) -> bytes:
    """Write a session ID and a packet ID as they go into a packet."""
    return session.to_bytes(8, "big") + packet.to_bytes(8, "big")


def outcome_of(codec: Any, packet: bytes, now: float = NOW) -> object:
    """Open a packet; returns what came of it, or the type of its error."""
    try:
        session, address, payload = codec.open(packet, now)
    except ProtocolError as error:
        return type(error)
    if session is None:
        return address, payload
    return session.client_session_id, session.user, session.last_used, address, payload


def pair(shadowsocks: Any, method: str, **options: Any) -> tuple[Any, Any]:
    return (
        new_packet_client(shadowsocks, method),
        new_packet_server(shadowsocks, method, **options),
    )


def session_of(server: Any, packet: bytes, now: float = NOW) -> Any:
    session, _, _ = server.open(packet, now)
    return session
