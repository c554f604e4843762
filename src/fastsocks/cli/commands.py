"""The commands and their flags.

What a command needs is imported when it runs, so that ``--help`` and ``--version`` are quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from .completion import FILE, complete_method
from .exit_codes import failures
from .help import Command, Service, format_examples
from .invocation import Invocation, configured, first_run, with_password
from .peers_flags import peers_flags
from .title import without_urls

if TYPE_CHECKING:
    from fastsocks.service import Running


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from .version import version_line

    with failures():
        click.echo(version_line())
    context.exit()


class _Commands(click.Group):
    """Lists commands by what is needed first, and repeats no URL in a message about wrong usage."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        format_examples(self, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            # Not its cause: that has the URL.
            raise click.UsageError(without_urls(error.format_message()), error.ctx) from None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print versions and exit.",
)
def fastsocks() -> None:
    """Relay TCP and UDP by SOCKS, HTTP and Shadowsocks.

    Exit codes: 0 stopped on request, 1 failed while running, 2 wrong usage or configuration,
    3 cannot listen.
    """


@fastsocks.command(cls=Service)
# ss-server takes it, for the sake of shared configurations.
@click.option("-l", "--local-port", type=int, hidden=True, expose_value=False)
@peers_flags
def server(**given: Any) -> None:
    """Run a Shadowsocks server.

    Without a method and a key it makes a key when it is first run, keeps it for the next time,
    and prints at a terminal how to use it; `fastsocks url` prints that again.
    """
    with failures():
        if first_run(given):
            _run_first(given)
        else:
            _run("server", given)


@fastsocks.command(cls=Service)
@peers_flags
def local(**given: Any) -> None:
    """Run a SOCKS and HTTP proxy that leads to a Shadowsocks server.

    An ss:// URL, as the server prints it, says all about the server, the key too: other users of
    this machine can see it for a moment, and shells keep a history. A file (-c, --password-file)
    or the variable FASTSOCKS_URL avoids that. At a terminal a missing password is asked for.
    """
    with failures():
        _run("local", given)


@fastsocks.command(cls=Service)
@peers_flags
def proxy(**given: Any) -> None:
    """Run a SOCKS and HTTP proxy that connects to targets by itself.

    It listens on this computer only, unless -b says otherwise.
    """
    with failures():
        _run("proxy", given)


@fastsocks.command(cls=Service)
@peers_flags
def tunnel(**given: Any) -> None:
    """Lead all clients to one target, through a Shadowsocks server or without.

    The server is named as for `fastsocks local`. Without one, connections go through --upstream,
    or straight to the target.
    """
    with failures():
        _run("tunnel", given)


def _url_flags() -> list[click.Parameter]:
    from .flags import url_flags

    return url_flags()


@fastsocks.command(flags=_url_flags)
@click.option("--qr", is_flag=True, help="Draw a QR code, too, for apps on phones.")
def url(qr: bool, **given: Any) -> None:
    """Print the ss:// URL of a server, with its key in it.

    Without flags it is that of the key which `fastsocks server` made when it was first run, else
    that of a configuration file, the environment or flags, as `fastsocks server` takes them. A
    server with users has one URL for each.
    """
    with failures():
        from .url_command import print_urls

        print_urls(given, qr=qr)


class _PassedOn(Command):
    """Leaves its arguments to another command, all but a call for help in front."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        helps = args[:1] and args[0] in ctx.help_option_names
        return super().parse_args(ctx, args if helps else ["--", *args])


@fastsocks.command(cls=_PassedOn, options_metavar="")
@click.argument(
    "arguments",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[SERVICE] [FLAGS OF THE SERVICE]",
)
@click.pass_context
def check(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Say what a service would run with, and start nothing.

    It shows where each value comes from. SERVICE is server, local, proxy or tunnel; it may be left
    out where the file that -c names tells. The flags are those of `fastsocks SERVICE`. Secrets are
    not shown. When the service would not start, the reason is shown, and the exit code is 2.

    With --target HOST:PORT it says which rule decides about a connection there. --client ADDRESS
    [default: 127.0.0.1], --user NAME and --command connect|bind|udp [default: connect] say whose
    and what.
    """
    with failures():
        from .check_command import file_of, print_check, service_of
        from .check_target import print_decision, take_asked

        services: dict[str, click.Command] = {
            "server": server,
            "local": local,
            "proxy": proxy,
            "tunnel": tunnel,
        }
        asked, rest = take_asked(arguments)
        service = rest.pop(0) if rest and rest[0] in services else service_of(file_of(rest))
        with services[service].make_context(service, rest, parent=context) as inner:
            if asked is None:
                print_check(service, inner.params)
            else:
                print_decision(service, inner.params, asked)


