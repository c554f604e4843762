"""Where libcrypto is: the system's by pkg-config, or a static one in a prefix."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from setuptools import Extension

from .requirements import explain

MINIMUM = "3.0"

#: What scripts/build_openssl.sh calls OpenSSL's licence in its prefix.
LICENCE = "LICENSE.openssl.txt"


@dataclass
class Libcrypto:
    """What the compiler and the linker are told of libcrypto."""

    include_dirs: list[str] = field(default_factory=list)
    #: Static archives, linked in whole files instead of by ``-l``.
    archives: list[str] = field(default_factory=list)
    link_args: list[str] = field(default_factory=list)
    #: The licence of a static one, which a wheel has to carry.
    licence: Path | None = None

    def link(self, extension: Extension) -> None:
        """Link `extension` with this libcrypto."""
        extension.extra_objects += self.archives
        extension.extra_link_args += self.link_args


def find_libcrypto() -> Libcrypto:
    """Return the libcrypto of ``FASTSOCKS_OPENSSL_DIR``, or else the system's.

    :raises SystemExit: there is none of version 3.0 or later; names the remedy.
    """
    prefix = os.environ.get("FASTSOCKS_OPENSSL_DIR")
    return _static(Path(prefix).resolve()) if prefix else _system()


def _static(prefix: Path) -> Libcrypto:
    header = prefix / "include" / "openssl" / "evp.h"
    candidates = [prefix / lib / "libcrypto.a" for lib in ("lib", "lib64")]
    archive = next((path for path in candidates if path.is_file()), None)
    if archive is None or not header.is_file():
        raise SystemExit(
            f"FASTSOCKS_OPENSSL_DIR={prefix} holds no static OpenSSL (include/openssl/evp.h and "
            "lib/libcrypto.a); `make openssl` builds one"
        )
    include_dirs = [str(prefix / "include")]
    licence = prefix / LICENCE
    if not licence.is_file():
        raise SystemExit(f"{licence} is missing: copy OpenSSL's LICENSE.txt there")
    # Hidden symbols: the process may hold other copies of libcrypto (the ssl
    # module's, cryptography's), and ours must neither serve them nor be theirs.
    if sys.platform == "darwin":
        return Libcrypto(include_dirs, [], [f"-Wl,-load_hidden,{archive}"], licence)
    # Most of libcrypto is of no use here, and what is linked is loaded.
    link_args = ["-Wl,--exclude-libs,ALL", "-Wl,--gc-sections", "-ldl", "-pthread"]
    return Libcrypto(include_dirs, [str(archive)], link_args, licence)


def _system() -> Libcrypto:
    try:
        _pkg_config(f"--atleast-version={MINIMUM}")
        cflags, libs = _pkg_config("--cflags"), _pkg_config("--libs")
    except FileNotFoundError:
        raise SystemExit(explain("pkg-config is missing")) from None
    except subprocess.CalledProcessError:
        raise SystemExit(
            explain(f"pkg-config knows no libcrypto of OpenSSL {MINIMUM} or later")
        ) from None
    include_dirs = [flag.removeprefix("-I") for flag in cflags if flag.startswith("-I")]
    return Libcrypto(include_dirs, [], libs)


def _pkg_config(option: str) -> list[str]:
    command = [*shlex.split(os.environ.get("PKG_CONFIG", "pkg-config")), option, "libcrypto"]
    return shlex.split(subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL))
