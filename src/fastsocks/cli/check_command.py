"""``fastsocks check``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from fastsocks.config import Options
from fastsocks.config.keys import PASSWORDS
from fastsocks.config.option import Option, options_of

from .invocation import Invocation, configured, first_run
from .process import core_count, find_user, raise_limits

#: Keys that tell what a file is for, where nobody says.
_OF_LOCAL = ("locals", "accounts", "accounts_file", "url")
_OF_TUNNEL = ("target", "tunnel_address")
_OF_SERVERS = ("servers", "shadowsocks", "server", "method", "users", *PASSWORDS)


def file_of(arguments: Sequence[str]) -> str | None:
    """Return what ``-c`` names among the arguments of a service."""
    for number, argument in enumerate(arguments):
        if argument in {"-c", "--config"}:
            return arguments[number + 1] if number + 1 < len(arguments) else None
        for flag in ("-c", "--config="):
            if argument.startswith(flag):
                return argument.removeprefix(flag)
    return None


def service_of(file: str | None) -> str:
    """Tell for which service a file is most likely to be.

    :raises ConfigError: it cannot be read.
    """
    if file is None:
        return "server"
    from fastsocks.config.document import read_document

    content = read_document(file).content.keys()
    if not content.isdisjoint(_OF_TUNNEL):
        return "tunnel"
    if content.isdisjoint(_OF_SERVERS) and not content.isdisjoint((*_OF_LOCAL, "local_port")):
        return "local" if "url" in content else "proxy"
    return "server" if content.isdisjoint(_OF_LOCAL) else "local"


def print_check(service: str, given: Mapping[str, Any]) -> None:
    """Print what `service` would run with.

    :param given: what click read.
    :raises ConfigError: it would not start.
    """
    found, notes = _found(service, given)
    warnings = [*found.configuration.warnings, *_problems(found)]
    click.echo(f"fastsocks {service} would run with:")
    for configured_service in found.configuration.services:
        click.echo(f"\n[{configured_service.name or service}]")
        _print_options(configured_service.options, configured_service.sources)
    click.echo("\n[process]")
    _print_options(found.configuration.process, found.configuration.process_sources)
    for note in notes:
        click.echo(f"\n{note}")
    if warnings:
        click.echo("\n[warnings]")
    for warning in warnings:
        click.echo(f"  {warning}")


def _found(service: str, given: Mapping[str, Any]) -> tuple[Invocation, list[str]]:
    if service != "server" or not first_run(given):
        return configured(service, given), []
    from fastsocks.shadowsocks import generate_key

    from .key_file import METHOD, has_kept_key, kept_file

    kept = kept_file()
    if has_kept_key(kept):
        return configured(service, given, kept=kept), []
    defaults = {"method": METHOD, "password": generate_key(METHOD)}
    return configured(service, given, defaults=defaults), [f"The key will be made in {kept}."]


def _problems(found: Invocation) -> list[str]:
    """Do all that a start does but listen; return its warnings.

    :raises ConfigError: it would not start.
    """
    from fastsocks.net import check_local_addresses

    options = found.configuration.process
    log = _Collected()
    logger = logging.getLogger("fastsocks")
    logger.addHandler(log)
    logger.propagate = False
    if options.user:
        find_user(options.user)
    raise_limits(options.nofile)
    found.make()
    for service in found.configuration.services:
        check_local_addresses(getattr(service.options, "outbound_addresses", ()))
        bind_addresses = getattr(service.options, "bind_addresses", ())
        check_local_addresses(bind_addresses, "bind_address", "listen on")
    return log.lines


_LISTS: dict[str, Callable[[Any], str]] = {
    "servers": lambda value: (
        ", ".join(f"{one.server}:{one.server_port}" for one in value) or "none"
    ),
    "rules": lambda value: f"{len(value)} rules" if len(value) != 1 else "1 rule",
}


class _Collected(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _print_options(options: Any, sources: Mapping[str, str]) -> None:
    rows = []
    for option, said in options_of(type(options)):
        # Those without a key are from Python only, or shown by the process.
        if said.key is None:
            continue
        value = _shown(said, option.name, getattr(options, option.name))
        if option.name == "max_connections" and not options.max_connections:
            value = _as_files_allow(options)
        rows.append((said.key or option.name, value, sources[option.name]))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, source in rows:
        click.echo(f"  {name:{widths[0]}}  {value:{widths[1]}}  {source}")


def _as_files_allow(options: Options) -> str:
    from fastsocks.policy.descriptors import possible_connections

    possible = possible_connections(udp=options.relays_udp)
    return f"0: as files allow{f', {possible}' if possible else ''}"


def _shown(said: Option, option: str, value: Any) -> str:
    if said.secret:
        if isinstance(value, Mapping):
            return ", ".join(map(repr, value)) or "none"
        return "hidden" if value else "none"
    if option in {"addresses", "outbound_addresses", "gssapi_protection"}:
        return ", ".join(address or "all, IPv6 and IPv4" for address in value) or "any"
    if option == "bind_addresses":
        return ", ".join(value) or "none"
    if option == "bind_ports" and value:
        return f"{value[0]}-{value[1]}"
    if isinstance(value, bool):
        return str(value).lower()
    if option in _LISTS:
        return _LISTS[option](value)
    if option == "workers" and not value:
        return f"auto, {core_count()}"
    if isinstance(value, float):
        return f"{value:g}"
    if value is None or value == "":
        return "none"
    return str(value)
