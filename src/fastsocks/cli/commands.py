"""The commands and their flags.

What a command needs is imported when it runs, so that ``--help`` and ``--version`` are quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fastsocks.service import Running

Command = TypeVar("Command", bound=Callable[..., Any])


class UsageFailure(click.ClickException):
    """Bad usage or configuration."""

    exit_code = 2


class ListenFailure(click.ClickException):
    """Cannot listen."""

    exit_code = 3


def main() -> None:
    """Run the command line of this process, and exit."""
    fastsocks(prog_name="fastsocks")


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from .version import version_line

    with failures():
        click.echo(version_line())
    context.exit()


@contextmanager
def failures() -> Iterator[None]:
    """Turn errors of fastsocks into one line and an exit code."""
    from fastsocks.errors import ConfigError, ListenError

    try:
        yield
    # An implementation that is asked for and not there raises ImportError, and says why.
    except (ConfigError, ImportError) as error:
        raise UsageFailure(str(error)) from error
    except ListenError as error:
        raise ListenFailure(str(error)) from error


def _common(command: Command) -> Command:
    """Add the flags of every service."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="Log what is no problem, too."),
        click.option(
            "--grace",
            type=float,
            metavar="SECONDS",
            default=10.0,
            show_default=True,
            help="How long connections may go on after the first SIGTERM or SIGINT; a second "
            "one ends them at once.",
        ),
        click.option(
            "-t",
            "--timeout",
            type=float,
            metavar="SECONDS",
            default=30.0,
            show_default=True,
            help="Limit for a client's handshake, and for connecting to its target.",
        ),
    ):
        command = option(command)
    return command


def _key(command: Command) -> Command:
    """Add the flags of Shadowsocks' encryption."""
    for option in (
        click.option(
            "-m",
            "--method",
            metavar="METHOD",
            default="",
            help="Encryption method; a good one is 2022-blake3-aes-128-gcm.",
        ),
        click.option(
            "-k",
            "--password",
            metavar="KEY",
            default="",
            help="Password, or for a 2022 method its key. Other users of this machine can read "
            "command lines.",
        ),
    ):
        command = option(command)
    return command


def _listening(command: Command) -> Command:
    """Add the flags of a listening address, as local and proxy have them."""
    for option in (
        click.option(
            "-l",
            "--local-port",
            type=int,
            metavar="PORT",
            default=1080,
            show_default=True,
            help="Port to listen on.",
        ),
        click.option(
            "-b",
            "--local-address",
            metavar="ADDRESS",
            default="127.0.0.1",
            show_default=True,
            help="Address to listen on.",
        ),
    ):
        command = option(command)
    return command


def _allow_private(command: Command) -> Command:
    return click.option(
        "--allow-private",
        is_flag=True,
        help="Let clients reach this host, its network and other addresses that are not public.",
    )(command)


def _users(metavar: str, text: str) -> Callable[[Command], Command]:
    return click.option("--user", "users", multiple=True, metavar=metavar, help=text)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print versions and exit.",
)
def fastsocks() -> None:
    """Relay TCP by SOCKS5 and Shadowsocks.

    Exit codes: 0 stopped on request, 1 failed while running, 2 bad usage or configuration,
    3 cannot listen.
    """


@fastsocks.command()
@click.option(
    "-s",
    "--server",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="Address to listen on; may be repeated.  [default: all of this host, IPv6 and IPv4]",
)
@click.option(
    "-p",
    "--server-port",
    type=int,
    metavar="PORT",
    default=8388,
    show_default=True,
    help="Port to listen on.",
)
@_key
@_users("NAME:KEY", "A user and their key (2022 methods on AES); may be repeated.")
@_allow_private
@_common
def server(
    addresses: tuple[str, ...],
    server_port: int,
    method: str,
    password: str,
    users: tuple[str, ...],
    allow_private: bool,
    timeout: float,
    grace: float,
    verbose: bool,
) -> None:
    """Run a Shadowsocks server."""

    def make() -> Running:
        from fastsocks.config import ServerOptions, read_accounts
        from fastsocks.service import Server

        return Server(
            ServerOptions(
                addresses=addresses or ("",),
                port=server_port,
                method=method,
                password=password,
                users=read_accounts(users),
                allow_private=allow_private,
                timeout=timeout,
                grace=grace,
            )
        )

    _run(make, verbose=verbose)


@fastsocks.command()
@click.option(
    "-s", "--server", required=True, metavar="ADDRESS", help="Address of the Shadowsocks server."
)
@click.option(
    "-p",
    "--server-port",
    type=int,
    metavar="PORT",
    default=8388,
    show_default=True,
    help="Port of the Shadowsocks server.",
)
@_listening
@_key
@_users(
    "NAME:PASSWORD", "Who may use it, and their password; may be repeated.  [default: everybody]"
)
@_common
def local(
    server: str,
    server_port: int,
    local_address: str,
    local_port: int,
    method: str,
    password: str,
    users: tuple[str, ...],
    timeout: float,
    grace: float,
    verbose: bool,
) -> None:
    """Run a SOCKS5 server that leads to a Shadowsocks server."""

    def make() -> Running:
        from fastsocks.config import LocalOptions, read_accounts
        from fastsocks.service import Local

        return Local(
            LocalOptions(
                addresses=(local_address,),
                port=local_port,
                server=server,
                server_port=server_port,
                method=method,
                password=password,
                accounts=read_accounts(users),
                timeout=timeout,
                grace=grace,
            )
        )

    _run(make, verbose=verbose)


@fastsocks.command()
@_listening
@_users(
    "NAME:PASSWORD", "Who may use it, and their password; may be repeated.  [default: everybody]"
)
@_allow_private
@_common
def proxy(
    local_address: str,
    local_port: int,
    users: tuple[str, ...],
    allow_private: bool,
    timeout: float,
    grace: float,
    verbose: bool,
) -> None:
    """Run a plain SOCKS5 proxy."""

    def make() -> Running:
        from fastsocks.config import ProxyOptions, read_accounts
        from fastsocks.service import Proxy

        return Proxy(
            ProxyOptions(
                addresses=(local_address,),
                port=local_port,
                accounts=read_accounts(users),
                allow_private=allow_private,
                timeout=timeout,
                grace=grace,
            )
        )

    _run(make, verbose=verbose)


@fastsocks.command()
@click.argument("method")
def genkey(method: str) -> None:
    """Print a new key for METHOD, made at random."""
    with failures():
        from fastsocks.shadowsocks import generate_key

        click.echo(generate_key(method))


def _run(make: Callable[[], Running], *, verbose: bool) -> None:
    from .process import run

    with failures():
        run(make, verbose=verbose)
