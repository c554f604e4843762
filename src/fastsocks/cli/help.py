"""How the help of commands is laid out: in sections, with examples at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from .exit_codes import failures

#: Of each command, and of all together.
EXAMPLES = {
    "fastsocks": (
        "fastsocks server          # on a host in the Internet; prints the next command",
        "fastsocks local ss://...  # on your computer: SOCKS and HTTP on port 1080",
        "fastsocks proxy           # or without a server: a SOCKS and HTTP proxy",
        "fastsocks server --help   # the options of a command",
    ),
    "server": (
        "fastsocks server --public-address 198.51.100.7",
        "fastsocks server -c /etc/fastsocks/server.toml",
        "fastsocks server -p 8388 -m aes-256-gcm --password-file key.txt",
        'fastsocks server --workers auto --rule "deny port 25"',
    ),
    "local": (
        "fastsocks local ss://...",
        "fastsocks local -s server.example -m aes-256-gcm --password-file key.txt",
        "fastsocks local -c config.json -l 1081",
    ),
    "proxy": (
        "fastsocks proxy",
        "fastsocks proxy -b 0.0.0.0 --accounts-file /etc/fastsocks/accounts",
        "fastsocks proxy --upstream socks5://127.0.0.1:9050",
    ),
    "tunnel": (
        "fastsocks tunnel ss://... -l 5353 -L 192.0.2.53:53",
        "fastsocks tunnel -L mail.example:25 --upstream socks5://127.0.0.1",
    ),
    "url": (
        "fastsocks url",
        "fastsocks url --qr --public-address 198.51.100.7",
        "fastsocks url -c /etc/fastsocks/server.toml",
    ),
    "check": (
        "fastsocks check -c /etc/shadowsocks-libev/config.json",
        "fastsocks check server --workers auto",
        "fastsocks check -c config.toml --target example.com:443 --user alice",
    ),
    "genkey": ("fastsocks genkey 2022-blake3-aes-128-gcm",),
    "passwd": (
        "fastsocks passwd /etc/fastsocks/accounts alice",
        "fastsocks passwd --delete /etc/fastsocks/accounts alice",
    ),
    "explain": (
        "fastsocks explain 050100 --from client",
        "fastsocks explain relay.pcap --port 8388 --url ss://...",
    ),
    "completion": (
        'eval "$(fastsocks completion bash)"    # in ~/.bashrc',
        'eval "$(fastsocks completion zsh)"     # in ~/.zshrc',
        "fastsocks completion fish | source     # in ~/.config/fish/config.fish",
    ),
}


def sections(command: click.Command) -> dict[str, list[click.Option]]:
    """Return what the help of a command shows: the options below each heading.

    :return: in the order of the headings; "Options" is that of all which is in no other.
    """
    found: dict[str, list[click.Option]] = {"Options": []}
    if isinstance(command, Service):
        from fastsocks.config.option import SECTIONS

        found |= {title: [] for title in SECTIONS}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            title = getattr(parameter, "section", "")
            found.get(title, found["Options"]).append(parameter)
    return {title: options for title, options in found.items() if options}


class Command(click.Command):
    """A command whose help ends with its examples.

    :param flags: makes its parameters, beside those that decorators give it, when somebody asks.
    """

    def __init__(
        self,
        *given: Any,
        flags: Callable[[], list[click.Parameter]] | None = None,
        **named: Any,
    ) -> None:
        super().__init__(*given, **named)
        if flags is not None:
            self._flags, self._others = flags, self.params
            del self.params

    def __getattr__(self, name: str) -> Any:
        if name != "params":
            raise AttributeError(name)
        # Reading what is wrong with the implementation, for which options ask.
        with failures():
            own = self._flags()
        names = {name for one in own for name in one.opts}
        # Those of peers that this command has itself are left out.
        self.params = [*own, *(one for one in self._others if names.isdisjoint(one.opts))]
        return self.params

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        format_examples(self, formatter)


class Service(Command):
    """A command with more options than can be read in one list, those of a service."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, flags=self._of_service, **named)

    def _of_service(self) -> list[click.Parameter]:
        from .flags import service_flags

        return service_flags(self.name or "")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, options in sections(self).items():
            records = [option.get_help_record(ctx) for option in options]
            if title == "Options" and (help_option := self.get_help_option(ctx)):
                records.append(help_option.get_help_record(ctx))
            with formatter.section(title):
                formatter.write_dl([record for record in records if record])


def format_examples(command: click.Command, formatter: click.HelpFormatter) -> None:
    """Write the examples of a command."""
    with formatter.section("Examples"):
        for line in EXAMPLES[command.name or ""]:
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
