"""Find the .pyx files below src/ and turn them into extension modules."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError

from . import openssl, requirements
from .variants import Variant, chosen

SOURCE = Path("src")

#: The one module that links libcrypto; the others reach it by cimport.
LIBCRYPTO_MODULE = "fastsocks.crypto._primitives"

#: They wait with epoll; elsewhere their pure-Python twin serves, over the other modules.
LINUX_MODULES = (
    "fastsocks.net._poller",
    "fastsocks.relay._bare",
    "fastsocks.relay._splice",
    "fastsocks.relay._udp",
    "fastsocks.setup._setup",
)

#: For every .pyx; a hot file adds its own (boundscheck, wraparound) in its head.
#: The warnings are those of `cython -Wextra`.
DIRECTIVES = {
    "language_level": 3,
    "warn.maybe_uninitialized": True,
    "warn.unreachable": True,
    "warn.unused": True,
    # A pickled codec or relay would be bytes behind a pointer.
    "auto_pickle": False,
    # tests/service/test_threads.py; docs/how-to/embedding.md says what threads may share.
    "freethreading_compatible": True,
}

C_FLAGS = [
    "-O3",
    # Nothing but the initialisation of a module is for others to find.
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    # Cython leaves parameters unused and compares mixed signs in code of its own.
    "-Wno-unused-parameter",
    "-Wno-sign-compare",
]


def say(text: str) -> None:
    """Tell whoever waits what goes on: the compiler takes minutes, and says nothing."""
    sys.stderr.write(f"fastsocks: {text}\n")
    sys.stderr.flush()


def find_extensions() -> list[Extension]:
    """Return one unbuilt extension module for every .pyx file below src/."""
    paths = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts): path.as_posix()
        for path in sorted(SOURCE.glob("fastsocks/**/*.pyx"))
    }
    return [
        Extension(name, [path])
        for name, path in paths.items()
        if sys.platform == "linux" or name not in LINUX_MODULES
    ]


class BuildExtensions(build_ext):  # type: ignore[misc]
    """Translate, compile and link the extension modules, or stop with the remedy.

    Everything that needs Cython, a compiler or libcrypto waits until `run`, so
    that making an sdist needs none of them.
    """

    def finalize_options(self) -> None:
        super().finalize_options()
        if not self.parallel:
            self.parallel: int | None = os.cpu_count()

    def run(self) -> None:
        if not self.extensions:
            return
        requirements.check_toolchain()
        libcrypto = openssl.find_libcrypto()
        variant = chosen() or Variant()
        stamp = self._configuration_stamp(f"{libcrypto!r} {C_FLAGS!r} {DIRECTIVES!r} {variant!r}\n")
        headers = [path.as_posix() for path in SOURCE.glob("fastsocks/**/*.h")]
        for extension in self.extensions:
            extension.include_dirs += [str(SOURCE), *libcrypto.include_dirs]
            extension.extra_compile_args += C_FLAGS + variant.compile_args
            extension.extra_link_args += variant.link_args
            extension.depends += [stamp, *headers, *libcrypto.archives]
            if extension.name == LIBCRYPTO_MODULE:
                libcrypto.link(extension)
        self._translate(variant, Path(stamp))
        try:
            super().run()
        except CCompilerError as error:
            raise SystemExit(requirements.explain(f"the C compiler failed: {error}")) from error
        if libcrypto.licence is not None and not self.inplace:
            target = Path(self.get_ext_fullpath(LIBCRYPTO_MODULE)).parent
            self.copy_file(str(libcrypto.licence), str(target / libcrypto.licence.name))

    def build_extension(self, ext: Extension) -> None:
        path = Path(self.get_ext_fullpath(ext.name))
        before = path.stat().st_mtime_ns if path.exists() else None
        super().build_extension(ext)
        if path.stat().st_mtime_ns != before:
            # Several at a time, and so in no order.
            say(f"compiled {ext.name}")

    def _configuration_stamp(self, configuration: str) -> str:
        """Return a file that is newer than the built modules if `configuration` changed."""
        stamp = Path(self.build_temp) / "configuration.txt"
        stamp.parent.mkdir(parents=True, exist_ok=True)
        if not stamp.exists() or stamp.read_text() != configuration:
            stamp.write_text(configuration)
        return str(stamp)

    def _translate(self, variant: Variant, stamp: Path) -> None:
        from Cython.Build import cythonize
        from Cython.Compiler import Errors, Options

        Options.warning_errors = variant.strict
        built = [Path(self.get_ext_fullpath(extension.name)) for extension in self.extensions]
        # Of its own accord Cython looks at the sources only, and not at the directives.
        stale = any(
            path.exists() and path.stat().st_mtime < stamp.stat().st_mtime for path in built
        )
        generated = Path(self.build_temp) / "cython"
        if not generated.exists():
            say(
                f"translating {len(self.extensions)} modules with Cython; compiling them takes a "
                f"minute or some, {self.parallel or 1} at a time"
            )
        try:
            translated = cythonize(
                self.extensions,
                include_path=[str(SOURCE)],
                build_dir=None if variant.c_beside_pyx else str(generated),
                compiler_directives=DIRECTIVES | variant.directives,
                force=self.force or stale,
                quiet=True,
            )
        except Errors.CompileError as error:
            raise SystemExit(f"fastsocks: Cython cannot translate {error}") from error
        for extension, result in zip(self.extensions, translated, strict=True):
            if extension.name != result.name:
                sys.exit(f"Cython returned {result.name} for {extension.name}")
            extension.sources = result.sources
            extension.depends += result.depends
