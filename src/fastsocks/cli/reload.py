"""SIGHUP: the configuration read again, for services that go on."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from fastsocks.config import at_its_source
from fastsocks.errors import ConfigError

from .service_manager import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastsocks.config import Options, ProcessOptions
    from fastsocks.service import Running
    from fastsocks.service.reload import Reload

_log = logging.getLogger("fastsocks")


@dataclass(frozen=True)
class Wanted:
    """What a configuration says, as workers are given it."""

    #: Of each service.
    options: tuple[Options, ...]
    #: Where each of them was given; see :class:`fastsocks.config.Configured`.
    sources: tuple[Mapping[str, str], ...]
    process: ProcessOptions
    process_sources: Mapping[str, str]


def plan(services: Sequence[Running], wanted: Wanted) -> list[Reload]:
    """Make what changes, without changing anything.

    :raises ConfigError: an option is wrong, or there are other services than those that run.
    """
    if len(services) != len(wanted.options):
        raise ConfigError(
            f"it has {len(wanted.options)} that listen, and {len(services)} run: restart"
        )
    found = []
    for service, options, sources in zip(services, wanted.options, wanted.sources, strict=True):
        try:
            found.append(service.plan_reload(options))
        except ConfigError as error:
            raise at_its_source(error, sources) from None
    return found


def apply(plans: Sequence[Reload]) -> None:
    """Have all of it hold, but for the level of the log."""
    for one in plans:
        one.apply()
    logging.getLogger("fastsocks.access").setLevel(logging.INFO)


def tell(plans: Sequence[Reload], wanted: Wanted, process: ProcessOptions) -> None:
    """Write what has changed, and what takes a restart.

    :param process: the options of the process that holds.
    """
    changed = dict.fromkeys(name for one in plans for name in one.reloaded.changed)
    stay = {
        sources.get(name, name): None
        for one, sources in zip(plans, wanted.sources, strict=True)
        for name in one.reloaded.needs_restart
    }
    for one in fields(process):
        if getattr(process, one.name) != getattr(wanted.process, one.name):
            if one.name == "log_level":
                changed[one.name] = None
            else:
                stay[wanted.process_sources.get(one.name, one.name)] = None
    _log.info("the configuration was read again: %s", _changes(tuple(changed)))
    if stay:
        _log.warning("a restart is needed for %s", ", ".join(stay))


def refuse(error: object) -> None:
    """Write why all stays as it is."""
    fault = error if isinstance(error, Exception) and not isinstance(error, ConfigError) else None
    _log.error(
        "the configuration was read again, and nothing is changed: %s", error, exc_info=fault
    )


def _changes(names: Sequence[str]) -> str:
    return f"changed: {', '.join(names)}" if names else "nothing to change while it runs"


def begin() -> None:
    """Tell the service manager that the configuration is being read (sd_notify(3))."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def end() -> None:
    """Tell the service manager that this is over."""
    notify("READY=1")


async def reload(
    services: Sequence[Running], read: Callable[[], Wanted], process: ProcessOptions
) -> ProcessOptions:
    """Read the configuration again, and have services that this process runs change.

    :param read: returns what it says now.
    :param process: the options of the process that hold.
    :return: those that hold now.
    """
    begin()
    try:
        wanted = read()
        plans = plan(services, wanted)
        for one in plans:
            await one.check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the services go on
        refuse(error)
    else:
        apply(plans)
        tell(plans, wanted, process)
        process = take_level(process, wanted)
    finally:
        end()
    return process


def take_level(process: ProcessOptions, wanted: Wanted) -> ProcessOptions:
    """Log by the level that is wanted; return the options of the process with it."""
    logging.getLogger().setLevel(wanted.process.log_level.upper())
    return replace(process, log_level=wanted.process.log_level)
