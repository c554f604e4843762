"""Build the extension modules as a variant of build_support/variants.py, in a tree of their own.

The tree is build/VARIANT, a copy of the sources that only follows what changed in them;
with PYTHONPATH=build/VARIANT/src the variant runs in place of the usual build.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_SUFFIXES = {".py", ".pyi", ".pyx", ".pxd", ".pxi", ".h", ".typed"}
_FILES = ["setup.py", "pyproject.toml", "README.md", "LICENSE"]
_FOLDERS = ["src/fastsocks", "build_support"]


def _sources() -> set[Path]:
    found = {Path(name) for name in _FILES}
    for folder in _FOLDERS:
        found |= {
            path.relative_to(ROOT)
            for path in (ROOT / folder).rglob("*")
            if path.suffix in _SUFFIXES
        }
    return found


def follow(tree: Path) -> None:
    """Make `tree` a copy of the sources, leaving alone what has not changed."""
    sources = _sources()
    for folder in _FOLDERS:
        for path in (tree / folder).rglob("*"):
            if path.suffix in _SUFFIXES and path.relative_to(tree) not in sources:
                path.unlink()
    for source in sources:
        target = tree / source
        target.parent.mkdir(parents=True, exist_ok=True)
        original = ROOT / source
        if not target.exists() or target.stat().st_mtime != original.stat().st_mtime:
            shutil.copy2(original, target)


def main() -> int:
    """Run the command; its exit code is that of the build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", help="sanitize, threads, fuzz or coverage")
    variant = parser.parse_args().variant
    tree = ROOT / "build" / variant
    follow(tree)
    return subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
        cwd=tree,
        env={**os.environ, "FASTSOCKS_BUILD": variant},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
