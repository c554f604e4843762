"""Write the tables of docs/reference/errors.md and methods.md, from the code.

python scripts/reference_tables.py            # write them
python scripts/reference_tables.py --check    # exit with 1 if they are not up to date
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fastsocks import errors
from fastsocks.shadowsocks.methods import METHODS, Family

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
MARKER = "<!-- written by scripts/reference_tables.py -->\n"

#: What a family is called, and where it is described.
_FAMILIES = {
    Family.AEAD_2022: "AEAD-2022 (SIP022)",
    Family.AEAD: "AEAD (SIP004)",
    Family.STREAM: "stream",
    Family.PLAIN: "none",
}


def error_rows() -> Iterator[str]:
    """Yield the table of errors, by the order of the source."""
    yield "| status | means | reply | error |"
    yield "|---|---|---|---|"
    for kind in vars(errors).values():
        public = inspect.isclass(kind) and not kind.__name__.startswith("_")
        if public and issubclass(kind, errors.FastsocksError):
            # A ReplyError has the reply of the server that it is about.
            reply = "the server's" if kind is errors.ReplyError else f"{kind.reply:02X}"
            text = (kind.__doc__ or "").split("\n", 1)[0].replace("``", "`")
            yield f"| `{kind.status}` | {text} | {reply} | `{kind.__name__}` |"


def method_rows() -> Iterator[str]:
    """Yield the table of methods, the best first."""
    yield "| method | family | key, bytes | salt or IV, bytes | users |"
    yield "|---|---|---|---|---|"
    for method in METHODS.values():
        users = "yes" if method.identity_headers else ""
        yield (
            f"| `{method.name}` | {_FAMILIES[method.family]} | {method.key_size} "
            f"| {method.salt_size} | {users} |"
        )


_TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "errors.md": error_rows,
    "methods.md": method_rows,
}


def main() -> int:
    """Write the tables, or compare them; return the exit code."""
    outdated = 0
    for name, rows in _TABLES.items():
        document = FOLDER / name
        before = document.read_text(encoding="utf-8")
        introduction, _, _ = before.partition(MARKER)
        after = "\n".join([introduction + MARKER, *rows(), ""])
        if "--check" not in sys.argv[1:]:
            document.write_text(after, encoding="utf-8")
        elif before != after:
            print(f"docs/reference/{name}: run scripts/reference_tables.py")
            outdated = 1
    return outdated


if __name__ == "__main__":
    sys.exit(main())
