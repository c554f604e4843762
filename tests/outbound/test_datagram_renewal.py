"""Which server an association of `local`, or through upstreams, goes on by."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from datagram_ends import ScriptedResolver, bound
from fastsocks.config import LocalOptions, ServerEntry
from fastsocks.errors import ResolveError
from fastsocks.outbound.chain import Chain
from fastsocks.outbound.datagram_chain import DatagramChain
from fastsocks.outbound.datagram_renewal import ServerWay
from fastsocks.outbound.server_addresses import ServerAddresses
from fastsocks.relay.packet_way import REFUSED, SILENT, PacketWay
from fastsocks.service.local import LocalService
from shadowsocks_ends import password

METHOD = "2022-blake3-aes-128-gcm"
KEY = password(METHOD)
CLIENT = "2001:db8::7"


class Resolver(ScriptedResolver):
    """Answers at once, and notes what it is to forget."""

    def __init__(self) -> None:
        super().__init__()
        self.open.set()
        self.dropped: list[str] = []

    def knows_way(self, infos: object) -> bool:
        """Leave nothing to be found out."""
        return True

    def drop(self, host: str) -> None:
        self.dropped.append(host)


class Made:
    """The way of one association of a `local` with these servers."""

    def __init__(self, *hosts: str) -> None:
        entries = [
            ServerEntry(server=host, server_port=8388, method=METHOD, password=KEY)
            for host in hosts
        ]
        self.options = LocalOptions(
            server=hosts[0], method=METHOD, password=KEY, servers=tuple(entries[1:])
        )
        self.service = LocalService(self.options)
        self.resolver = Resolver()
        self.addresses = ServerAddresses(
            asyncio.get_running_loop(),
            self.resolver,  # type: ignore[arg-type]
            self.options.timeout,
        )
        self.way = self.another()

    def another(self) -> ServerWay:
        """Return the way of another association."""
        assert self.service.servers is not None
        return ServerWay(
            self.service.log.notice,
            self.addresses,
            CLIENT,
            self.service.servers,
            None,
        )


def server_of(packet_way: PacketWay | None) -> str:
    """Return the IP address that a packet way leads to."""
    assert packet_way is not None
    return str(packet_way.server[1][0])


def test_servers_take_turns(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        made = Made("127.0.0.1", "127.0.0.2", "127.0.0.3")
        first = await made.way.first()
        assert server_of(first) == "127.0.0.1"
        assert first.renew is not None
        # Addresses do not move.
        assert await first.renew(None) is None
        found = []
        packet_way: PacketWay | None = first
        for why in (SILENT, REFUSED, SILENT, SILENT):
            assert packet_way is not None
            assert packet_way.renew is not None
            before, packet_way = packet_way, await packet_way.renew(why)
            assert packet_way is not None
            # A session of its own.
            assert packet_way.packets is not before.packets
            found.append(server_of(packet_way))
        assert found == ["127.0.0.2", "127.0.0.3", "127.0.0.1", "127.0.0.2"]

    run(scenario())
    assert caplog.messages[0] == (
        f"{CLIENT}: 127.0.0.1:8388 does not answer over UDP any more: on by 127.0.0.2:8388 in a "
        "new session (silent); is it up, is UDP open on the way, and are password, method and "
        "clock still right?"
    )
    assert "127.0.0.2:8388 refuses UDP: on by 127.0.0.3:8388" in caplog.messages[1]


def test_new_associations_avoid_a_server_that_lost_one(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        made = Made("127.0.0.1", "127.0.0.2")
        await made.way.first()
        await made.way.renew(REFUSED)
        assert server_of(await made.another().first()) == "127.0.0.2"
        await made.way.renew(REFUSED)
        # None is better than the other.
        assert server_of(await made.another().first()) == "127.0.0.1"
        monkeypatch.setattr("fastsocks.outbound.servers.time.monotonic", lambda: float("inf"))
        assert server_of(await made.another().first()) == "127.0.0.1"

    run(scenario())


def test_a_name_is_looked_up_again(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        made = Made("ss.example")
        made.resolver.names["ss.example"] = ["127.0.0.1", "127.0.0.2"]
        assert server_of(await made.way.first()) == "127.0.0.1"
        assert made.resolver.clients == ["2001:db8::/64"]
        # Another order is no move.
        made.resolver.names["ss.example"] = ["127.0.0.2", "127.0.0.1"]
        assert await made.way.renew(None) is None
        assert made.resolver.dropped == []
        # The address that was lost is the last one to be tried.
        made.resolver.names["ss.example"] = ["127.0.0.1", "127.0.0.2"]
        assert server_of(await made.way.renew(SILENT)) == "127.0.0.2"
        assert made.resolver.dropped == ["ss.example"]
        made.resolver.names["ss.example"] = ["127.0.0.3"]
        assert server_of(await made.way.renew(None)) == "127.0.0.3"
        assert server_of(await made.way.renew(SILENT)) == "127.0.0.3"
        made.resolver.names["ss.example"] = ResolveError("no answer")
        for why in (None, SILENT):
            with pytest.raises(ResolveError):
                await made.way.renew(why)

    run(scenario())
    assert (
        f"{CLIENT}: ss.example:8388 has another address now: on in a new session"
        in (caplog.messages[1])
    )


def test_a_server_whose_name_is_gone_is_passed_over(run: Any) -> None:
    async def scenario() -> None:
        made = Made("127.0.0.1", "gone.example", "127.0.0.3")
        made.resolver.names["gone.example"] = ResolveError("no such name")
        await made.way.first()
        assert server_of(await made.way.renew(SILENT)) == "127.0.0.3"

    run(scenario())


def test_chains_of_shadowsocks_servers_are_renewed(run: Any) -> None:
    noticed: list[tuple[str, ...]] = []

    async def scenario() -> None:
        made = Made("127.0.0.1")
        made.resolver.names["up.example"] = ["127.0.0.1", "127.0.0.2"]
        chain = Chain((f"ss://{METHOD}:{KEY.replace('=', '%3D')}@up.example:8388",), 10.0)
        ways = DatagramChain(chain, 10.0, lambda *told: noticed.append(told))
        packet_way = await ways.packet_way(made.addresses, CLIENT)
        assert server_of(packet_way) == "127.0.0.1"
        assert packet_way.renew is not None
        assert await packet_way.renew(None) is None
        other = await packet_way.renew(SILENT)
        assert server_of(other) == "127.0.0.2"
        assert made.resolver.dropped == ["up.example"]
        ((client, text, why, _),) = noticed
        assert (client, why) == (CLIENT, SILENT)
        assert text == "up.example:8388 does not answer over UDP any more: on in a new session"

    run(scenario())


def test_what_lasts_as_long_as_a_connection_is_not_renewed(run: Any) -> None:
    """A SOCKS5 server ends the connection of an association when it ends the association."""

    async def scenario() -> None:
        made = Made("127.0.0.1")
        gone = asyncio.Event()
        with bound() as relay:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readexactly(3)
                writer.write(b"\x05\x00")
                await reader.readexactly(10)
                port = relay.getsockname()[1]
                writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
                await reader.read()
                writer.close()
                await writer.wait_closed()
                gone.set()

            async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                ways = DatagramChain(Chain((f"socks5://127.0.0.1:{port}",), 10.0), 10.0, print)
                packet_way = await ways.packet_way(made.addresses, CLIENT)
                assert packet_way.server == (socket.AF_INET, relay.getsockname())
                assert packet_way.renew is None
                assert packet_way.control is not None
                packet_way.control.close()
                await gone.wait()

    run(scenario())
