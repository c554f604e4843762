"""The flags of the services.

A flag that says nothing has the value None, so that environment and file can speak; its name in
the code is the key of a configuration file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]

#: Names of parameters that are no keys of a configuration file.
NOT_KEYS = ("config", "verbose", "names", "udp", "udp_only")


def _all(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def _flag(*names: str, text: str) -> Callable[[Any], Any]:
    return click.option(*names, is_flag=True, default=None, help=text)


def _count(name: str, text: str) -> Callable[[Any], Any]:
    return click.option(name, type=int, metavar="NUMBER", help=text)


configuration = click.option(
    "-c",
    "--config",
    metavar="FILE",
    help="Configuration of fastsocks, shadowsocks-libev or shadowsocks-rust: JSON, or TOML. "
    "Flags beat the environment (FASTSOCKS_TIMEOUT for --timeout), which beats the file.",
)

public_address = click.option(
    "--public-address",
    metavar="HOST[:PORT]",
    help="Where clients reach this server, for its URL.  [default: the address of the default "
    "route]",
)

common = _all(
    configuration,
    click.option(
        "-t",
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="Limit for a client's handshake, and for connecting to its target.  [default: 30]",
    ),
    click.option(
        "--grace",
        type=float,
        metavar="SECONDS",
        help="How long connections may go on after the first SIGTERM or SIGINT; a second one ends "
        "them at once.  [default: 10]",
    ),
    _flag("-6", "ipv6_first", text="Try the IPv6 addresses of names first."),
    _flag(
        "--fast-open",
        text="TCP Fast Open: take first bytes with the SYN; local sends them so, too.",
    ),
    _flag("--reuse-port", text="Share the port with other processes that do, too (SO_REUSEPORT)."),
    _flag("--no-delay", text="Nothing to do: TCP_NODELAY is always set."),
    click.option(
        "--mode",
        type=click.Choice(["tcp_and_udp", "tcp_only", "udp_only"]),
        help="What is relayed.  [default: tcp_and_udp]",
    ),
    _flag("-u", "udp", text="The same as --mode tcp_and_udp."),
    _flag("-U", "udp_only", text="The same as --mode udp_only."),
    click.option(
        "--udp-timeout",
        type=float,
        metavar="SECONDS",
        help="How long a UDP association lives without a datagram.  [default: 300]",
    ),
    _count("--udp-max-associations", "Most UDP associations at a time.  [default: 4096]"),
    _count("--udp-max-associations-per-user", "Of one user.  [default: no limit of its own]"),
    click.option(
        "--udp-mtu",
        "--mtu",
        "mtu",
        type=int,
        metavar="BYTES",
        help="Largest IP packet that padding may make of a datagram.  [default: 1500]",
    ),
    click.option(
        "--rule",
        "rules",
        multiple=True,
        metavar="RULE",
        help='Who may reach what, as "deny to 10.0.0.0/8 port 25"; may be repeated, and the first '
        "that holds decides.",
    ),
    click.option("--acl", metavar="FILE", help="Rules of shadowsocks-libev or shadowsocks-rust."),
    click.option(
        "--workers",
        metavar="NUMBER|auto",
        help="Processes that serve, one for each core with auto.  [default: 1]",
    ),
    click.option(
        "-n", "--nofile", type=int, metavar="NUMBER", help="Limit of open files.  [default: most]"
    ),
    click.option("-a", "user", metavar="USER", help="Run as this user once it listens."),
    _count("--max-connections", "Most connections at a time.  [default: as files allow]"),
    _count("--max-connections-per-client", "Of one address or IPv6 /64.  [default: 4096]"),
    _count("--max-handshakes", "Most unfinished handshakes.  [default: 4096]"),
    _count("--max-handshakes-per-client", "Of one client.  [default: 1024]"),
    _count("--max-drains", "Most failed connections kept open in silence.  [default: 4096]"),
    _count("--max-drains-per-client", "Of one client.  [default: 64]"),
    _count("--max-lookups-per-client", "Name look-ups of one client at a time.  [default: 8]"),
    click.option(
        "--access-log",
        metavar="[FILE|-]",
        is_flag=False,
        flag_value="-",
        help="Log a line for every connection, to FILE or standard output. Off unless asked for.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        help="How lines are written.  [default: text]",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="The least that is logged.  [default: info]",
    ),
    click.option("-v", "--verbose", is_flag=True, help="The same as --log-level debug."),
)

key = _all(
    click.option(
        "-k",
        "--password",
        metavar="KEY",
        help="Password, or for a 2022 method its key. Until fastsocks has overwritten its "
        "arguments, a moment after the start, other users of this machine can read it, and shells "
        "keep a history: better --password-file or FASTSOCKS_PASSWORD.",
    ),
    click.option(
        "--password-file", metavar="FILE", help="File that has the password in its only line."
    ),
    click.option(
        "--key",
        metavar="BASE64",
        help="In the place of a password the key itself, as shadowsocks-libev has it.",
    ),
    click.option(
        "-m",
        "--method",
        metavar="METHOD",
        help="Encryption method; a good one is 2022-blake3-aes-128-gcm.",
    ),
)

listening = _all(
    click.option(
        "-b",
        "--local-address",
        multiple=True,
        metavar="ADDRESS",
        help="Address to listen on; may be repeated.  [default: 127.0.0.1]",
    ),
    click.option(
        "-l", "--local-port", type=int, metavar="PORT", help="Port to listen on.  [default: 1080]"
    ),
    click.option(
        "--protocols",
        metavar="NAMES",
        help="What clients may speak on this port, of socks5, socks4 and http, with commas.  "
        "[default: all three]",
    ),
    click.option(
        "--udp-address",
        metavar="ADDRESS",
        help="IP address that UDP clients are told to send to, where it is another than that of "
        "this host, as behind NAT.",
    ),
)

accounts_file = click.option(
    "--accounts-file",
    metavar="FILE",
    help="File of further users and hashes of their passwords, made by `fastsocks passwd`.",
)

binding = _all(
    click.option(
        "--bind-address",
        multiple=True,
        metavar="ADDRESS",
        help="IP address at which peers of clients connect (BIND), one IPv4 and one IPv6 at most."
        "  [default: the one that leads to the expected peer]",
    ),
    click.option(
        "--bind-ports",
        metavar="FIRST-LAST",
        help="Ports for that.  [default: any]",
    ),
    click.option(
        "--bind-timeout",
        type=float,
        metavar="SECONDS",
        help="How long to wait for such a peer.  [default: 120]",
    ),
)

upstream = click.option(
    "--upstream",
    multiple=True,
    metavar="URL",
    help="Dial through another server: ss://..., socks5:// or http://[USER:PASSWORD@]HOST[:PORT]; "
    "several make a chain, in their order.",
)

gssapi = _all(
    _flag(
        "--gssapi",
        text="Let those use it who have a Kerberos ticket for it (RFC 1961); needs "
        "fastsocks[gssapi].",
    ),
    click.option(
        "--gssapi-keytab",
        metavar="FILE",
        help="The service's Kerberos keys.  [default: the system's keytab]",
    ),
    click.option(
        "--gssapi-protection",
        multiple=True,
        type=click.Choice(["none", "integrity", "confidentiality"]),
        help="Protection that clients may choose; may be repeated.  [default: integrity, "
        "confidentiality]",
    ),
)

allow_private = _flag(
    "--allow-private",
    text="Let clients reach this host, its network and other addresses that are not public.",
)

allow_unencrypted = _flag(
    "--allow-unencrypted",
    text="Let the method none listen beyond loopback: an open proxy for whoever finds it.",
)


def names(metavar: str, text: str) -> Callable[[Command], Command]:
    """Add the flag of users, who are named with a secret each."""
    return click.option("--user", "names", multiple=True, metavar=metavar, help=text)
