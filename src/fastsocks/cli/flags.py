"""The flags of the services, made from their options.

A flag that says nothing has the value None, so that environment and file can speak; its name in
the code is the key of a configuration file, with ``__`` and a value behind for one that stands for
a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from fastsocks.config import values
from fastsocks.config.keys import OPTIONS, Side
from fastsocks.config.option import LOG, Option, default_text, keys_of
from fastsocks.config.service_options import ProcessOptions

from .completion import FILE, complete_method

#: What click reads, so that its messages are those of wrong usage; all else is a text.
_NUMBERS: dict[Any, tuple[click.ParamType[Any], str]] = {
    values.read_integer: (click.INT, "NUMBER"),
    values.read_listening_port: (click.INT, "PORT"),
    values.read_mtu: (click.INT, "BYTES"),
    values.read_seconds: (click.FLOAT, "SECONDS"),
    values.read_grace: (click.FLOAT, "SECONDS"),
}


class Flag(click.Option):
    """A flag that stands in a section of the help."""

    def __init__(self, names: list[str], section: str | None = "", **given: Any) -> None:
        # What has no section is of former releases, without effect.
        super().__init__(names, hidden=section is None, **given)
        self.section = section or ""


def configuration() -> Flag:
    """Return the flag of the configuration file."""
    return Flag(
        ["-c", "--config"],
        type=FILE,
        metavar="FILE",
        help="Configuration file: TOML, or the JSON of shadowsocks-libev and shadowsocks-rust. A "
        "flag beats its variable (FASTSOCKS_TIMEOUT for --timeout), which beats the file.",
    )


def service_flags(service: str) -> list[click.Parameter]:
    """Return the flags of a service, and its URL where it takes one.

    :param service: ``server``, ``local``, ``proxy`` or ``tunnel``.
    """
    side = Side(service)
    found = list(_flags_of(OPTIONS[side], service))
    if any(one.name == "url" for one in keys_of(OPTIONS[side])):
        found.insert(0, click.Argument(["url"], required=False, metavar="[ss://...]"))
    return [*found, configuration(), *_flags_of(ProcessOptions, service), _access_log()]


def url_flags() -> list[click.Parameter]:
    """Return the flags of ``fastsocks url``: those of a server that its URL is made of."""
    wanted = {"addresses", "port", "password", "key", "method", "users", "public_address"}
    kinds = OPTIONS[Side.SERVER], ProcessOptions
    return [configuration(), *(flag for kind in kinds for flag in _flags_of(kind, "url", wanted))]


def _flags_of(
    kind: type, command: str, wanted: set[str] | None = None
) -> Iterator[click.Parameter]:
    for name, option, said, read in keys_of(kind):
        names = said.flag_names(name)
        if not names or (said.commands and command not in said.commands):
            continue
        if wanted is not None and option not in wanted:
            continue
        text = f"{said.text[:-1]}; may be repeated." if said.repeated else said.text
        if read is not values.read_flag and (default := default_text(kind, option, said)):
            text += f"  [default: {default}]"
        yield Flag([*names, name], said.section, help=text, **_taken(name, said, read))
        for shorthand, value in said.shorthands.items():
            yield Flag(
                [*shorthand.split(), f"{name}__{value}"],
                said.section,
                is_flag=True,
                help=f"The same as {names[-1]} {value}.",
            )


def _taken(name: str, said: Option, read: Any) -> dict[str, Any]:
    """Return what click has to know of the value of a flag."""
    if read is values.read_flag:
        return {"is_flag": True, "default": None}
    kind, metavar = _NUMBERS.get(read, (FILE if said.metavar == "FILE" else click.STRING, ""))
    if said.choices and not said.metavar:
        return {"type": click.Choice(said.choices), "multiple": said.repeated}
    taken = {"type": kind, "metavar": said.metavar or metavar, "multiple": said.repeated}
    return taken | ({"shell_complete": complete_method} if name == "method" else {})


def _access_log() -> Flag:
    return Flag(
        ["--access-log"],
        LOG,
        type=FILE,
        metavar="[FILE|-]",
        is_flag=False,
        flag_value="-",
        help="Log a line for every connection and UDP association, to FILE or (-, the same as no "
        "FILE) standard output.  [default: off]",
    )
