"""Texts of others as one word each."""

from __future__ import annotations

import ast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastsocks.address import Address, one_word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("example.com", "example.com"),
        ("jö.example", "jö.example"),
        ("a b", r"a\x20b"),
        ("a\u3000b", r"a\u3000b"),
        ("a\nb", r"a\nb"),
        (r"a\x20b", r"a\\x20b"),
        ('a"b', r"a\x22b"),
        ("\udcff", r"\udcff"),
        ("-", r"\x2d"),
        ("-a", "-a"),
        ("", '""'),
    ],
)
def test_words(text: str, word: str) -> None:
    assert one_word(text) == word


@given(st.text())
@example("x up 1 down 2 bytes in 0.1 s: finished")
def test_every_text_is_one_word_and_can_be_read_back(text: str) -> None:
    word = one_word(text)
    assert word.isprintable()
    assert len(word.split()) == 1
    assert word != "-"
    read = "" if word == '""' else ast.literal_eval(f'"{word}"')
    assert read == text


@given(st.text(min_size=1, max_size=60).filter(lambda text: "\0" not in text))
def test_so_is_every_address(text: str) -> None:
    try:
        address = Address.of(text, 443)
    except ValueError:
        return
    assert len(str(address).split()) == 1
    assert str(address).endswith(":443")
