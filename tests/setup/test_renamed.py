"""Connections of fronts, which name the clients that theirs are of."""

from __future__ import annotations

from typing import Any

from fastsocks.errors import ResolveError
from fastsocks.inbound import Accepted
from fastsocks.policy import ClientLimits
from fastsocks.policy.limits import Cap
from fastsocks.request import Request
from setup_ends import Entrance, LineInbound, LineService, SetupTwin, Target, only_report

NAMED = "2001:db8::7"


class NamedInbound(LineInbound):
    """Takes a line that names the client before all else."""

    def __init__(self, service: LineService, accepted: Accepted) -> None:
        super().__init__(service)
        self._accepted: Accepted | None = accepted
        self._head = b""

    def receive(self, data: bytes) -> Request | None:
        if self._accepted is None:
            return super().receive(data)
        self._head += data
        line, end, rest = self._head.partition(b"\n")
        if not end:
            return None
        if line != b"local":
            self._accepted.rename((line.decode(), 4711))
        self._accepted = None
        return super().receive(rest) if rest else None


class FrontService(LineService):
    """Its clients come by a front."""

    def __init__(self, **caps: int) -> None:
        super().__init__()
        self.hits: list[tuple[Cap, str]] = []
        self.limits = ClientLimits(**caps, hit=lambda *hit: self.hits.append(hit))  # type: ignore[arg-type]
        self.access_log = True
        self.asked: list[Any] = []

    def is_front(self, host: str) -> bool:
        return host == "127.0.0.1"

    def inbound(self, accepted: Accepted) -> LineInbound:
        return NamedInbound(self, accepted)

    def route(self, request: Request, accepted: Accepted) -> Any:
        self.asked.append(accepted.peer)
        return super().route(request, accepted)


def test_rules_and_logs_see_the_named_client(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = FrontService()
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                client = await entrance.connect(NAMED.encode() + b"\n" + target.line)
                with await target.accept() as accepted:
                    assert await client.read(10) == b"connected\n"
                    assert list(service.limits.known) == ["2001:db8::/64"]
                    accepted.finish()
                    client.finish()
                    assert await client.read_to_end() == b""
            await entrance.acceptor.wait_idle()
            assert service.asked == [(NAMED, 4711)]
            assert (await service.ends.get()).peer == (NAMED, 4711)
            assert service.limits.connections == service.limits.clients == 0

    run(scenario())


def test_look_ups_and_reports_are_of_the_named_client(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = FrontService()
        async with Entrance(twin, service) as entrance:
            asked: list[str] = []

            async def dial(address: Any, client: str = "", *_: Any) -> Any:
                asked.append(client)
                raise ResolveError("no such name")

            entrance.dialer.dial = dial  # type: ignore[method-assign, assignment]
            client = await entrance.connect(b"192.0.2.9\nname.test 80\n")
            report = await only_report(entrance, client)
            assert report.peer == ("192.0.2.9", 4711)
            assert asked == ["192.0.2.9"]

    run(scenario())


def test_a_front_has_no_cap_and_each_of_its_clients_has(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = FrontService(max_connections_per_client=1)
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                clients = [
                    await entrance.connect(host + b"\n" + target.line)
                    for host in (b"192.0.2.1", b"192.0.2.2", b"local", b"local")
                ]
                for client in clients:
                    assert await client.read(10) == b"connected\n"
                refused = await entrance.connect(b"192.0.2.2\n" + target.line)
                assert await refused.read_to_end() == b""
                assert service.hits == [(Cap.CONNECTIONS_PER_CLIENT, "192.0.2.2")]
                assert entrance.acceptor.failures == {"limit": 1}
                assert service.reports.empty()
                assert service.limits.connections == entrance.acceptor.active == 4

    run(scenario())


def test_all_connections_have_their_cap_with_a_front(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        service = FrontService(max_connections=1)
        async with Entrance(twin, service) as entrance:
            with Target() as target:
                client = await entrance.connect(b"192.0.2.1\n" + target.line)
                assert await client.read(10) == b"connected\n"
                refused = await entrance.connect()
                await refused.send(b"x")
                await refused.end_error()
                assert service.hits == [(Cap.CONNECTIONS, "127.0.0.1")]

    run(scenario())
