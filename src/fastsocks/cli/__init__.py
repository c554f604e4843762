"""The command line; the only part that touches what belongs to the process."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process, and exit."""
    try:
        import sys

        from .early_signals import take_early_signals

        # Before all that takes time: until then a signal is a death.
        take_early_signals(sys.argv[1] if len(sys.argv) > 1 else "")
        from .title import hide_secrets

        # Likewise: until then every user of this machine can read them.
        hide_secrets()
        from .commands import fastsocks
    except KeyboardInterrupt:
        # As click ends from here on.
        raise SystemExit("Aborted!") from None
    fastsocks(prog_name="fastsocks")
