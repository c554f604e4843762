"""Running services as this process: log, limits, loop, signals."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from typing import TYPE_CHECKING

from .core_dumps import forbid_core_dumps
from .log import LogOptions, carry_by_process, each_line_once, set_up_log
from .loop import loop_factory
from .process import STOPPING, announce, core_count, give_up_rights, raise_limits, versions
from .service_manager import notify, passed_sockets

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from fastsocks.service import Running

    from .process import Start

_log = logging.getLogger("fastsocks")


def run(start: Start) -> None:
    """Run services until a signal ends them.

    :raises ConfigError: the options are wrong.
    :raises ListenError: an address cannot be had.
    """
    options = start.options
    _open_standard_streams()
    if options.no_core_dumps:
        forbid_core_dumps()
    workers = options.workers or core_count()
    log_options = LogOptions(options.log_level, options.log_format, start.access_log)
    set_up_log(log_options)
    if workers > 1:
        carry_by_process(partial(give_up_rights, options))
    for warning in start.warnings:
        _log.warning("%s", warning)
    raise_limits(options.nofile)
    sockets = passed_sockets()
    if workers > 1:
        from .supervisor import supervise

        supervise(start, workers, sockets)
        return
    with each_line_once():
        services = start.make(1, sockets)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        _log.info("%s", versions())
        runner.run(_serve(services, start, sockets))


async def _serve(services: list[Running], start: Start, sockets: Sequence[socket.socket]) -> None:
    from fastsocks.service.stopping import drain_all

    from .reload import reload
    from .service_signals import ServiceSignals

    process = start.options

    async def read_again() -> None:
        nonlocal process
        process = await reload(services, lambda: start.read_again(sockets), process)

    try:
        with ServiceSignals(read_again) as signals:
            with each_line_once():
                for service in services:
                    await service.start(service.bind(1, sockets)[0] if sockets else None)
            give_up_rights(start.options)
            announce(services, start)
            signals.serve()
            await signals.stop.wait()
            await signals.end_reload()
            notify(*STOPPING)
            await drain_all(services, signals)
    finally:
        for service in services:
            await service.close()


def _open_standard_streams() -> None:
    """Open those of descriptors 0, 1 and 2 that are closed, so that no socket gets their numbers.

    libuv ends the process that closes a socket which has one of these.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.open(os.devnull, os.O_RDWR)
