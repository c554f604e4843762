"""Many regular expressions, of which only some are tried."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fastsocks.config.patterns import compile_pattern
from fastsocks.policy.patterns import Patterns

TEXTS = [
    r"tracker\d+\.",
    r"^ads?\d{1,3}\.",
    r"(^|\.)shop\.(com|net)$",
    r"track.*\.example$",
    r"a|b",
    r"x\dy",
    r"(rack)?er",
    r"^$",
]
PATTERNS = [compile_pattern(text) for text in TEXTS]


def test_those_without_three_letters_are_tried_always() -> None:
    patterns = Patterns(enumerate(PATTERNS))
    assert [number for number, _ in patterns.unindexed] == [1, 4, 5, 6, 7]


def test_what_has_no_letters_in_common_is_not_tried() -> None:
    class Untried:
        pattern = "tracker"

        def search(self, name: str) -> None:
            raise AssertionError(name)

    assert Patterns([(0, Untried())]).find("example.com") == []  # type: ignore[list-item]


NAMES = st.text(st.sampled_from("abdehkoprstxy.19"), max_size=30)


@given(
    st.one_of(
        NAMES,
        st.lists(st.sampled_from(["tracker", "shop", ".com", "9.", "ads1", ".example", "x1y"])).map(
            "".join
        ),
    )
)
def test_all_are_found_that_are_found_one_by_one(name: str) -> None:
    patterns = Patterns(enumerate(PATTERNS))
    expected = [number for number, one in enumerate(PATTERNS) if one.search(name)]
    assert sorted(patterns.find(name)) == expected
