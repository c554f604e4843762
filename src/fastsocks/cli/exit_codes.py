"""What errors make of a command's end."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click


class UsageFailure(click.ClickException):
    """Bad usage or configuration."""

    exit_code = 2


class ListenFailure(click.ClickException):
    """Cannot listen."""

    exit_code = 3


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
    except OSError as error:
        # The reader of our output has gone: click ends quietly then.
        if error.errno == errno.EPIPE:
            raise
        raise click.ClickException(error.strerror or str(error)) from error
