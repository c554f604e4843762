"""Names of targets where somebody decides on them: one form, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from fastsocks.address import Address
from fastsocks.errors import HostNameError
from fastsocks.request import BIND
from fastsocks.setup.roles import Accepted
from setup_ends import Entrance, LineService, SetupTwin, Target, only_report


def naming_service(*, decides: bool = True) -> LineService:
    service = LineService()
    service.canonical_names = decides
    return service


@pytest.mark.parametrize("name", ["a.example", "A.Example.", "a\u3002example", "\uff41.example"])
def test_a_route_is_asked_for_the_one_form(run: Any, twin: SetupTwin, name: str) -> None:
    async def scenario() -> None:
        async with Entrance(twin, naming_service()) as entrance:
            with Target() as target:
                entrance.dialer.names["a.example"] = target.dial
                client = await entrance.connect(f"{name} {target.address.port}\n".encode())
                with await target.accept():
                    assert await client.read(10) == b"connected\n"
                    request = await entrance.service.routed.get()
                    assert request.address == Address.of("a.example", target.address.port)

    run(scenario())


def test_a_number_is_dialed_as_the_address_that_it_is(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, naming_service()) as entrance:
            with Target() as target:
                client = await entrance.connect(f"0x7f.1 {target.address.port}\n".encode())
                with await target.accept():
                    assert await client.read(10) == b"connected\n"
                    request = await entrance.service.routed.get()
                    assert request.address == target.address

    run(scenario())


@pytest.mark.parametrize("name", ["a\\.example", "a%2eexample", "1.2.3.4.5", "xn--a.example"])
def test_what_is_no_host_name_is_refused(run: Any, twin: SetupTwin, name: str) -> None:
    async def scenario() -> None:
        async with Entrance(twin, naming_service()) as entrance:
            client = await entrance.connect(f"{name} 80\n".encode())
            assert await client.read_to_end() == b"failed 2\n"
            report = await only_report(entrance, client)
            assert isinstance(report.error, HostNameError)
            assert report.target == Address.of(name, 80)
            assert entrance.service.routed.empty()

    run(scenario())


def test_names_are_left_alone_where_nobody_decides(run: Any, twin: SetupTwin) -> None:
    async def scenario() -> None:
        async with Entrance(twin, naming_service(decides=False)) as entrance:
            with Target() as target:
                entrance.dialer.names["A.Example."] = target.dial
                client = await entrance.connect(f"A.Example. {target.address.port}\n".encode())
                with await target.accept():
                    assert await client.read(10) == b"connected\n"
                    request = await entrance.service.routed.get()
                    assert request.address.host == "A.Example."

    run(scenario())


def test_a_bind_is_given_the_one_form(run: Any, twin: SetupTwin) -> None:
    class BindingService(LineService):
        def inbound(self, accepted: Accepted) -> Any:
            inbound = super().inbound(accepted)
            receive = inbound.receive
            inbound.receive = lambda data: _as_bind(receive(data))
            return inbound

        async def bind(self, request: Any, accepted: Accepted) -> Any:
            self.routed.put_nowait(request)
            raise HostNameError("asked")

    async def scenario() -> None:
        service = BindingService()
        service.canonical_names = True
        async with Entrance(twin, service) as entrance:
            client = await entrance.connect(b"A.Example. 80\n")
            assert await client.read_to_end() == b"failed 2\n"
            request = await service.routed.get()
            assert request.address == Address.of("a.example", 80)

    run(scenario())


def _as_bind(request: Any) -> Any:
    return None if request is None else request._replace(command=BIND)
