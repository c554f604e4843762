"""What ``FASTSOCKS_BUILD`` changes of how the extension modules are built."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

#: Frames for the reports, and no optimisation that takes an undefined step for impossible.
_DIAGNOSED = ["-O1", "-g", "-fno-omit-frame-pointer"]


@dataclass(frozen=True)
class Variant:
    """Flags for the C compiler and the linker, and directives for Cython."""

    compile_args: list[str] = field(default_factory=list)
    link_args: list[str] = field(default_factory=list)
    directives: dict[str, bool] = field(default_factory=dict)
    #: Warnings of Cython and of the C compiler are errors.
    strict: bool = False
    #: The C files lie beside the .pyx, where Cython.Coverage looks for them.
    c_beside_pyx: bool = False


#: What is undefined traps, which AddressSanitizer reports: UBSan beside it writes to stderr only,
#: and that is lost where pytest or a test of processes captures it.
_SANITIZERS = ["-fsanitize=address,undefined", "-fsanitize-undefined-trap-on-error"]

VARIANTS = {
    "default": Variant(),
    "strict": Variant(compile_args=["-Werror"], strict=True),
    # Python's own flags have -fwrapv, under which no overflow of a signed number is one.
    "sanitize": Variant(
        compile_args=[*_DIAGNOSED, *_SANITIZERS, "-fno-wrapv"],
        link_args=_SANITIZERS,
        # An attribute of None is an AttributeError there, and not whatever lies at that place.
        # (Cython then takes `self.count += 1` for a use of Python, which nogil does not have.)
        directives={"nonecheck": True},
    ),
    # Runs on an interpreter built --disable-gil --with-thread-sanitizer, by the same compiler.
    "threads": Variant(
        compile_args=[*_DIAGNOSED, "-fsanitize=thread"],
        link_args=["-fsanitize=thread"],
    ),
    # Needs clang; atheris brings what the instrumented code calls, but for what tells of the stack.
    "fuzz": Variant(
        compile_args=[
            *_DIAGNOSED,
            "-fsanitize=fuzzer-no-link",
            "-fno-sanitize-coverage=stack-depth",
        ]
    ),
    "coverage": Variant(
        compile_args=["-O0", "-DCYTHON_TRACE_NOGIL=1", "-Wno-unused-variable"],
        directives={"linetrace": True},
        c_beside_pyx=True,
    ),
}


def chosen() -> Variant | None:
    """Return the variant that ``FASTSOCKS_BUILD`` names; None for a build without extensions.

    :raises SystemExit: there is no such variant.
    """
    name = os.environ.get("FASTSOCKS_BUILD") or "default"
    if name == "pure":
        return None
    if name not in VARIANTS:
        known = ", ".join(["pure", *VARIANTS])
        sys.exit(f"FASTSOCKS_BUILD={name!r}: use one of {known}, or leave it unset")
    return VARIANTS[name]
