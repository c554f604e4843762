"""What the keys of a service say of its options."""

from __future__ import annotations

from ipaddress import ip_address

from fastsocks.errors import ConfigError

from .keys import KEYS, Side
from .option import Place
from .rules import Rule, placed
from .settings import Layer, Setting
from .values import read_target

#: Lines of an ACL file that are named, of those that are left out.
_MOST_TOLD = 10

#: Keys of which options are made below.
_PUT_TOGETHER = ("rules", "acl", "acl_leave_out", "ipv6_only")


def settings_of_options(chosen: Layer, side: Side, warnings: list[str]) -> dict[str, Setting]:
    """Return the settings of a service's options, by the name of the option.

    :param chosen: its settings, by key.
    :param warnings: what to tell the user is added to these.
    :raises ConfigError: a value cannot be, or not on this side.
    """
    settings: dict[str, Setting] = {}
    for name, setting in chosen.items():
        if name in _PUT_TOGETHER:
            continue
        key = KEYS[Place.TOP][name]
        option, value = key.meaning(side).text, setting.value
        if option == "addresses":
            ipv6_only = "ipv6_only" in chosen and chosen["ipv6_only"].value
            value = value.listening(ipv6_only=ipv6_only)
        elif option == "server":
            value = value.names[0]
        elif option == "outbound_addresses":
            continue
        elif (instead := key.options[side].replaced_by) and value:
            warnings.append(
                f"{setting.source}: without effect: a failed handshake counts for {instead} until "
                "it is closed; set that, and remove this"
            )
        settings[option] = Setting(value, setting.source)
    outbound = _outbound(chosen, warnings) if side is Side.SERVER else None
    if outbound:
        settings["outbound_addresses"] = outbound
    if "rules" in chosen or "acl" in chosen:
        settings["rules"] = _rules(chosen, side, warnings)
    return settings


def unite_target(layer: dict[str, Setting]) -> None:
    """Make one target of the keys of a place that name one.

    :raises ConfigError: it is named twice, or one half is missing.
    """
    given = [name for name in ("target", "tunnel_address", "forward_address") if name in layer]
    port = layer.pop("forward_port", None)
    if len(given) > 1:
        raise ConfigError(
            f"{layer[given[1]].source}: there is {layer[given[0]].source} too; give one of the two"
        )
    if port is not None and given != ["forward_address"]:
        raise ConfigError(f"{port.source}: without forward_address; give both, or target")
    if not given:
        return
    target = layer.pop(given[0])
    if given == ["forward_address"]:
        if port is None:
            raise ConfigError(f"{target.source}: without forward_port; give both, or target")
        host = f"[{target.value}]" if ":" in target.value else target.value
        try:
            target = Setting(read_target(f"{host}:{port.value}"), target.source)
        except ConfigError as error:
            raise ConfigError(f"{target.source}: {error}") from None
    layer["target"] = target


def _rules(chosen: Layer, side: Side, warnings: list[str]) -> Setting:
    """Put the rules of an ACL file behind the others."""
    rules: tuple[Rule, ...] = ()
    given = chosen.get("rules")
    if given is not None:
        rules = placed(given.value, given.source)
    acl = chosen.get("acl")
    if acl is not None:
        from .acl import read_acl

        leaves_out = "acl_leave_out" in chosen and chosen["acl_leave_out"].value
        left_out: list[str] | None = [] if leaves_out else None
        try:
            rules += read_acl(acl.value, server=side is Side.SERVER, left_out=left_out)
        except ConfigError as error:
            hint = "" if leaves_out else "; --acl-leave-out starts without such lines"
            raise ConfigError(f"{acl.source}: {error}{hint}") from None
        if left_out:
            warnings += [f"{acl.source}: left out: {text}" for text in left_out[:_MOST_TOLD]]
            if more := len(left_out) - _MOST_TOLD:
                warnings.append(f"{acl.source}: {more} further lines of {acl.value} are left out")
    return Setting(rules, ", ".join(one.source for one in (given, acl) if one is not None))


def _outbound(chosen: Layer, warnings: list[str]) -> Setting | None:
    """Gather what a server dials from: an address of each family at most."""
    found: dict[int, str] = {}
    sources: list[str] = []
    for key in ("local_address", "local_ipv4_address", "local_ipv6_address"):
        if key not in chosen:
            continue
        setting = chosen[key]
        names = setting.value.names if key == "local_address" else setting.value
        own: set[int] = set()
        for name in names:
            try:
                address = ip_address(name)
            except ValueError:
                raise ConfigError(
                    f"{setting.source}: on a server this is what it dials from, and has to be "
                    "an IP address"
                ) from None
            if address.is_unspecified:
                continue
            allowed = "allow_private" in chosen and chosen["allow_private"].value
            if key == "local_address" and address.is_loopback and not allowed:
                warnings.append(
                    f"{setting.source}: ignored: on a server this is what it dials from, and "
                    "from loopback it would reach nobody; `server` is where it listens"
                )
                continue
            if address.version in own:
                raise ConfigError(
                    f"{setting.source}: one IPv4 and one IPv6 address at most to dial from"
                )
            own.add(address.version)
            found[address.version] = name
            sources.append(setting.source)
    if not found:
        return None
    return Setting(tuple(found.values()), ", ".join(dict.fromkeys(sources)))
