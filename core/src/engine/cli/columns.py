"""How wide text is on a terminal, and text of a given width: wide characters take two columns, combining ones none."""

from __future__ import annotations

_WIDE = "FW"
"""Fullwidth and wide, in the words of Unicode's annex 11."""
_NOTHING = ("Mn", "Me", "Cf")
"""Marks that stand over the letter before them, and signs that are not shown (Unicode's general categories)."""


def width(text: str) -> int:
    """Return how many columns a text without control characters takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut(text: str, most: int) -> str:
    """Return the text, or its beginning and "…", in at most so many columns, one at least."""
    if width(text) <= most:
        return text
    kept, used = [], 1
    for character in text:
        used += _columns(character)
        if used > most:
            break
        kept.append(character)
    return "".join([*kept, "…"])


def pad(text: str, columns: int) -> str:
    """Return the text with spaces after it, so that it takes so many columns."""
    return text + " " * (columns - width(text))


def _columns(character: str) -> int:
    from unicodedata import category, east_asian_width

    if east_asian_width(character) in _WIDE:
        return 2
    return 0 if category(character) in _NOTHING else 1
