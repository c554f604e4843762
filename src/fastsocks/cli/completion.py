"""What shells complete."""

from __future__ import annotations

import click

#: Shells complete its name; what is wrong with it is told where it is read.
FILE = click.Path(readable=False)


def complete_method(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """Return the methods that begin so, for shells."""
    import logging

    # What is logged would appear in the line that is being typed.
    logging.disable()
    from fastsocks.shadowsocks.methods import METHODS

    return [name for name in METHODS if name.startswith(begun)]
