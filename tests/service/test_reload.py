"""Options that change while a service runs, and those that cannot."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from typing import Any
from urllib.parse import quote

import pytest

from fastsocks import LocalOptions, ProxyOptions, ServerOptions, open_connection
from fastsocks.address import Address
from fastsocks.config.option import options_of
from fastsocks.errors import (
    ConfigError,
    FastsocksError,
)
from fastsocks.service import Local, Proxy, Running, Server, SharedState
from fastsocks.service.reload import Reloaded
from fastsocks.shadowsocks import client_key, packet_client
from harness.deadline import DEADLINE
from harness.listener import SocketAddress
from harness.shadowsocks import generate_key
from harness.socks import UDP_ASSOCIATE, Socks5Client, request
from harness.socks import open_connection as connect
from harness.targets import ServingTarget, echo
from harness.udp import UdpTarget, build_datagram, open_socket

METHOD = "2022-blake3-aes-128-gcm"
KEY, ALICE, BOB = (generate_key(METHOD) for _ in range(3))


async def echoed(url: str, target: SocketAddress) -> bool:
    """Tell whether a target is reached, and sends back what it is sent."""
    try:
        async with asyncio.timeout(DEADLINE):
            reader, writer = await open_connection(url, target.host, target.port)
            writer.write(b"ping")
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
    except (FastsocksError, OSError):
        return False
    return answer == b"ping"


def url_of(service: Running, password: str = "") -> str:
    host, port = service.addresses[0]
    if isinstance(service, Server):
        return f"ss://{METHOD}:{quote(password, safe='')}@{host}:{port}"
    return f"socks5://{password}{'@' * bool(password)}{host}:{port}"


def server_options(**changes: Any) -> ServerOptions:
    given = {"addresses": ("127.0.0.1",), "port": 0, "method": METHOD, "password": KEY}
    return ServerOptions(**{**given, "allow_private": True, **changes})


def test_rules_hold_for_what_begins(run: Any) -> None:
    """And for the next datagram of an association that runs; a relay goes on."""

    async def scenario(target: SocketAddress) -> None:
        options = ProxyOptions(port=0)
        async with Proxy(options) as proxy:
            entrance = SocketAddress(*proxy.addresses[0])
            client = await asyncio.to_thread(connect, entrance, target)
            with client, UdpTarget() as udp_target, Socks5Client(entrance) as asking:
                association = await asyncio.to_thread(_associate, asking)
                with open_socket() as sender:
                    sender.sendto(build_datagram(b"one", udp_target.address), association)
                    assert (await asyncio.to_thread(udp_target.receive)).payload == b"one"
                    ports = target.port, udp_target.address.port
                    denied = [f"deny to 127.0.0.1 port {port}" for port in ports]
                    found = await proxy.reload(dataclasses.replace(options, rules=denied))
                    assert found == Reloaded(("rules",), ())
                    sender.sendto(build_datagram(b"two", udp_target.address), association)
                    while not proxy.stats().failures and not _dropped(proxy):
                        await asyncio.sleep(0.01)
                    assert _dropped(proxy) == {"not-allowed": 1}
                    assert not await echoed(url_of(proxy), target)
                    client.send(b"still here")
                    assert await asyncio.to_thread(client.read, 10) == b"still here"
                    client.finish()
                    assert await asyncio.to_thread(client.read_to_end) == b""
                    await proxy.reload(options)
                    assert await echoed(url_of(proxy), target)
                    sender.sendto(build_datagram(b"three", udp_target.address), association)
                    assert (await asyncio.to_thread(udp_target.receive)).payload == b"three"

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def _associate(client: Socks5Client) -> SocketAddress:
    client.negotiate()
    client.send(request(SocketAddress("0.0.0.0", 0), UDP_ASSOCIATE))
    bound: SocketAddress = client.read_reply().bound
    return bound


def _dropped(service: Running) -> dict[str, int]:
    return dict(service.stats().datagrams.dropped)


def test_users_of_a_server_come_and_go(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        options = server_options(users={"alice": ALICE})
        async with Server(options) as server:
            alice, bob = (url_of(server, f"{KEY}:{key}") for key in (ALICE, BOB))
            assert await echoed(alice, target)
            both = {"alice": ALICE, "bob": BOB}
            assert await server.reload(dataclasses.replace(options, users=both)) == Reloaded(
                ("users",)
            )
            assert await echoed(bob, target)
            assert await echoed(alice, target)
            await server.reload(dataclasses.replace(options, users={"bob": BOB}))
            assert await echoed(bob, target)
            assert server.users is not None
            assert server.users["bob"].relays == 2
            assert server.stats().failures == {}
            _, writer = await open_connection(alice, target.host, target.port)
            writer.write(b"ping")
            while server.stats().failures != {"unknown-user": 1}:
                await asyncio.sleep(0.01)
            writer.transport.abort()

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_the_key_of_a_server_takes_a_restart(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        options = server_options()
        async with Server(options) as server:
            wanted = dataclasses.replace(
                options, password=generate_key(METHOD), users={"alice": ALICE}, grace=3, port=1
            )
            found = await server.reload(wanted)
            assert found.changed == ("grace",)
            assert sorted(found.needs_restart) == ["password", "port", "users"]
            # They are named as long as they wait.
            assert await server.reload(wanted) == Reloaded((), found.needs_restart)
            assert await echoed(url_of(server, KEY), target)

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_local_leads_to_another_server(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        other = generate_key(METHOD)
        async with Server(server_options()) as one, Server(server_options(password=other)) as two:
            options = LocalOptions(
                port=0,
                server=one.addresses[0][0],
                server_port=one.addresses[0][1],
                method=METHOD,
                password=KEY,
            )
            async with Local(options) as local:
                assert await echoed(url_of(local), target)
                changed = dataclasses.replace(
                    options, server_port=two.addresses[0][1], password=other
                )
                await local.reload(changed)
                assert await echoed(url_of(local), target)
                assert (one.stats().accepted, two.stats().accepted) == (1, 1)

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_a_proxy_gets_an_upstream_and_loses_it(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        options = ProxyOptions(port=0)
        async with Proxy(options) as upstream, Proxy(options) as proxy:
            assert await echoed(url_of(proxy), target)
            assert upstream.stats().accepted == 0
            led = dataclasses.replace(options, upstream=(url_of(upstream),))
            await proxy.reload(led)
            assert await echoed(url_of(proxy), target)
            assert upstream.stats().accepted == 1
            own = dataclasses.replace(options, upstream=(url_of(proxy),))
            with pytest.raises(ConfigError, match="upstream"):
                await proxy.reload(own)
            assert await echoed(url_of(proxy), target)
            assert upstream.stats().accepted == 2
            await proxy.reload(options)
            assert await echoed(url_of(proxy), target)
            assert upstream.stats().accepted == 2

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_datagrams_of_a_server_take_another_way(run: Any) -> None:
    """Those of sessions that begin then."""

    def exchange(address: tuple[str, int]) -> None:
        packets = packet_client(client_key(METHOD, KEY))
        with UdpTarget() as target, open_socket() as sender:
            wire = packets.seal(Address.of(*target.address), b"payload", time.time())
            sender.sendto(wire, address)
            assert target.receive().payload == b"payload"

    async def scenario() -> None:
        async with Server(server_options()) as upstream, Server(server_options()) as server:
            await asyncio.to_thread(exchange, server.addresses[0])
            assert upstream.stats().datagrams.packets_up == 0
            led = server_options(upstream=(url_of(upstream, KEY),))
            assert (await server.reload(led)).changed == ("upstream",)
            await asyncio.to_thread(exchange, server.addresses[0])
            assert upstream.stats().datagrams.packets_up == 1
            await server.reload(server_options())
            await asyncio.to_thread(exchange, server.addresses[0])
            assert upstream.stats().datagrams.packets_up == 1

    run(scenario())


def test_accounts_come_and_go(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        options = ProxyOptions(port=0)
        async with Proxy(options) as proxy:
            assert await echoed(url_of(proxy), target)
            accounts = {"alice": "secret"}
            assert await proxy.reload(dataclasses.replace(options, accounts=accounts)) == Reloaded(
                ("accounts",)
            )
            assert not await echoed(url_of(proxy), target)
            assert await echoed(url_of(proxy, "alice:secret"), target)
            await proxy.reload(dataclasses.replace(options, accounts={"bob": "other"}))
            assert not await echoed(url_of(proxy, "alice:secret"), target)
            assert await echoed(url_of(proxy, "bob:other"), target)
            assert proxy.stats().users["alice"].relays == 1
            assert proxy.stats().users["bob"].relays == 1

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_caps_and_time_limits(run: Any) -> None:
    async def scenario() -> None:
        options = ProxyOptions(port=0)
        async with Proxy(options) as proxy:
            address = proxy.addresses[0]
            first = await asyncio.open_connection(*address)
            # The kernel tells of connections once they have sent something.
            first[1].write(b"\5")
            while not proxy.active:
                await asyncio.sleep(0.01)
            await proxy.reload(dataclasses.replace(options, max_connections=1, timeout=0.2))
            assert proxy.stats().caps["max_connections"].limit == 1
            assert proxy.stats().caps["max_connections"].used == 1
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"\5")
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            assert proxy.stats().failures == {"limit": 1}
            first[1].close()
            while proxy.active:
                await asyncio.sleep(0.01)
            # Its handshake is over before it has begun.
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"\5")
            assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
            writer.close()
            assert proxy.stats().failures["handshake-timeout"] == 1

    run(scenario())


def test_the_access_log_is_turned_on_and_off(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fastsocks.access")

    def lines() -> int:
        return sum(record.name == "fastsocks.access" for record in caplog.records)

    async def scenario(target: SocketAddress) -> None:
        options = ProxyOptions(port=0)
        async with Proxy(options) as proxy:
            for access_log, wanted in ((False, 0), (True, 1), (False, 1)):
                await proxy.reload(dataclasses.replace(options, access_log=access_log))
                assert await echoed(url_of(proxy), target)
                while proxy.active:
                    await asyncio.sleep(0.01)
                assert lines() == wanted

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_where_anything_is_wrong_nothing_changes(run: Any) -> None:
    async def scenario(target: SocketAddress) -> None:
        options = ProxyOptions(port=0)
        async with Proxy(options) as proxy:
            wrong = dataclasses.replace(
                options, accounts_file="/there/is/none", rules=("deny all",), grace=1
            )
            with pytest.raises(ConfigError, match="/there/is/none"):
                await proxy.reload(wrong)
            assert await echoed(url_of(proxy), target)
            with pytest.raises(ConfigError, match="LocalOptions are for another service"):
                await proxy.reload(LocalOptions(server="x", method="none"))
            assert await proxy.reload(options) == Reloaded()

    with ServingTarget(echo) as target:
        run(scenario(target.address))


def test_an_upstream_that_ends_udp_takes_a_restart(run: Any) -> None:
    async def scenario() -> None:
        options = server_options()
        async with Server(options) as server:
            with pytest.raises(ConfigError, match="upstream: with it UDP"):
                await server.reload(
                    dataclasses.replace(options, upstream=("http://192.0.2.1:8080",))
                )

    run(scenario())


def test_one_that_is_not_started_yet(run: Any) -> None:
    """As that of a supervisor, whose next child begins with what holds now."""

    async def scenario(target: SocketAddress) -> None:
        options = ProxyOptions(port=0, max_connections_per_client=7)
        proxy = Proxy(options, SharedState(2))
        found = await proxy.reload(
            dataclasses.replace(options, accounts={"alice": "a"}, max_connections_per_client=8)
        )
        assert found.changed == ("max_connections_per_client", "accounts")
        async with proxy:
            assert not await echoed(url_of(proxy), target)
            assert await echoed(url_of(proxy, "alice:a"), target)
            assert proxy.stats().caps["max_connections_per_client"].limit == 8

    with ServingTarget(echo) as target:
        run(scenario(target.address))


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        (ServerOptions, {"addresses", "port", "mode", "udp_timeout", "resolver"}),
        (LocalOptions, {"addresses", "port", "mode", "udp_max_associations"}),
        (ProxyOptions, {"addresses", "port", "bind_addresses", "public_address"}),
    ],
)
def test_what_takes_a_restart(kind: type, needed: set[str]) -> None:
    assert needed <= {one.name for one, said in options_of(kind) if not said.live}
