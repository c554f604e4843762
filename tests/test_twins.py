"""Twins are selected in one way, everywhere: the one that ``implementation.py`` describes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "fastsocks"
#: These say what is chosen, and choose no twin.
EXEMPT = {"implementation.py", "__init__.py"}
SELECTORS = [
    path
    for path in sorted(SOURCE.glob("**/*.py"))
    if "IMPLEMENTATION" in path.read_text(encoding="utf-8")
    and str(path.relative_to(SOURCE)) not in EXEMPT
]

_TESTS = {
    f'TYPE_CHECKING or {name} == "python"': name
    for name in ("IMPLEMENTATION", "LINUX_IMPLEMENTATION")
}


def faults(source: str) -> list[str]:
    """Return what a module that selects twins does in another way."""
    tree = ast.parse(source)
    found: list[str] = []
    selections: set[int] = set()
    for node in tree.body:
        if not isinstance(node, ast.If) or ast.unparse(node.test).replace("'", '"') not in _TESTS:
            continue
        selections.update(map(id, ast.walk(node.test)))
        python, cython = _imported(node.body), _imported(node.orelse)
        if python is None or python != {(f"{module}_py", name) for module, name in cython or ()}:
            found.append(f"line {node.lineno}: the twins are not imported alike")
    if not selections:
        found.append("no selection")
    for asking in ast.walk(tree):
        if isinstance(asking, ast.Name | ast.Attribute) and id(asking) not in selections:
            name = asking.id if isinstance(asking, ast.Name) else asking.attr
            if name in _TESTS.values():
                found.append(f"line {asking.lineno}: asks for {name}")
    return found


def _imported(body: list[ast.stmt]) -> set[tuple[str, str]] | None:
    """Return module and name of each import of a twin; None where there is something else."""
    found: set[tuple[str, str]] = set()
    for node in body:
        if not isinstance(node, ast.ImportFrom) or node.level != 1 or node.module is None:
            return None
        found.update((node.module, name.name) for name in node.names if name.asname is None)
    return found


def _selection(python: str, cython: str) -> str:
    return f"if TYPE_CHECKING or IMPLEMENTATION == 'python':\n    {python}\nelse:\n    {cython}\n"


@pytest.mark.parametrize("path", SELECTORS, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_twin_is_selected_as_all_are(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


_LOADED = """
import sys
import fastsocks.cli.run, fastsocks.explain, fastsocks.client
import fastsocks.service.local, fastsocks.service.proxy, fastsocks.service.server
for name, module in sorted(sys.modules.items()):
    if name.startswith("fastsocks."):
        print(name, module.__file__)
"""


def test_no_more_than_one_twin_is_loaded(implementation: str) -> None:
    environment = {**os.environ, "FASTSOCKS_IMPL": implementation}
    lines = subprocess.run(
        [sys.executable, "-c", _LOADED], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    loaded = dict(line.split(" ", 1) for line in lines)
    assert "fastsocks.shadowsocks._server" + "_py" * (implementation == "python") in loaded
    extensions = {name for name, file in loaded.items() if not file.endswith(".py")}
    pure = {name for name in loaded if name.endswith("_py")}
    if implementation == "python":
        assert not extensions
    else:
        # What Python alone has: protocols, and a named tuple.
        assert pure == {"fastsocks.inbound._inbound_py", "fastsocks.setup._roles_py"}


@pytest.mark.parametrize(
    "source",
    [
        "if not TYPE_CHECKING and IMPLEMENTATION == 'cython':\n    from ._a import A",
        _selection("from ._a_py import A", "from ._a import A").replace(
            "'python'", "'python' or sys.platform != 'linux'"
        ),
        _selection("from ._a_py import A, B", "from ._a import A"),
        _selection("from ._a_py import A", "from ._b import A"),
        _selection("from ._a_py import A", "from ._a import A") + "made = A(IMPLEMENTATION)\n",
        "make = makers[implementation.IMPLEMENTATION]",
    ],
)
def test_another_way_is_found(source: str) -> None:
    assert faults(source)
