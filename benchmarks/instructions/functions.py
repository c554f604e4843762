"""Which functions differ between two files of callgrind's: where a row's change comes from.

callgrind_annotate adds calls that had not returned yet when the file was written to the caller's
own cost, in a loop of events all of them; here the own cost of each function is read alone.
"""

from __future__ import annotations

import re
from collections import Counter

_NAME = re.compile(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?")
# Cython's names say the module in parts, each behind its length: 9fastsocks_5setup_6_setup_...
_CYTHON = re.compile(r"__pyx_\w+?_(?=9fastsocks)")
_PART = re.compile(r"(\d+)(\w+)")


def own_costs(text: str) -> Counter[str]:
    """Read the instructions of each function without those that it calls."""
    objects: dict[str, str] = {}
    names: dict[str, str] = {}
    costs: Counter[str] = Counter()
    function = own = callees = ""
    is_call = False
    for line in text.splitlines():
        if matched := _NAME.match(line):
            called, kind, number, name = matched.groups()
            if kind == "ob":
                objects.setdefault(number, (name or "").rpartition("/")[2])
                callees = objects[number]
                own = own if called else callees
                continue
            if name:
                names[number] = readable(name, callees if called else own)
            function = function if called else names[number]
            # The library of one that is called holds for that one.
            callees = own
        elif line.startswith("calls="):
            is_call = True
        elif line[:1].isdigit() or line[:1] in {"+", "-", "*"}:
            # The line after a call has its inclusive cost.
            if not is_call:
                costs[function] += int(line.split()[1])
            is_call = False
    return costs


def readable(name: str, file: str) -> str:
    """Make a function's name without the mark of a recursion, and without Cython's of the module.

    A method that has moved to another module keeps its name so. Where there is only an address,
    the file of the library goes with it.
    """
    name = re.sub(r"'\d+$", "", name)
    if name.startswith("0x"):
        return f"{file}:{int(name, 16):#x}"
    matched = _CYTHON.match(name)
    if matched is None:
        return name
    rest = name[matched.end() :]
    last = ""
    while (part := _PART.match(rest)) and part[2][int(part[1]) :].startswith("_"):
        size = int(part[1])
        last, rest = part[2][:size], part[2][size + 1 :]
    # Wrappers of methods have a number before their names, too.
    return f"{last}.{re.sub(r'^[0-9]+', '', rest).lstrip('_')}"


def changed(base: str, head: str, units: int, most: int = 8) -> list[tuple[str, float]]:
    """Find the functions whose own cost changed most, by how much a unit of the work."""
    change = own_costs(head)
    change.subtract(own_costs(base))
    found = sorted(change.items(), key=lambda item: -abs(item[1]))[:most]
    return [(name, cost / units) for name, cost in found if cost]
