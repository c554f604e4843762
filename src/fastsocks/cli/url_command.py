"""``fastsocks url``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from fastsocks.config import PLACEHOLDER
from fastsocks.errors import ConfigError

from .invocation import configured, first_run
from .key_file import has_kept_key, kept_file
from .server_url import public_address, qr_code, urls


def print_urls(given: Mapping[str, Any], *, qr: bool) -> None:
    """Print the URL of each server, or of each user of it.

    :param given: what click read.
    :param qr: whether to draw them, too.
    :raises ConfigError: there is no server, or what is said of it is wrong.
    """
    kept = None
    if first_run(given):
        kept = kept_file()
        if not has_kept_key(kept):
            raise ConfigError(
                f"there is no key in {kept} yet: `fastsocks server` makes one when it is first "
                "run; for another server give its file to -c, or flags"
            )
    found = configured("server", given, kept=kept).configuration
    for service in found.services:
        address = public_address(service.options, found.process)
        if address.warning:
            click.echo(f"Warning: {address.warning}", err=True)
        for shared in urls(service.options, address):
            text = shared.url.format()
            click.echo(text)
            if qr and address.known:
                click.echo(qr_code(text, sys.stdout.encoding))
        if qr and not address.known:
            click.echo(
                f"No QR code: a phone would look for a server called {PLACEHOLDER}; give the "
                "address of this one as --public-address",
                err=True,
            )
