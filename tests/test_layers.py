"""Imports and cimports of the Cython files point down the layers, and none goes in a circle.

The table is the one of import-linter in pyproject.toml, which checks the Python;
the document's table must be the same. Circles are looked for in Python and Cython together, those
of types included: modules that know each other are one to whoever reads or changes them.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "fastsocks"
CYTHON_FILES = sorted(
    path for ending in ("pyx", "pxd", "pxi") for path in (ROOT / "src").glob(f"**/*.{ending}")
)

_NAMES = r"(?:\((?P<listed>[^)]*)\)|(?P<names>[^\n#]+))"
_FROM = re.compile(
    rf"^[ \t]*from[ \t]+(?P<module>[.\w]+)[ \t]+c?import[ \t]*{_NAMES}", re.MULTILINE
)
_PLAIN = re.compile(r"^[ \t]*c?import[ \t]+(?P<modules>[\w., \t]+)", re.MULTILINE)


class Layer(NamedTuple):
    """One row of the table."""

    members: frozenset[str]
    #: Whether the members must not import each other.
    independent: bool


def _contract_layers() -> list[Layer]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        (contract,) = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    assert contract["containers"] == [PACKAGE]
    return [
        Layer(frozenset(re.findall(r"\w+", row)), independent="|" in row)
        for row in contract["layers"]
    ]


LAYERS = _contract_layers()


def _imported_modules(source: str, package: str) -> Iterator[str]:
    """Yield the absolute name of everything `source`, a module in `package`, imports."""
    source = source.replace("\\\n", " ")
    for found in _PLAIN.finditer(source):
        for module in filter(str.strip, found["modules"].split(",")):
            yield module.split()[0]
    for found in _FROM.finditer(source):
        module = found["module"]
        dots = len(module) - len(module.lstrip("."))
        if dots:
            base = package.split(".")[: len(package.split(".")) - dots + 1]
            module = ".".join([*base, *filter(None, [module[dots:]])])
        listed = re.sub(r"#.*", "", found["listed"] or found["names"])
        for name in filter(str.strip, listed.split(",")):
            yield f"{module}.{name.split()[0]}"


def _depth_of(name: str) -> int | None:
    """Return the layer of `name` (fastsocks.LAYER...), counted from the top."""
    parts = name.split(".")
    if parts[0] != PACKAGE or len(parts) == 1:
        return None
    found = [depth for depth, layer in enumerate(LAYERS) if parts[1] in layer.members]
    return found[0] if found else None


def violations(source: str, package: str) -> list[str]:
    """Return what `source`, a module in `package`, must not import."""
    own = _depth_of(package)
    assert own is not None, f"{package} is in no layer of pyproject.toml's contract"
    member = package.split(".")[1]
    wrong = []
    for module in _imported_modules(source, package):
        depth = _depth_of(module)
        if depth is None:
            continue
        sibling = depth == own and module.split(".")[1] != member
        if depth < own or (sibling and LAYERS[own].independent):
            wrong.append(module)
    return wrong


def _python_imports(source: str, package: str) -> Iterator[str]:
    """Yield the absolute name of everything a Python module in `package` imports, anywhere."""
    base = package.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = base[: len(base) - node.level + 1] if node.level else []
            module = ".".join((*above, node.module) if node.module else above)
            yield from (f"{module}.{name.name}" for name in node.names)


def import_graph(root: Path) -> dict[str, set[str]]:
    """Return for each module below `root` those that it imports or cimports, in whatever place.

    What a Cython module includes, and its declarations, are parts of it.
    """
    found: dict[str, set[str]] = defaultdict(set)
    owners: dict[Path, str] = {}
    for path in sorted(root.glob("**/*")):
        if path.suffix in {".py", ".pyx", ".pxd"}:
            parts = path.relative_to(root).with_suffix("").parts
            owners[path] = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    for path, owner in list(owners.items()):
        for name in re.findall(r'^include "(.+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
            owners[path.parent / name] = owner
    modules = set(owners.values())
    for path, owner in owners.items():
        source = path.read_text(encoding="utf-8")
        package = ".".join(path.parent.relative_to(root).parts)
        imports = _python_imports if path.suffix == ".py" else _imported_modules
        for imported in imports(source, package):
            name = imported if imported in modules else imported.rpartition(".")[0]
            if name in modules and name != owner:
                found[owner].add(name)
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules of which each imports the one before it, and the first the last; or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_import_goes_in_a_circle() -> None:
    graph = import_graph(ROOT / "src")
    assert graph["fastsocks.service.proxy"], "no import was found"
    assert circle(graph) == []


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": "from fastsocks.b import x", "b.py": "def f():\n    from . import a"},
        {
            "a.py": "from .b import x",
            "b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import y",
        },
        {
            "a.py": "from .p import x",
            "p/__init__.py": "from .c import y",
            "p/c.py": "from ..a import z",
        },
        {"a.pyx": "from .b cimport X", "b.pyx": "pass", "b.pxd": "from .a cimport Y"},
        {"a.pyx": 'include "a.pxi"', "a.pxi": "from .b import x", "b.py": "import fastsocks.a"},
    ],
)
def test_circles_are_found(files: dict[str, str], tmp_path: Path) -> None:
    for name, source in files.items():
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(source)
    assert f"{PACKAGE}.a" in circle(import_graph(tmp_path))


@pytest.mark.parametrize("path", CYTHON_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_cython_imports_point_down(path: Path) -> None:
    package = ".".join(path.parent.relative_to(ROOT / "src").parts)
    assert violations(path.read_text(encoding="utf-8"), package) == []


def test_cython_files_are_found() -> None:
    assert CYTHON_FILES, "no .pyx below src: this test would check nothing"


def test_document_has_the_same_layers() -> None:
    text = (ROOT / "docs" / "design" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("## Layers", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert [frozenset(re.findall(r"`(\w+)`", row)) for row in rows] == [
        layer.members for layer in LAYERS
    ]


@pytest.mark.parametrize(
    ("package", "line", "wrong"),
    [
        (
            "fastsocks.crypto",
            "from fastsocks.relay._tcp cimport Relay",
            "fastsocks.relay._tcp.Relay",
        ),
        ("fastsocks.crypto", "    cimport fastsocks.relay._tcp as tcp", "fastsocks.relay._tcp"),
        ("fastsocks.crypto", "import os, fastsocks.net", "fastsocks.net"),
        ("fastsocks.crypto", "from ..relay import Engine", "fastsocks.relay.Engine"),
        ("fastsocks.crypto", "from .. cimport relay", "fastsocks.relay"),
        (
            "fastsocks.crypto",
            "from fastsocks import (\n  address,\n  net,  # x\n)",
            "fastsocks.net",
        ),
        ("fastsocks.crypto", "from fastsocks \\\n  import net", "fastsocks.net"),
        (
            "fastsocks.socks",
            "from ..shadowsocks cimport _framing",
            "fastsocks.shadowsocks._framing",
        ),
        ("fastsocks.relay", "from ..service._setup import x", "fastsocks.service._setup.x"),
    ],
)
def test_upward_import_is_found(package: str, line: str, wrong: str) -> None:
    assert violations(f"# a comment\n{line}\n", package) == [wrong]


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("fastsocks.shadowsocks", "from fastsocks.crypto._primitives cimport Aead"),
        ("fastsocks.relay", "from ..shadowsocks._framing cimport Codec"),
        ("fastsocks.relay", "from ._tcp cimport Relay"),
        ("fastsocks.relay", "from . import _tcp"),
        ("fastsocks.address", "from ..errors import AddressError"),
        ("fastsocks.address", "from libc.string cimport memcpy"),
        ("fastsocks.address", "import socket as _socket"),
        ("fastsocks.crypto", 'cdef extern from "openssl/evp.h" nogil:'),
    ],
)
def test_downward_import_passes(package: str, line: str) -> None:
    assert violations(f"{line}\n", package) == []
