"""What a server's clients need to know: its address and URLs, as text and as QR codes."""

from __future__ import annotations

import io
import shlex
import socket
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple

from fastsocks.config import PLACEHOLDER, ProcessOptions, ServerOptions, ServerURL
from fastsocks.errors import ConfigError
from fastsocks.policy import is_public

#: Addresses that no network has for itself, those of a root name server: a UDP socket connected
#: to one has the address that the default route has. Nothing is sent.
_FAR_AWAY = ((socket.AF_INET, "198.41.0.4"), (socket.AF_INET6, "2001:503:ba3e::2:30"))


class PublicAddress(NamedTuple):
    """Where clients find a server."""

    #: IP address without brackets or a name; the placeholder if not known.
    host: str
    #: None is the port on which it listens.
    port: int | None = None
    #: Why clients may not find it there.
    warning: str | None = None

    @property
    def known(self) -> bool:
        """Whether it is an address."""
        return self.host != PLACEHOLDER


class Shared(NamedTuple):
    """A URL, and the user whom it is for."""

    url: ServerURL
    user: str | None


def public_address(options: ServerOptions, process: ProcessOptions) -> PublicAddress:
    """Find out where clients reach a server; nobody is asked.

    :raises ConfigError: the public address is malformed.
    """
    if process.public_address:
        from fastsocks.config.values import split_host

        try:
            host, port = split_host(process.public_address)
        except ConfigError as error:
            raise ConfigError(f"public address: {error}") from None
        return PublicAddress(host, port)
    listening = [host for host in options.addresses if not _is_unspecified(host)]
    if listening and len(listening) == len(options.addresses):
        return _of_listener(listening)
    return _of_host(_default_route())


def _of_listener(hosts: Sequence[str]) -> PublicAddress:
    for host in hosts:
        if _is_name(host) or is_public(host):
            return PublicAddress(host)
    return PublicAddress(
        hosts[0],
        warning=f"{hosts[0]} is not a public address; for clients elsewhere give --public-address",
    )


def _of_host(hosts: Sequence[str]) -> PublicAddress:
    for host in hosts:
        if is_public(host):
            return PublicAddress(host)
    return PublicAddress(
        PLACEHOLDER,
        warning=(
            f"the address of this host, {hosts[0]}, is not a public one: "
            if hosts
            else "this host has no way to the Internet: "
        )
        + "give the one that clients reach it by, as --public-address",
    )


def _default_route() -> list[str]:
    found = []
    for family, target in _FAR_AWAY:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:  # no route, or no such family
            continue
    return found


def _is_name(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


def _is_unspecified(host: str) -> bool:
    return not host or (not _is_name(host) and ip_address(host).is_unspecified)


def urls(options: ServerOptions, address: PublicAddress, port: int | None = None) -> list[Shared]:
    """Return the URL of a server, or with users the URL of each.

    :param port: on which it listens, where the options leave that to the kernel.
    :raises ConfigError: a URL cannot say what the options say.
    """
    if options.key:
        raise ConfigError("key: URLs have passwords only, and none stands for a key as it is")
    passwords: dict[str | None, str] = {None: options.password}
    if options.users:
        passwords = {name: f"{options.password}:{key}" for name, key in options.users.items()}
    return [
        Shared(
            ServerURL(
                method=options.method,
                password=password,
                host=address.host,
                port=address.port or port or options.port,
                tag=user,
            ),
            user,
        )
        for user, password in passwords.items()
    ]


def qr_code(text: str, encoding: str | None) -> str:
    """Draw a QR code for a terminal.

    :param encoding: of the terminal; without block elements it takes twice the room.
    :return: where no code can hold the text, one line that says so.
    """
    import segno

    drawing = io.StringIO()
    try:
        code = segno.make_qr(text, error="l")
    except segno.DataOverflowError:
        return f"No QR code: it holds 2953 bytes at most, and the URL has {len(text)}.\n"
    try:
        "█▀▄".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        code.terminal(drawing, border=2)
    else:
        code.terminal(drawing, border=2, compact=True)
    return drawing.getvalue()


def welcome(options: ServerOptions, address: PublicAddress, port: int, place: str) -> str:
    """Return what somebody at a terminal needs to use the server, secrets included.

    :param port: on which it listens.
    :param place: where its key is kept.
    """
    (shared,) = urls(options, address, port)
    url = shared.url.format()
    reached = f"{_bracketed(address.host)}:{shared.url.port}"
    lines = [
        "",
        f"Address   {reached}",
        f"URL       {url}",
        f"Key       kept in {place} for the next start; whoever has it can use this server",
        "",
    ]
    if address.warning:
        lines += [f"Warning   {address.warning}", ""]
    if address.known:
        lines += [qr_code(url, sys.stdout.encoding).rstrip("\n"), ""]
    lines += [
        "On the other end, for a SOCKS5 proxy on 127.0.0.1:1080 that leads here:",
        "",
        f"    fastsocks local {shlex.quote(url)}",
        "",
    ]
    return "\n".join(lines)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
