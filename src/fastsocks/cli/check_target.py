"""``fastsocks check --target``: which rule decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from fastsocks.config import Options, ProxyOptions, ServerOptions
from fastsocks.config.rules import COMMANDS, Action
from fastsocks.errors import AddressError, ConfigError, HostNameError

from .invocation import Invocation, configured

if TYPE_CHECKING:
    from fastsocks.policy import PublicTargets

_NO_RULE = "allowed: no rule holds"

_FLAGS = ("--target", "--client", "--command", "--user")


@dataclass(frozen=True)
class Asked:
    """A request that nobody makes."""

    target: str
    client: str = "127.0.0.1"
    command: str = "connect"
    user: str | None = None


def take_asked(arguments: Sequence[str]) -> tuple[Asked | None, list[str]]:
    """Take the flags of a request out of the arguments of a service.

    Without ``--target`` there is none, and ``--user`` is the flag of the service; so it is with
    a colon in its value.

    :raises ConfigError: one of them has no value, or a wrong one.
    """
    rest: list[str] = []
    found: dict[str, str] = {}
    if not any(one == "--target" or one.startswith("--target=") for one in arguments):
        return None, list(arguments)
    left = list(arguments)
    while left:
        argument = left.pop(0)
        flag, equals, value = argument.partition("=")
        if flag not in _FLAGS:
            rest.append(argument)
            continue
        if not equals:
            if not left:
                raise ConfigError(f"{flag}: a value is missing")
            value = left.pop(0)
        if flag == "--user" and ":" in value:
            rest += [flag, value]
        else:
            found[flag.removeprefix("--")] = value
    asked = Asked(**found)
    if asked.command not in COMMANDS:
        raise ConfigError(f"--command: it is one of {', '.join(COMMANDS)}")
    return asked, rest


def print_decision(service: str, given: Mapping[str, Any], asked: Asked) -> None:
    """Print which rule of `service` decides on a request.

    :param given: what click read.
    :raises ConfigError: the service would not start, or the request is none.
    """
    from fastsocks.address import Address
    from fastsocks.config.values import split_host
    from fastsocks.policy.rules import number_of

    try:
        host, port = split_host(asked.target)
        if port is None or not host:
            raise ConfigError("write HOST:PORT")
        target = Address.of(host, port)
    except (AddressError, ConfigError) as error:
        raise ConfigError(f"--target: {error}") from None
    if number_of(asked.client) is None:
        raise ConfigError("--client: it has to be an IP address")
    found = configured(service, given)
    names = [one.name for one in found.configuration.services]
    for name, lines in zip(names, _decisions(found, target, asked), strict=True):
        click.echo(f"[{name or service}]")
        for line in lines:
            click.echo(f"  {line}")


def _decisions(found: Invocation, target: Any, asked: Asked) -> list[list[str]]:
    from fastsocks.address import canonical

    decisions = []
    for one in found.configuration.services:
        options = one.options
        lines = [f"{asked.command} to {target} from {asked.client}"]
        if asked.user is not None:
            lines[0] += f" by user {asked.user}"
        guarded = _is_guarded(options)
        if options.read_rules or guarded:
            try:
                named = canonical(target)
            except HostNameError as error:
                lines.append(f"refused: {error}")
            else:
                if named != target:
                    lines.append(f"that is {named}")
                by_name = bool(getattr(options, "server", "") or getattr(options, "upstream", ()))
                lines += _decision(options, named, asked, by_name=by_name, guarded=guarded)
        else:
            lines.append(_NO_RULE)
        decisions.append(lines)
    return decisions


def _decision(
    options: Any, target: Any, asked: Asked, *, by_name: bool, guarded: bool
) -> list[str]:
    """Return the lines about a target whose name has its one form.

    :param by_name: whether names are sent on.
    """
    from fastsocks.policy.rules import Rules

    lines = []
    targets = _public_targets(options)
    rules = Rules(options.read_rules, public=targets.is_public)
    request = COMMANDS[asked.command], asked.client, asked.user, target
    verdict = rules.verdict_on(*request, by_name=by_name)
    if verdict.pending:
        lines.append(
            "to be resolved first: rules about networks decide on the address that is dialed"
        )
        verdict = rules.verdict_on(*request, by_name=True)
        lines.append("if none of them holds:")
    if verdict.rule is None:
        lines.append(_NO_RULE)
    else:
        word = {Action.DENY: "denied", Action.ALLOW: "allowed", Action.DIRECT: "direct"}
        lines.append(f"{word[verdict.action]}: {verdict.rule}")
    sent_on = by_name and verdict.action is not Action.DIRECT
    if by_name and target.ip is None and rules.wants_addresses:
        lines.append(
            "resolved elsewhere: the name is sent on, so that rules about networks do not "
            "apply to it"
            if sent_on
            else "resolved here: rules about networks decide on the address that is dialed, too"
        )
    if verdict.action is not Action.DENY and guarded:
        if not targets.address_filter(target.host):
            lines.append(
                "refused all the same: this is no public address (--allow-private permits it)"
            )
        elif target.ip is None and not sent_on:
            lines.append(
                "refused all the same if it resolves to no public address (--allow-private)"
            )
    return lines


def _is_guarded(options: Options) -> bool:
    if not isinstance(options, ServerOptions | ProxyOptions) or options.allow_private:
        return False
    return isinstance(options, ServerOptions) or options.beyond_loopback


def _public_targets(options: Any) -> PublicTargets:
    """Return what tells which addresses are public, while nothing runs."""
    from fastsocks.net.own_addresses import is_of_this_host, own_networks
    from fastsocks.outbound.own_addresses import networks_of
    from fastsocks.policy import PublicTargets

    targets = PublicTargets()
    networks = own_networks()
    if networks is None:
        targets.ask(is_of_this_host)
    literal, _ = networks_of((*options.addresses, *options.announced_addresses))
    targets.take_own("host", (*(networks or ()), *literal))
    return targets
