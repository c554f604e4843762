"""What is built and shipped, and what a build says where something is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import twins
from fastsocks.cli.commands import fastsocks as cli
from harness.services import find_program

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "fastsocks"
SHIPPED = (
    *("CHANGELOG.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md"),
    *("pyproject.toml", "setup.py", "build_support", "docs", "packaging", "scripts", "src"),
)
BUILT = ("*.c", "*.so", "*.pyd", "*.egg-info", "build", "__pycache__")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy what a distribution is made of, without anything that was built."""
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(*BUILT))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder` without the build variables of this environment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FASTSOCKS_", "PYTHON"))
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def call_backend(folder: Path, call: str, **variables: str) -> None:
    """Call the PEP 517 back end as a front end would, with Cython out of reach."""
    code = (
        f"import sys; sys.modules['Cython'] = None; from setuptools import build_meta as b; {call}"
    )
    result = run(folder, "-c", code, **variables)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("module", twins.extension_modules())
def test_extension_module_is_built(module: str) -> None:
    if not twins.is_built(module):
        twins.missing_extension(module)


@pytest.mark.parametrize("module", twins.extension_modules())
def test_only_the_crypto_glue_links_libcrypto(module: str) -> None:
    if not twins.is_built(module):
        twins.missing_extension(module)
    stem = PACKAGE.parent.joinpath(*module.split("."))
    built = [path for suffix in EXTENSION_SUFFIXES if (path := Path(f"{stem}{suffix}")).exists()]
    assert built
    if module != "fastsocks.crypto._primitives":
        assert re.search(rb"libcrypto\.(so|\d|dylib)", built[0].read_bytes()) is None


def test_sdist_holds_the_cython_sources(copy: Path) -> None:
    (copy / "src" / "fastsocks" / "crypto" / "_primitives.c").write_text("generated")
    call_backend(copy, "b.build_sdist('dist')")
    (archive,) = (copy / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.split("/", 1)[1] for name in file.getnames() if "/" in name}
    expected = {
        str(path.relative_to(ROOT))
        for pattern in ("*.py", "*.pyx", "*.pxd", "*.pxi", "*.pyi", "py.typed")
        for path in PACKAGE.rglob(pattern)
    }
    assert expected <= names
    assert {"setup.py", "build_support/extensions.py", "LICENSE", "README.md"} <= names
    assert not [name for name in names if name.endswith((".c", ".so"))]


def test_pure_wheel_needs_no_compiler_and_no_cython(copy: Path) -> None:
    # A tree where the extension modules were built in place, as a developer's is.
    (copy / "src" / "fastsocks" / "crypto" / "_primitives.so").write_text("built in place")
    call_backend(copy, "b.build_wheel('dist')", FASTSOCKS_BUILD="pure", CC="missing-compiler")
    (wheel,) = (copy / "dist").glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as file:
        contents = set(file.namelist())
    names = {name for name in contents if name.startswith("fastsocks/")}
    expected = {
        str(path.relative_to(PACKAGE.parent))
        for pattern in ("*.py", "*.pyi", "py.typed")
        for path in PACKAGE.rglob(pattern)
    }
    assert names == expected
    share = ROOT / "packaging" / "share"
    shared = {str(path.relative_to(share)) for path in share.rglob("*") if path.is_file()}
    assert len(shared) == 4
    assert shared == {
        name.partition(".data/data/share/")[2] for name in contents if ".data/data/" in name
    }


def test_the_man_page_is_one() -> None:
    if (man := shutil.which("man")) is None:
        pytest.skip("man is missing")
    done = subprocess.run(
        [man, "--warnings", "--local-file", str(ROOT / "packaging/share/man/man1/fastsocks.1")],
        env={**os.environ, "LC_ALL": "C", "MANWIDTH": "80", "MANPAGER": "cat"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    shown = done.stdout
    assert shown.startswith("FASTSOCKS(1)")
    assert max(map(len, shown.splitlines())) <= 80
    assert all(f"fastsocks {name}" in shown for name in cli.commands)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"PKG_CONFIG": "missing-pkg-config"}, ["pkg-config is missing", "libssl-dev"]),
        ({"PKG_CONFIG_LIBDIR": "nowhere", "PKG_CONFIG_PATH": ""}, ["no libcrypto", "libssl-dev"]),
        ({"CC": "missing-compiler"}, ["missing-compiler", "build-essential"]),
        ({"FASTSOCKS_OPENSSL_DIR": "nowhere"}, ["nowhere", "make openssl"]),
        ({"FASTSOCKS_BUILD": "fast"}, ["FASTSOCKS_BUILD='fast'", "pure"]),
    ],
    ids=["pkg-config", "libcrypto", "compiler", "static", "typo"],
)
def test_build_stops_and_names_the_remedy(
    copy: Path, variables: dict[str, str], named: list[str]
) -> None:
    result = run(copy, "setup.py", "build_ext", "--inplace", **variables)
    assert result.returncode != 0
    assert all(part in result.stdout for part in named), result.stdout
    assert "Traceback" not in result.stdout


def test_build_says_what_it_does(copy: Path) -> None:
    if not twins.is_built("fastsocks.address._fields"):
        twins.missing_extension("fastsocks.address._fields")
    package = copy / "src" / "fastsocks"
    for path in package.rglob("*.pyx"):
        if path != package / "address" / "_fields.pyx":
            path.unlink()
    build = ("setup.py", "--quiet", "build_ext", "--inplace")
    first = run(copy, *build, CFLAGS="-O0")
    assert first.returncode == 0, first.stdout
    told = [line for line in first.stdout.splitlines() if line.startswith("fastsocks: ")]
    assert told[0].startswith("fastsocks: translating 1 modules with Cython; compiling them")
    assert told[1:] == ["fastsocks: compiled fastsocks.address._fields"]
    again = run(copy, *build, CFLAGS="-O0")
    assert (again.returncode, again.stdout) == (0, "")


def test_readme_names_the_commands_and_flags_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"fastsocks ([a-z]+)(?= -|`| [A-Z]| 2022)", text))
    assert named == set(cli.commands)
    flags = {
        flag
        for row in re.findall(r"^\| (`-.*?) \|", text, re.MULTILINE)
        for flag in re.findall(r"(?<=`)--?[a-z][a-z-]*", row)
    }
    existing = {
        option
        for command in cli.commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    assert flags
    assert flags <= existing


@pytest.mark.parametrize("document", ["README.md", ".ci/run", ".github/workflows/tests.yml"])
def test_named_make_targets_exist(document: str) -> None:
    path = ROOT / document
    if not path.exists():
        pytest.skip(f"{document} is not part of an sdist")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = re.findall(r"(?:make|bootstrap\.sh) ([a-z][a-z-]*)", path.read_text(encoding="utf-8"))
    assert named
    assert set(named) <= targets


@pytest.mark.interop
def test_the_unit_is_as_tight_as_the_document_says() -> None:
    unit = ROOT / "packaging" / "systemd" / "fastsocks@.service"
    done = subprocess.run(
        [find_program("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None
    # Newer versions of systemd look at more.
    assert float(found[1]) < 2.5
