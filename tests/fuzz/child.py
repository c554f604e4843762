"""``python -m fuzz.child TARGET ARGUMENT ...``: libFuzzer on one target, with its arguments.

In a process of its own, since libFuzzer ends the one in which it runs.
"""

from __future__ import annotations

import os
import sys

# Instrumented extension modules look for what they call among the symbols of all libraries.
_flags = sys.getdlopenflags()
sys.setdlopenflags(_flags | os.RTLD_GLOBAL)
import atheris
import atheris.core_with_libfuzzer

sys.setdlopenflags(_flags)


def main() -> None:
    """Run the command; it does not return."""
    # What is instrumented is what is imported here: the pure twins, and all that has none.
    with atheris.instrument_imports(include=["fastsocks"]):
        from fuzz.targets import TARGETS
    name, *arguments = sys.argv[1:]
    # The program's name is what -merge runs again, by a shell.
    program = f"{sys.executable} -m fuzz.child {name}"
    atheris.Setup([program, *arguments], TARGETS[name], internal_libfuzzer=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