@fastsocks.command()
@click.argument("method", shell_complete=complete_method)
def genkey(method: str) -> None:
    """Print a new key for METHOD, made at random.

    For a method of the 2022 edition it has the one form that such a method takes; for the others
    any text is a password, and this a good one.
    """
    with failures():
        from fastsocks.shadowsocks import generate_key

        click.echo(generate_key(method))


@fastsocks.command()
@click.argument("file", type=FILE, metavar="FILE")
@click.argument("user", metavar="[USER]", required=False)
@click.option("--delete", is_flag=True, help="Take the user out.")
@click.option(
    "--from-file",
    "listed",
    type=FILE,
    metavar="LIST",
    help="In the place of USER: set those of a file with lines USER:PASSWORD; - is standard input.",
)
def passwd(file: str, user: str | None, delete: bool, listed: str | None) -> None:
    """Set the password of USER in FILE, a file of hashes, or of all users of a list.

    FILE is for --accounts-file of `fastsocks local` and `fastsocks proxy`; it is made if it is not
    there, and gets a hash of the password. The password is asked for, or is the first line of
    standard input where that is no terminal. Without USER, standard input is a list, as that of
    --from-file. A service that runs notices the change by itself.
    """
    with failures():
        from .passwd_command import change_account, change_accounts

        if user is not None and listed is None:
            change_account(file, user, delete=delete)
        else:
            change_accounts(file, user, listed, delete=delete)


@fastsocks.command()
@click.argument("source", type=FILE, metavar="HEX|FILE|PCAP|-")
@click.option(
    "--url", metavar="ss://...", help="URL of the Shadowsocks server, whose key opens the bytes."
)
@click.option(
    "-m",
    "--method",
    metavar="METHOD",
    shell_complete=complete_method,
    help="In the place of --url: its method.",
)
@click.option(
    "-k",
    "--password",
    "--key",
    "key",
    metavar="KEY",
    help="In the place of --url: its password or key.",
)
@click.option(
    "--from",
    "side",
    type=click.Choice(["client", "server"]),
    default="client",
    help="Who sent the bytes; of a capture not needed.  [default: client]",
)
@click.option(
    "--udp", is_flag=True, help="The bytes are a datagram, and not the beginning of a connection."
)
@click.option(
    "--at",
    type=float,
    metavar="SECONDS",
    help="When they came, as Unix time; 2022 methods ask.  [default: as a capture says, else now]",
)
@click.option(
    "--port",
    type=int,
    metavar="PORT",
    help="Of a capture: only connections to this port, and its datagrams.",
)
def explain(
    source: str,
    url: str | None,
    method: str | None,
    key: str | None,
    side: str,
    udp: bool,
    at: float | None,
    port: int | None,
) -> None:
    """Say what bytes of SOCKS, HTTP or Shadowsocks mean.

    It shows field after field, and below them what is wrong. The bytes are given in hexadecimal,
    or as a file of such digits, of the bytes themselves, or of captured packets (pcap or pcapng,
    as of tcpdump -w); - is standard input. Shadowsocks needs its key. Passwords are not shown.
    """
    with failures():
        from .explain_command import Wanted, print_explanations

        print_explanations(Wanted(source, url, method, key, side == "server", udp, at, port))


@fastsocks.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what lets SHELL complete commands and flags."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(fastsocks, {}, "fastsocks", "_FASTSOCKS_COMPLETE").source())


def _run(service: str, given: dict[str, Any]) -> None:
    """Run services until a signal ends them."""
    from fastsocks.config import MissingPasswordError

    try:
        found = configured(service, given)
    except MissingPasswordError:
        asked = with_password(given)
        if asked is None:
            raise
        given = asked
        found = configured(service, given)
    _start(found, lambda: configured(service, given))


def _run_first(given: dict[str, Any]) -> None:
    """Run a server whose key is made now, or was on an earlier run."""
    from .key_file import keep_key, kept_file

    kept = kept_file()
    keep_key(kept)
    found = configured("server", given, kept=kept)
    from .first_run import announcer

    _start(found, lambda: configured("server", given, kept=kept), announcer(found, kept))


def _start(
    found: Invocation,
    again: Callable[[], Invocation],
    announce: Callable[[Sequence[Running]], None] | None = None,
) -> None:
    """Run services until a signal ends them.

    :param again: reads the configuration again.
    """
    from .process import Start
    from .run import run

    start = Start(
        make=found.make,
        options=found.configuration.process,
        access_log=found.access_log,
        read_again=lambda sockets: again().wanted(sockets),
        warnings=found.configuration.warnings,
        announce=announce,
    )
    run(start)
