"""What a terminal makes of text: how wide it is (wide characters take two columns, combining ones none), and colours.

Colours are for terminals, unless ``NO_COLOR`` is set (no-color.org), and with ``CLICOLOR_FORCE`` for pipes too
(bixense.com/clicolors).
"""

from __future__ import annotations

import os

RED, GREEN, YELLOW, BOLD = "31", "32", "33", "1"
_WIDE = "FW"
"""Fullwidth and wide, in the words of Unicode's annex 11."""
_NOTHING = ("Mn", "Me", "Cf")
"""Marks that stand over the letter before them, and signs that are not shown (Unicode's general categories)."""


def printable(text: str) -> str:
    """Return text that cannot steer a terminal: names and commands come from images and other people."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)


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


def coloured(fd: int) -> bool:
    """Return whether what goes to this descriptor is to have colours."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") not in {"", "0"}:
        return True
    return os.isatty(fd) and os.environ.get("TERM", "dumb") != "dumb"


def painted(text: str, colour: str) -> str:
    """Return text in a colour (ECMA-48: select graphic rendition); "" is none."""
    return f"\x1b[{colour}m{text}\x1b[m" if colour and text else text


def _columns(character: str) -> int:
    from unicodedata import category, east_asian_width

    if east_asian_width(character) in _WIDE:
        return 2
    return 0 if category(character) in _NOTHING else 1
