"""Packets against the vectors, both roles, on both twins."""

from __future__ import annotations

from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import HeaderError, ProtocolError, TagError, TimestampError
from shadowsocks_ends import AEAD, AEAD_2022, NOW, STREAM, WITH_USERS, address_of, psk

TARGET = Address.of("127.0.0.1", 18080)
CLIENT_PACKETS = ("udp_client_packet_0", "udp_client_packet_1")
SERVER_PACKETS = ("udp_server_packet_0", "udp_server_packet_1")


def hex_of(part: Any, name: str) -> bytes:
    return bytes.fromhex(part[name])


def nonce_of(part: Any) -> bytes | None:
    return hex_of(part, "nonce_hex") if "nonce_hex" in part else None


def id_of(part: Any, name: str) -> bytes:
    return int(part[name]).to_bytes(8, "big")


@pytest.mark.parametrize("part", ["udp_request", "udp_response"])
@pytest.mark.parametrize("method", [*AEAD, *STREAM, "none"])
def test_without_sessions(shadowsocks: Any, aead: Any, stream: Any, method: str, part: str) -> None:
    vector = (aead if method in AEAD else stream)[method]
    packet, plaintext = (hex_of(vector[part], name) for name in ("wire_hex", "plaintext_hex"))
    salt = hex_of(vector[part], "salt_hex" if method in AEAD else "iv_hex")
    payload = plaintext.removeprefix(TARGET.wire)
    keys = (
        shadowsocks.server_key(method, vector["password"]),
        shadowsocks.client_key(method, vector["password"]),
    )
    for codec in (shadowsocks.packet_server(keys[0]), shadowsocks.packet_client(keys[1])):
        assert not codec.has_sessions
        assert codec.open(packet, NOW) == (None, TARGET, payload)
        assert codec.seal(TARGET, payload, NOW, salt=salt) == packet


def seal_request(client: Any, part: Any) -> bytes:
    """Seal a client's packet as the vector has it."""
    client.begin(id_of(part, "client_session_id"), int(part["client_packet_id"]))
    packet: bytes = client.seal(
        address_of(part["target"]),
        hex_of(part, "payload_hex"),
        part["timestamp"],
        salt=nonce_of(part),
        padding=hex_of(part, "padding_hex"),
    )
    return packet


def check_request(server: Any, part: Any, packet: bytes) -> Any:
    """Open a client's packet and compare it with the vector; returns its session."""
    session, address, payload = server.open(packet, part["timestamp"])
    assert address == address_of(part["target"])
    assert payload == hex_of(part, "payload_hex")
    assert session.client_session_id == id_of(part, "client_session_id")
    return session


def seal_answer(server: Any, session: Any, part: Any) -> bytes:
    """Seal a server's packet as the vector has it."""
    server.begin(session, id_of(part, "server_session_id"), int(part["server_packet_id"]))
    packet: bytes = server.seal(
        address_of(part["source"]),
        hex_of(part, "payload_hex"),
        part["timestamp"],
        session,
        salt=nonce_of(part),
        padding=hex_of(part, "padding_hex"),
    )
    return packet


@pytest.mark.parametrize("method", AEAD_2022)
def test_2022(shadowsocks: Any, aead_2022: Any, method: str) -> None:
    vector = aead_2022[method]
    server = shadowsocks.packet_server(shadowsocks.server_key(method, vector["psk_b64"]))
    client = shadowsocks.packet_client(shadowsocks.client_key(method, vector["psk_b64"]))
    sessions = []
    for part in (vector[name] for name in CLIENT_PACKETS):
        packet = hex_of(part, "wire_hex")
        assert seal_request(client, part) == packet
        sessions.append(check_request(server, part, packet))
    assert sessions[0] is sessions[1]
    for part in (vector[name] for name in SERVER_PACKETS):
        packet = hex_of(part, "wire_hex")
        assert seal_answer(server, sessions[0], part) == packet
        assert client.open(packet, part["timestamp"]) == (
            None,
            address_of(part["source"]),
            hex_of(part, "payload_hex"),
        )


@pytest.mark.parametrize("method", WITH_USERS)
def test_one_identity_header(shadowsocks: Any, aead_2022: Any, method: str) -> None:
    keys = aead_2022[method]["eih"]
    vector = keys["one_layer"]
    users = {"nobody": psk(method, 9), "user": keys["uPSK_b64"]}
    server = shadowsocks.packet_server(
        shadowsocks.server_key(method, vector["server_psk_b64"], users)
    )
    client = shadowsocks.packet_client(shadowsocks.client_key(method, vector["client_password"]))
    part = vector["udp_client_packet"]
    packet = hex_of(part, "wire_hex")
    assert seal_request(client, part) == packet
    session = check_request(server, part, packet)
    assert session.user == "user"
    part = vector["udp_server_packet"]
    packet = hex_of(part, "wire_hex")
    assert seal_answer(server, session, part) == packet
    assert client.open(packet, part["timestamp"])[2] == hex_of(part, "payload_hex")


@pytest.mark.parametrize("method", WITH_USERS)
def test_two_identity_headers(shadowsocks: Any, aead_2022: Any, method: str) -> None:
    keys = aead_2022[method]["eih"]
    vector = keys["two_layers"]
    client = shadowsocks.packet_client(shadowsocks.client_key(method, vector["client_password"]))
    part = vector["udp_client_packet"]
    assert seal_request(client, part) == hex_of(part, "wire_hex")
    # What a relay leaves of two identity headers is one.
    server = shadowsocks.packet_server(
        shadowsocks.server_key(method, vector["relay_target_psk_b64"], {"user": keys["uPSK_b64"]})
    )
    session = check_request(server, part, hex_of(vector, "udp_after_relay_hex"))
    assert session.user == "user"


@pytest.mark.parametrize("method", AEAD_2022)
def test_2022_negative(shadowsocks: Any, aead_2022: Any, method: str) -> None:
    vector = aead_2022[method]
    expected = {
        "timestamp -31 s": TimestampError,
        "type 1 from a client": HeaderError,
        "flipped tag bit": TagError,
    }
    refused = set()
    for case in vector["udp_negative"]:
        server = shadowsocks.packet_server(shadowsocks.server_key(method, vector["psk_b64"]))
        packet = hex_of(case, "wire_hex")
        if case["expect"] == "drop":
            with pytest.raises(ProtocolError) as caught:
                server.open(packet, case["now"])
            assert type(caught.value) is expected[case["name"]]
            assert len(server) == 0
            refused.add(case["name"])
        else:
            assert "accept" in case["expect"]
            _, _, payload = server.open(packet, case["now"])
            assert (payload == b"") == (case["name"] == "empty payload")
            assert len(server) == 1
    assert refused == set(expected)
