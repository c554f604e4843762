"""The command line; the only part that touches what belongs to the process."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process, and exit."""
    try:
        from .title import hide_secrets

        # Before all that takes time: until then every user of this machine can read them.
        hide_secrets()
        from .commands import fastsocks
    except KeyboardInterrupt:
        # As click ends from here on.
        raise SystemExit("Aborted!") from None
    fastsocks(prog_name="fastsocks")
