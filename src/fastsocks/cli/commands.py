"""The commands and their flags.

What a command needs is imported when it runs, so that ``--help`` and ``--version`` are quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from . import flags

if TYPE_CHECKING:
    from fastsocks.service import Running


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
    multiple=True,
    metavar="ADDRESS",
    help="Address to listen on; may be repeated.  [default: all of this host, IPv6 and IPv4]",
)
@click.option(
    "-p", "--server-port", type=int, metavar="PORT", help="Port to listen on.  [default: 8388]"
)
@flags.key
@flags.names("NAME:KEY", "A user and their key (2022 methods on AES); may be repeated.")
@click.option(
    "-b",
    "--local-address",
    multiple=True,
    metavar="ADDRESS",
    help="Address to connect to targets from, one IPv4 and one IPv6 at most.",
)
@click.option("-l", "--local-port", type=int, hidden=True)
@flags.allow_private
@flags.allow_unencrypted
@flags.common
def server(**given: Any) -> None:
    """Run a Shadowsocks server."""
    given.pop("local_port")  # ss-server takes it, for the sake of shared configurations

    def make(configuration: Any) -> list[Running]:
        from fastsocks.service import Server

        return [Server(service.options) for service in configuration.services]

    _run("configure_server", "users", make, given)


@fastsocks.command()
@click.argument("url", required=False, metavar="[ss://...]")
@click.option("-s", "--server", metavar="ADDRESS", help="Address of the Shadowsocks server.")
@click.option(
    "-p",
    "--server-port",
    type=int,
    metavar="PORT",
    help="Port of the Shadowsocks server.  [default: 8388]",
)
@flags.listening
@flags.key
@flags.names(
    "NAME:PASSWORD", "Who may use it, and their password; may be repeated.  [default: everybody]"
)
@flags.common
def local(**given: Any) -> None:
    """Run a SOCKS5 server that leads to a Shadowsocks server."""

    def make(configuration: Any) -> list[Running]:
        from fastsocks.service import Local

        return [Local(service.options) for service in configuration.services]

    _run("configure_local", "accounts", make, given)


@fastsocks.command()
@flags.listening
@flags.names(
    "NAME:PASSWORD", "Who may use it, and their password; may be repeated.  [default: everybody]"
)
@flags.allow_private
@flags.common
def proxy(**given: Any) -> None:
    """Run a plain SOCKS5 proxy."""

    def make(configuration: Any) -> list[Running]:
        from fastsocks.service import Proxy

        return [Proxy(service.options) for service in configuration.services]

    _run("configure_proxy", "accounts", make, given)


@fastsocks.command()
@click.argument("method")
def genkey(method: str) -> None:
    """Print a new key for METHOD, made at random."""
    with failures():
        from fastsocks.shadowsocks import generate_key

        click.echo(generate_key(method))


def _run(
    configure: str,
    users: str,
    make: Callable[[Any], list[Running]],
    given: dict[str, Any],
) -> None:
    """Run services until a signal ends them.

    :param configure: the function of :mod:`fastsocks.config` that puts the options together.
    :param users: the key of what ``--user`` gives.
    :param given: what click read.
    """
    from .process import Start, run

    with failures():
        from fastsocks import config

        values = {name: value for name, value in given.items() if name not in flags.NOT_KEYS}
        file = values.pop("access_log")
        if file is not None:
            if "://" in file:
                raise click.UsageError("--access-log: a URL follows; write --access-log=-")
            values["access_log"] = True
        if given["udp"]:
            values["mode"] = "tcp_and_udp"
        if given["verbose"]:
            values["log_level"] = "debug"
        if given["names"]:
            values[users] = config.read_accounts(given["names"])
        configuration = getattr(config, configure)(values, file=given["config"])
        run(
            Start(
                make=lambda: make(configuration),
                options=configuration.process,
                access_log=_access_log(file, configuration),
                warnings=configuration.warnings,
            )
        )


def _access_log(file: str | None, configuration: Any) -> str | None:
    wanted = any(service.options.access_log for service in configuration.services)
    return (file or "-") if wanted else None
