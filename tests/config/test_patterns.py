"""Regular expressions of ACL files: what one may cost, and what it cannot do without."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastsocks.config.patterns import compile_pattern, needed_text
from fastsocks.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        (r"tracker\d+\.", "tracker"),
        (r"^ads?\d{1,3}\.(?:example|test)$", "ad"),
        (r"(?:^|\.)google\.(com|co\.[a-z]+)$", "google."),
        (r"(Shopping)\.org", "shopping"),
        (r"abc|abcd", ""),
        (r"(abc)?d", "d"),
        (r"(abc){0,2}d", "d"),
        (r"(abc){2}d", "abc"),
        (r"a{0}bc", "bc"),
        (r"ab{}c", "ab{}c"),
        (r"a(?!bcd)e", "a"),
        (r"(?<!abc)de", "de"),
        (r"a\x62cd", "cd"),
        (r"(?i)Abc", "abc"),
        (r"[a]{3}bc", "bc"),
        (r"", ""),
    ],
)
def test_needed_texts(text: str, needed: str) -> None:
    assert needed_text(compile_pattern(text)) == needed


@pytest.mark.parametrize("text", [".*.*", "a?" * 12, "a.*a.*c", "^.*a.*a.*c", "(?:a{0,7}b?){3}c"])
def test_what_is_taken(text: str) -> None:
    compile_pattern(text)


@pytest.mark.parametrize(
    "text",
    [
        *("(a+)+", "(a|aa)+", "(a?){13}", "(a*){2}(a*){2}", ".*a.*b.*", "(?:ab|.b)" * 13),
        *("([a-z]{0,61}[a-z]{0,61}){2}", "(a?|b?)*", "((a|ab)(c|bcd)(d*))*", "(?=(a+)+)b"),
    ],
)
def test_what_could_take_long_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="repeats too much"):
        compile_pattern(text)


PARTS = st.recursive(
    st.sampled_from(["a", "b", ".", r"\.", "[ab]", r"\d", "^", "$", "abc", "ba"]),
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=4).map("".join),
        st.tuples(parts, parts).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(parts, st.sampled_from(["?", "*", "+", "{2}", "{0,3}", "{1,}", "*?"])).map(
            lambda two: f"({two[0]}){two[1]}"
        ),
        parts.map(lambda part: f"(?={part})"),
    ),
    max_leaves=8,
)


@given(PARTS, st.text(st.sampled_from("ab.1"), max_size=20))
@example("(?=abc)", "abc")
def test_nothing_is_found_without_the_needed_text(text: str, name: str) -> None:
    try:
        pattern = compile_pattern(text)
    except ConfigError:
        return
    needed = needed_text(pattern)
    if re.search(text, name, re.IGNORECASE):
        assert needed in name
