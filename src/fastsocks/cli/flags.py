"""The flags of the services.

A flag that says nothing has the value None, so that environment and file can speak; its name in
the code is the key of a configuration file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

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


#: Shells complete its name; what is wrong with it is told where it is read.
FILE = click.Path(readable=False)


def complete_method(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Return the methods that begin so, for shells."""
    import logging

    # What is logged would appear in the line that is being typed.
    logging.disable()
    from fastsocks.shadowsocks.methods import METHODS

    return [name for name in METHODS if name.startswith(begun)]


configuration = click.option(
    "-c",
    "--config",
    type=FILE,
    metavar="FILE",
    help="Configuration file: TOML, or the JSON of shadowsocks-libev and shadowsocks-rust. A flag "
    "beats its variable (FASTSOCKS_TIMEOUT for --timeout), which beats the file.",
)

public_address = click.option(
    "--public-address",
    metavar="HOST[:PORT]",
    help="Where clients reach this server, for its URL.  [default: the address by which this "
    "host reaches the Internet]",
)

common = _all(
    configuration,
    click.option(
        "-t",
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="How long a client may take to say what it wants, and again for connecting to its "
        "target.  [default: 30]",
    ),
    click.option(
        "--grace",
        type=float,
        metavar="SECONDS",
        help="How long connections may go on after the first Ctrl-C (SIGINT) or SIGTERM; a second "
        "one ends them at once.  [default: 10]",
    ),
    _flag("-6", "ipv6_first", text="Try the IPv6 addresses of a name before its IPv4 addresses."),
    _flag("--ipv4-first", text="Try the IPv4 addresses of a name before its IPv6 addresses."),
    _flag("--ipv4-only", text="Use the IPv4 addresses of names alone."),
    _flag("--ipv6-only", "target_ipv6_only", text="Use the IPv6 addresses of names alone."),
    click.option(
        "-d",
        "--resolver",
        metavar="IP,...|auto|system",
        help="Name servers to ask, or system for getaddrinfo.  [default: auto, those of the "
        "system]",
    ),
    _flag(
        "--fast-open",
        text="Use TCP Fast Open: payload with the first packet of a connection saves a round trip.",
    ),
    _flag(
        "--reuse-port",
        text="Share the port with other processes that set this, too (SO_REUSEPORT).",
    ),
    _flag("--no-delay", text="Send small packets at once (TCP_NODELAY), which is the default."),
    click.option(
        "--mode",
        type=click.Choice(["tcp_and_udp", "tcp_only", "udp_only"]),
        help="Whether TCP, UDP or both are relayed.  [default: tcp_and_udp]",
    ),
    _flag("-u", "udp", text="The same as --mode tcp_and_udp."),
    _flag("-U", "udp_only", text="The same as --mode udp_only."),
    click.option(
        "--udp-timeout",
        type=float,
        metavar="SECONDS",
        help="How long a UDP association, which is a client's UDP port, lives without a datagram.  "
        "[default: 300]",
    ),
    _count("--udp-max-associations", "Most UDP associations at a time.  [default: 4096]"),
    _count(
        "--udp-max-associations-per-client",
        "The same of one client's address.  [default: no limit]",
    ),
    _count("--udp-max-associations-per-user", "The same of one user.  [default: no limit]"),
    click.option(
        "--udp-mtu",
        "--mtu",
        "mtu",
        type=int,
        metavar="BYTES",
        help="Largest IP packet that the padding of 2022 methods may make.  [default: 1500]",
    ),
    click.option(
        "--rule",
        "rules",
        multiple=True,
        metavar="RULE",
        help='Who may reach what, such as "deny to 10.0.0.0/8 port 25"; may be repeated. The first '
        "rule that holds decides.",
    ),
    click.option(
        "--acl",
        type=FILE,
        metavar="FILE",
        help="ACL file of shadowsocks-libev or shadowsocks-rust, whose rules come after --rule.",
    ),
    _flag(
        "--acl-leave-out",
        text="Start without those lines of the ACL file that cannot be had, and name them.",
    ),
    click.option(
        "--workers",
        metavar="NUMBER|auto",
        help="How many processes serve; auto is one for each core.  [default: 1]",
    ),
    click.option(
        "-n",
        "--nofile",
        type=int,
        metavar="NUMBER",
        help="Limit of open files to set.  [default: as high as it may be]",
    ),
    _flag(
        "--no-core-dumps",
        text="Leave no core dump, which would have keys in it, and on Linux let no program of the "
        "same user look into the memory.",
    ),
    click.option("-a", "user", metavar="USER", help="Become this user once the ports are open."),
    _count(
        "--max-connections",
        "Most connections at a time.  [default: as many as the limit of open files allows]",
    ),
    _count(
        "--max-connections-per-client",
        "The same of one client: an IPv4 address or an IPv6 network (/64).  [default: 4096]",
    ),
    _count(
        "--max-handshakes",
        "Most connections at a time that have not said yet what they want, or were wrong and are "
        "kept open in silence, so that probers learn nothing.  [default: 4096]",
    ),
    _count("--max-handshakes-per-client", "The same of one client.  [default: 1024]"),
    # Of former releases, without effect.
    click.option("--max-drains", type=int, hidden=True),
    click.option("--max-drains-per-client", type=int, hidden=True),
    _count(
        "--max-lookups-per-client",
        "Most names looked up at a time for one client, a quarter of all at most.  [default: 1024]",
    ),
    click.option(
        "--access-log",
        type=FILE,
        metavar="[FILE|-]",
        is_flag=False,
        flag_value="-",
        help="Log a line for every connection and UDP association, to FILE or (-, the same as no "
        "FILE) standard output.  [default: off]",
    ),
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        help="Form of log lines.  [default: text]",
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
        help="Password; for a 2022 method a key (`fastsocks genkey`). Other users of this machine "
        "can see it for a moment, and shells keep a history: better --password-file or the "
        "variable FASTSOCKS_PASSWORD.",
    ),
    click.option(
        "--password-file",
        type=FILE,
        metavar="FILE",
        help="File that has the password in its only line.",
    ),
    click.option(
        "--key",
        metavar="BASE64",
        help="The key itself in the place of a password, as shadowsocks-libev takes it.",
    ),
    click.option(
        "-m",
        "--method",
        metavar="METHOD",
        shell_complete=complete_method,
        help="Encryption method, the same at both ends; take 2022-blake3-aes-128-gcm.",
    ),
)

