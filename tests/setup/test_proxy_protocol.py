"""PROXY headers in front of a client's protocol: who may send them, and whose connection it is."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import HeaderError, ProxyHeaderError, TruncatedError
from fastsocks.policy.limits import ClientLimits
from fastsocks.proxy_protocol import LOCAL_HEADER, ProxyProtocolInbounds, build_header
from setup_ends import BAD_LINE, Entrance, LineService, SetupTwin, Target, only_report, roles_of

CLIENT = Address.of("203.0.113.7", 4711)
OTHER = Address.of("203.0.113.8", 4712)
FRONT = Address.of("127.0.0.1", 443)
LINE = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n"
HEADER = build_header(CLIENT, FRONT)


class Fronted(Entrance):
    """An entrance whose clients come by fronts."""

    def __init__(self, twin: SetupTwin, service: Any, *networks: str, **options: Any) -> None:
        super().__init__(twin, service, **options)
        fronts = [ip_network(one) for one in networks or ("127.0.0.0/8", "::1")]
        self.acceptor = twin.setup.Acceptor(
            asyncio.get_running_loop(),
            **{**roles_of(service), "inbounds": ProxyProtocolInbounds(service, fronts)},
            timeout=options.get("timeout", 10.0),
        )


@pytest.mark.parametrize("header", [LINE, HEADER], ids=["v1", "v2"])
@pytest.mark.parametrize("cut", [0, 1, 12, 20, -1])
def test_the_client_is_the_one_that_the_front_names(
    run: Any, twin: SetupTwin, header: bytes, cut: int
) -> None:
    async def scenario() -> None:
        with Target() as target:
            service = LineService()
            service.access_log = True
            async with Fronted(twin, service) as entrance:
                client = await entrance.connect(header[:cut])
                await client.send(header[cut:] + target.line + b"question")
                with await target.accept() as accepted:
                    assert await accepted.read(8) == b"question"
                    assert service.inbounds.get_nowait() == (CLIENT.host, CLIENT.port)
                    assert entrance.service.limits.connections == 1
                    accepted.finish()
                    client.finish()
                    assert await client.read_to_end() == b"connected\n"
                ended = await service.ends.get()
                assert ended.peer[:2] == (CLIENT.host, CLIENT.port)
                await entrance.acceptor.wait_idle()
                assert service.limits.connections == service.limits.handshakes == 0

    run(scenario())


def test_local_is_the_front_itself(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        with Target() as target:
            service = LineService()
            async with Fronted(twin, service) as entrance:
                client = await entrance.connect(LOCAL_HEADER + target.line)
                with await target.accept():
                    assert service.inbounds.get_nowait() == client.socket.getsockname()

    run(scenario())


def test_a_health_check_that_leaves_is_no_news(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Fronted(twin, LineService()) as entrance:
            client = await entrance.connect(LOCAL_HEADER)
            client.finish()
            report = await only_report(entrance, client)
            # Of which the log tells at DEBUG.
            assert isinstance(report.error, TruncatedError)
            assert report.target is None

    run(scenario())


@pytest.mark.parametrize(
    "data",
    [
        b"\x05\x01\x00",
        b"PROXY TCP4 nonsense\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31" + bytes(3),
        b"GET / ",
    ],
)
@pytest.mark.parametrize("silent", [False, True])
def test_a_connection_without_header_is_ended(
    run: Any, twin: SetupTwin, data: bytes, silent: bool
) -> None:
    async def scenario() -> None:
        async with Fronted(twin, LineService(silent=silent)) as entrance:
            client = await entrance.connect(data)
            assert await client.read_to_end() == b""
            report = await only_report(entrance, client)
            assert isinstance(report.error, ProxyHeaderError)
            assert entrance.service.inbounds.empty()

    run(scenario())


@pytest.mark.parametrize("data", [b"", HEADER])
def test_who_is_no_front_is_sent_away_at_once(run: Any, twin: SetupTwin, data: bytes) -> None:
    async def scenario() -> None:
        async with Fronted(twin, LineService(silent=True), "192.0.2.0/24") as entrance:
            client = await entrance.connect(data)
            assert await client.read_to_end() == b""
            report = await only_report(entrance, client)
            assert isinstance(report.error, ProxyHeaderError)
            assert report.peer[0] == "127.0.0.1"

    run(scenario())


def test_behind_the_header_the_protocol_says_how_to_fail(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = LineService()
        async with Fronted(twin, service) as entrance:
            client = await entrance.connect(HEADER + BAD_LINE)
            assert await client.read_to_end() == b"failed 1\n"
            report = await only_report(entrance, client)
            assert isinstance(report.error, HeaderError)
            assert report.peer == (CLIENT.host, CLIENT.port)

    run(scenario())


def test_a_client_has_its_caps_whatever_the_front(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        with Target() as target:
            service = LineService()
            service.limits = ClientLimits(max_connections_per_client=1)
            async with Fronted(twin, service) as entrance:
                await entrance.connect(HEADER + target.line)
                with await target.accept():
                    second = await entrance.connect(HEADER + target.line)
                    assert await second.read_to_end() == b""
                    await entrance.connect(build_header(OTHER, FRONT) + target.line)
                    with await target.accept():
                        assert entrance.acceptor.failures == {"limit": 1}

    run(scenario())
