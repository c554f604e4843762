"""From what click read to a configuration."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from fastsocks.errors import ConfigError

from .peers_flags import WARNINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fastsocks.config import Configuration, Options
    from fastsocks.service import Running

    from .reload import Wanted

#: Names of parameters that are no keys of a configuration file.
NOT_KEYS = ("config",)


@dataclass(frozen=True)
class Invocation:
    """What a command is told to run."""

    service: str
    configuration: Configuration[Any]
    #: A file, ``-`` for standard output, or None.
    access_log: str | None

    def make(self, workers: int = 1, sockets: Sequence[socket.socket] = ()) -> list[Running]:
        """Make the services, which do not listen yet.

        :param workers: how many processes are to run them.
        :param sockets: those that they will be given, in the place of new ones.
        :raises ConfigError: an option is wrong.
        """
        from fastsocks.config import at_its_source

        services = self.configuration.services
        if sockets and len(services) > 1:
            raise ConfigError(
                "sockets were passed (LISTEN_FDS), which can be for one service only, and these "
                f"are {len(services)}: give each a unit of its own"
            )
        found = []
        for service in services:
            options = _at(service.options, sockets)
            shared = None
            if workers > 1:
                from fastsocks.service.shared_state import SharedState

                shared = SharedState(workers)
            try:
                found.append(_class_of(options)(options, shared))
            except ConfigError as error:
                raise at_its_source(error, service.sources) from None
            found[-1].sources = service.sources
        return found

    def wanted(self, sockets: Sequence[socket.socket] = ()) -> Wanted:
        """Return what it says, for services that run."""
        from .reload import Wanted

        found = self.configuration
        return Wanted(
            tuple(_at(service.options, sockets) for service in found.services),
            tuple(service.sources for service in found.services),
            found.process,
            found.process_sources,
        )


def _at(options: Options, sockets: Sequence[socket.socket]) -> Options:
    """Return options with the addresses of sockets that were passed, if any."""
    # Of another family it is of no use, which `Running.bind` tells.
    internet = (socket.AF_INET, socket.AF_INET6)
    names = [sock.getsockname() for sock in sockets if sock.family in internet]
    if not names:
        return options
    hosts = tuple(dict.fromkeys(name[0] for name in names))
    return replace(options, addresses=hosts, port=names[0][1])


def _class_of(options: Options) -> type[Any]:
    """Return the service that such options are for.

    :raises ConfigError: there is none yet.
    """
    import fastsocks
    from fastsocks.config.keys import OPTIONS

    name = next(side.value for side, kind in OPTIONS.items() if isinstance(options, kind))
    found: type[Any] | None = getattr(fastsocks, name.capitalize(), None)
    if found is None:
        raise ConfigError(f"{name}: such a service is not supported yet")
    return found


def configured(
    service: str,
    given: Mapping[str, Any],
    *,
    kept: Path | None = None,
    defaults: Mapping[str, object] | None = None,
) -> Invocation:
    """Put the options of a command together.

    :param service: ``server``, ``local``, ``proxy`` or ``tunnel``.
    :param given: what click read.
    :param kept: the file of a kept key, to be used for want of another.
    :param defaults: what holds where nothing else is said, by key.
    :raises ConfigError: anything is missing or wrong.
    """
    from fastsocks.config import configure
    from fastsocks.config.keys import OPTIONS, Side

    access_log = given.get("access_log")
    file, kind = given.get("config") or kept, OPTIONS[Side(service)]
    found = configure(kind, _values(given), file=file, defaults=defaults)
    if warnings := click.get_current_context().meta.get(WARNINGS):
        found = replace(found, warnings=(*warnings, *found.warnings))
    wanted = any(one.options.access_log for one in found.services)
    return Invocation(service, found, (access_log or "-") if wanted else None)


def first_run(given: Mapping[str, Any]) -> bool:
    """Tell whether nobody has given the server a method or a key.

    :raises ConfigError: the environment or a flag is malformed.
    """
    from fastsocks.config import is_first_run

    return is_first_run(_values(given), given.get("config"))


def with_password(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Ask for the password at the terminal; None where there is none to ask at."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    password = click.prompt("Password", hide_input=True, err=True)
    return {**given, "password": password}


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in given.items() if name not in NOT_KEYS}
    for name in [name for name in values if "__" in name]:
        if values.pop(name):
            key, _, value = name.partition("__")
            values[key] = value
    file = values.pop("access_log", None)
    if file is not None:
        if "://" in file:
            raise click.UsageError("--access-log: a URL follows; write --access-log=-")
        values["access_log"] = True
    return values
