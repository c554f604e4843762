"""Many regular expressions, of which only those are tried that a name may hold.

Each is found by three letters of a text that it cannot do without. Ten thousand cost a name 25
microseconds so. To try all of them takes 12 ms; one automaton for all takes 6 ms at a name that is
new to it and 180 MB (RE2), or a minute to make (Hyperscan).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fastsocks.config.patterns import needed_text

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

_SIZE = 3


class Patterns:
    """Regular expressions, each with a number.

    :param numbered: made by :func:`fastsocks.config.patterns.compile_pattern`.
    """

    def __init__(self, numbered: Iterable[tuple[int, re.Pattern[str]]]) -> None:
        found = [(number, pattern, needed_text(pattern)) for number, pattern in numbered]
        uses = Counter(letters for *_, text in found for letters in _letters_of(text))
        self._by_letters: dict[str, list[tuple[int, re.Pattern[str], str]]] = {}
        #: Those that have to be tried on every name.
        self.unindexed: list[tuple[int, re.Pattern[str]]] = []
        for number, pattern, text in found:
            letters = min(_letters_of(text), key=uses.__getitem__, default=None)
            if letters is None:
                self.unindexed.append((number, pattern))
            else:
                self._by_letters.setdefault(letters, []).append((number, pattern, text))

    def find(self, name: str) -> list[int]:
        """Return the numbers of those that are found in a name, each once, in no order.

        :param name: in its one form.
        """
        numbers = {number for number, pattern in self.unindexed if pattern.search(name)}
        for letters in _letters_of(name) if self._by_letters else ():
            for number, pattern, text in self._by_letters.get(letters, ()):
                if text in name and number not in numbers and pattern.search(name):
                    numbers.add(number)
        return list(numbers)


def _letters_of(text: str) -> set[str]:
    return {text[start : start + _SIZE] for start in range(len(text) - _SIZE + 1)}
