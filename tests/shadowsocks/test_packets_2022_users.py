"""Users of packets of the 2022 edition: identity headers (SIP023), on both twins."""

from __future__ import annotations

from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import TagError, TruncatedError, UserError
from packet_ends import forge, ids, new_packet_client, new_packet_server, request_body, session_of
from shadowsocks_ends import NOW, WITH_USERS, password, psk

WEB = Address.of("192.0.2.1", 443)

each_with_users = pytest.mark.parametrize("method", WITH_USERS)


def server_with_users(shadowsocks: Any, method: str) -> Any:
    users = {"alice": psk(method, 1), "bob": psk(method, 2)}
    return new_packet_server(shadowsocks, method, users=users)


def user_key(method: str, which: int) -> str:
    return f"{psk(method)}:{psk(method, which)}"


@each_with_users
def test_users(shadowsocks: Any, method: str) -> None:
    server = server_with_users(shadowsocks, method)
    for which, name in ((1, "alice"), (2, "bob"), (1, "alice")):
        client = new_packet_client(shadowsocks, method, user_key(method, which))
        other = new_packet_client(shadowsocks, method, user_key(method, 3 - which))
        session = session_of(server, client.seal(WEB, b"", NOW))
        assert session.user == name
        answer = server.seal(WEB, b"payload", NOW, session)
        with pytest.raises(TagError):
            other.open(answer, NOW)
        assert client.open(answer, NOW)[2] == b"payload"
    assert len(server) == 3


@each_with_users
def test_an_unknown_user(shadowsocks: Any, method: str) -> None:
    server = server_with_users(shadowsocks, method)
    stranger = new_packet_client(shadowsocks, method, user_key(method, 3))
    with pytest.raises(UserError):
        server.open(stranger.seal(WEB, b"", NOW), NOW)
    # Without an identity header the body stands in its place.
    with pytest.raises(UserError):
        server.open(new_packet_client(shadowsocks, method).seal(WEB, b"", NOW), NOW)
    assert len(server) == 0


@each_with_users
def test_a_session_belongs_to_its_user(shadowsocks: Any, method: str) -> None:
    server = server_with_users(shadowsocks, method)
    alice, bob = (
        [
            forge(method, ids(7, packet), request_body(WEB.wire), user_key(method, which))
            for packet in range(3)
        ]
        for which in (1, 2)
    )
    session = session_of(server, alice[0])
    for packet in bob:
        with pytest.raises(UserError):
            server.open(packet, NOW)
    # The right name with another user's key.
    mixed = alice[1][:32] + bob[1][32:]
    with pytest.raises(TagError):
        server.open(mixed, NOW)
    assert session_of(server, alice[1]) is session
    assert len(server) == 1


@each_with_users
def test_users_change_while_they_send(shadowsocks: Any, method: str) -> None:
    key = shadowsocks.server_key(method, password(method), {"alice": psk(method, 1)})
    server = shadowsocks.packet_server(key)
    alice = new_packet_client(shadowsocks, method, user_key(method, 1))
    carol = new_packet_client(shadowsocks, method, user_key(method, 3))
    session = session_of(server, alice.seal(WEB, b"", NOW))
    with pytest.raises(UserError):
        server.open(carol.seal(WEB, b"", NOW), NOW)
    key.users.add("carol", psk(method, 3))
    assert session_of(server, carol.seal(WEB, b"", NOW)).user == "carol"
    assert session_of(server, alice.seal(WEB, b"", NOW)) is session
    key.users.remove("alice")
    with pytest.raises(UserError):
        server.open(alice.seal(WEB, b"", NOW), NOW)
    key.users.remove("carol")
    # Nobody is left, and it is no server without users for that.
    for client in (carol, new_packet_client(shadowsocks, method)):
        with pytest.raises(UserError):
            server.open(client.seal(WEB, b"", NOW), NOW)
    key.users.add("alice again", psk(method, 1))
    assert session_of(server, alice.seal(WEB, b"", NOW)) is session


@each_with_users
def test_an_identity_header_for_a_server_without_users(shadowsocks: Any, method: str) -> None:
    client = new_packet_client(shadowsocks, method, user_key(method, 1))
    with pytest.raises(TagError):
        new_packet_server(shadowsocks, method).open(client.seal(WEB, b"", NOW), NOW)


@each_with_users
def test_truncated_with_users(shadowsocks: Any, method: str) -> None:
    server = server_with_users(shadowsocks, method)
    packet = new_packet_client(shadowsocks, method, user_key(method, 1)).seal(WEB, b"", NOW)
    for size in range(len(packet)):
        with pytest.raises(TruncatedError if size < 48 else TagError):
            server.open(packet[:size], NOW)
    assert session_of(server, packet).user == "alice"
