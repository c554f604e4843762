"""``python -m fastsocks``."""

from fastsocks.cli import main

main()
