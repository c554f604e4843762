"""Flags that users of shadowsocks-libev and shadowsocks-rust know and fastsocks does not have.

They are named here so that each is answered by what to use instead: by an error where it decides
who may connect, where traffic goes or how the process runs, else by a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import click


class PeersFlag(NamedTuple):
    """One flag."""

    names: tuple[str, ...]
    #: What to use instead.
    text: str
    takes_value: bool = True
    #: Whether it is an error, and not only a warning.
    refused: bool = True


_GONE = "its inventors gave it up: remove it on both ends, and take an AEAD method"
_MANAGER = "there is no manager yet; give `servers` in a configuration file to -c"
_SYSTEM = "ignored: the system's own setting holds"
_PLUGIN = "SIP003 plugins are not supported yet: remove it on both ends, or keep your old server"

FLAGS = (
    PeersFlag(("-f",), "it stays in the foreground: let systemd run it, or add & to the command"),
    PeersFlag(("-i",), "choosing an interface is not supported yet; `server -b` is the address "
                       "that it connects from"),
    PeersFlag(("-L",), "one target for all clients is for `fastsocks tunnel`"),
    PeersFlag(("-T",), "transparent proxying is not supported yet: keep ss-redir for this one",
              takes_value=False),
    PeersFlag(("-A",), f"one-time authentication: {_GONE}", takes_value=False),
    PeersFlag(("-D", "--workdir"), _MANAGER),
    PeersFlag(("--executable",), _MANAGER),
    PeersFlag(("--manager-address",), "ignored: there is no manager to talk to", refused=False),
    PeersFlag(("--plugin",), _PLUGIN),
    PeersFlag(("--plugin-opts",), _PLUGIN),
    PeersFlag(("--mptcp",), _SYSTEM, takes_value=False, refused=False),
    *(
        PeersFlag((f"--tcp-{way}-{buffer}",), _SYSTEM, refused=False)
        for way in ("incoming", "outgoing")
        for buffer in ("sndbuf", "rcvbuf")
    ),
    # shadowsocks-rust
    PeersFlag(("--server-addr",), "write -s ADDRESS -p PORT"),
    PeersFlag(("--local-addr",), "write -b ADDRESS -l PORT"),
    PeersFlag(("--encrypt-method",), "write -m METHOD"),
    PeersFlag(("--server-url",), "write the ss:// URL by itself: fastsocks local ss://..."),
)  # fmt: skip


def _answer(flag: PeersFlag) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(context: click.Context, _: click.Parameter, value: object) -> None:
        if not value or context.resilient_parsing:
            return
        text = f"{flag.names[0]}: {flag.text}"
        if flag.refused:
            raise click.UsageError(text, context)
        context.meta.setdefault(WARNINGS, []).append(text)

    return callback


#: Where in the meta of a click context the warnings are.
WARNINGS = "fastsocks.cli.warnings"


def peers_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all of FLAGS, out of sight."""
    for flag in reversed(FLAGS):
        command = click.option(
            *flag.names,
            flag.names[0].lstrip("-").replace("-", "_") + "_of_peers",
            is_flag=not flag.takes_value,
            default=None,
            hidden=True,
            expose_value=False,
            callback=_answer(flag),
        )(command)
    return command
