"""Texts of others as one word each, for lines that are taken apart at their blanks."""

from __future__ import annotations


def one_word(text: str) -> str:
    r"""Write a text that somebody else has chosen so that it is one word, and prints.

    :return: blanks, quotation marks, backslashes and what does not print are escaped as Python
        writes them (``\x20``), and so is a text that is only ``-``, which stands for none. An empty
        text is ``""``.
    """
    if text == "-":
        return r"\x2d"
    if text.isprintable() and not (" " in text or '"' in text or "\\" in text):
        return text or '""'
    return "".join(map(_escaped, text))


def _escaped(letter: str) -> str:
    if letter in ' "':
        return f"\\x{ord(letter):02x}"
    return letter if letter.isprintable() and letter != "\\" else ascii(letter)[1:-1]
