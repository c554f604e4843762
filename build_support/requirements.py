"""Check what a build needs, and say what to install where something is missing."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

REMEDY = """\
fastsocks: {problem}.

Its extension modules need a C compiler, the headers of Python and of OpenSSL
3.0 or later, and pkg-config. Install them:
  Debian, Ubuntu   apt-get install build-essential python3-dev libssl-dev pkg-config
  Fedora, RHEL     dnf install gcc python3-devel openssl-devel pkgconf-pkg-config
  Alpine           apk add build-base python3-dev openssl-dev pkgconf
  macOS            xcode-select --install; brew install openssl@3 pkgconf
FASTSOCKS_OPENSSL_DIR=PREFIX takes a static libcrypto from PREFIX instead, and
FASTSOCKS_BUILD=pure installs the slower pure-Python implementation."""


def explain(problem: str) -> str:
    """Return `problem` with what to install."""
    return REMEDY.format(problem=problem)


def check_toolchain() -> None:
    """Stop unless there are a C compiler and the headers of Python.

    :raises SystemExit: one is missing, or this platform has no extension modules.
    """
    if sys.platform == "win32":
        raise SystemExit(explain("the extension modules do not build on Windows"))
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        raise SystemExit(explain(f"the C compiler {compiler[0]!r} is missing"))
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        raise SystemExit(explain("the headers of Python (Python.h) are missing"))
