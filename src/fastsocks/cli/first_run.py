"""What is said when a server runs with the key that it has made itself."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .invocation import Invocation
from .server_url import public_address, welcome

if TYPE_CHECKING:
    from fastsocks.service import Running

_log = logging.getLogger("fastsocks")

_DEFAULT_PORT = 8388


def announcer(found: Invocation, kept: Path) -> Callable[[Sequence[Running]], None]:
    """Return what tells how to use a server, once it listens.

    At a terminal that is its URL with all that belongs to it. Output that goes anywhere else is
    kept by somebody, and gets no secret.

    :param kept: where its key is.
    :raises ConfigError: the public address is malformed.
    """
    configuration = found.configuration
    options = configuration.services[0].options
    address = public_address(options, configuration.process)

    def announce(services: Sequence[Running]) -> None:
        port = services[0].addresses[0][1]
        if sys.stdout.isatty():
            click.echo(welcome(options, address, port, str(kept)))
        else:
            command = _url_command(options, configuration.process.public_address, port, kept)
            _log.info("the key is kept in %s; for the URL of this server: %s", kept, command)

    return announce


def _url_command(options: Any, public: str, port: int, kept: Path) -> str:
    words = ["fastsocks", "url"]
    if os.environ.get("STATE_DIRECTORY"):  # which a shell does not have
        words += ["-c", str(kept)]
    for address in options.addresses:
        words += ["-s", address] if address else []
    if port != _DEFAULT_PORT:
        words += ["-p", str(port)]
    if public:
        words += ["--public-address", public]
    return shlex.join(words)