listening = _all(
    click.option(
        "-b",
        "--local-address",
        multiple=True,
        metavar="ADDRESS",
        help="Address to listen on; may be repeated.  [default: 127.0.0.1 and ::1]",
    ),
    click.option(
        "-l", "--local-port", type=int, metavar="PORT", help="Port to listen on.  [default: 1080]"
    ),
    click.option(
        "--protocols",
        metavar="NAMES",
        help="What clients may speak, told apart by their first byte: some of socks5,socks4,http.  "
        "[default: all three]",
    ),
    click.option(
        "--udp-address",
        metavar="ADDRESS",
        help="IP address that UDP clients are told to send to, where this host does not know it "
        "itself, as behind NAT.  [default: the one that they reached it by]",
    ),
    _flag(
        "--short-replies",
        text="Do not tell SOCKS5 clients IPv6 addresses that targets are reached from: old ones "
        "read 10 bytes of a reply and no more.",
    ),
    click.option(
        "--max-request-head",
        type=int,
        metavar="BYTES",
        help="Most bytes of the head of an HTTP request, with its cookies.  [default: 65536]",
    ),
)

accounts_file = click.option(
    "--accounts-file",
    type=FILE,
    metavar="FILE",
    help="File of users with hashes of their passwords, made by `fastsocks passwd`.",
)

binding = _all(
    click.option(
        "--bind-address",
        multiple=True,
        metavar="ADDRESS",
        help="IP address at which a peer that a client expects (SOCKS BIND, as for FTP) can "
        "connect; one IPv4 and one IPv6 at most.  [default: the one that leads to that peer]",
    ),
    click.option(
        "--bind-ports",
        metavar="FIRST-LAST",
        help="Ports for that, as 50000-50100.  [default: any]",
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
    help="Connect through another server: ss://..., socks5:// or "
    "http://[USER:PASSWORD@]HOST[:PORT]; may be repeated, for a chain in that order.",
)

search_domains = click.option(
    "--search-domains",
    metavar="DOMAIN,...|system",
    help="Domains in which short names of targets are searched; system is those of resolv.conf.  "
    "[default: none]",
)

gssapi = _all(
    _flag(
        "--gssapi",
        text="Let SOCKS5 clients log in by a Kerberos ticket (RFC 1961); needs fastsocks[gssapi].",
    ),
    click.option(
        "--gssapi-keytab",
        type=FILE,
        metavar="FILE",
        help="File of the service's Kerberos keys.  [default: the system's keytab]",
    ),
    click.option(
        "--gssapi-protection",
        multiple=True,
        type=click.Choice(["none", "integrity", "confidentiality"]),
        help="What Kerberos clients may choose as protection of their messages; may be repeated.  "
        "[default: integrity, confidentiality]",
    ),
)

allow_private = _flag(
    "--allow-private",
    text="Let clients reach this host, its network and all else that is not public.",
)

allow_unencrypted = _flag(
    "--allow-unencrypted",
    text="Let the method none listen beyond loopback: an open proxy for whoever finds it.",
)


def names(metavar: str, text: str) -> Callable[[Command], Command]:
    """Add the flag of users, who are named with a secret each."""
    return click.option("--user", "names", multiple=True, metavar=metavar, help=text)
