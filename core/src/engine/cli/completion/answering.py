"""``engine __complete WORD...``: prints what the last word could be. Says nothing when something is wrong: it answers a
key that was pressed in the middle of a line, and the command itself will say it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from engine.cli.completion import values
from engine.cli.completion.values import Offer
from engine.cli.completion.walking import Line, walk


def answer(words: Sequence[str]) -> int:
    """Print the answer for a command line, given without its first word; return the exit status."""
    try:
        offer = offered(list(words) or [""])
        lines = [" ".join(offer.marks), *(_printed(word, text) for word, text in offer.words.items())]
        os.write(1, "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))
    except (Exception, KeyboardInterrupt):  # noqa: BLE001  # see the module's text
        return 1
    return 0


def offered(words: list[str]) -> Offer:
    """Return what could stand for the last of the words."""
    line = walk(words)
    if line.flags:
        return Offer({name: flag.help for flag in line.flags for name in _names(flag.names, words[-1])})
    if line.below:
        return Offer(line.below)
    return _prefixed(line, values.offer(line, words[-1].removeprefix(line.prefix)))


def _names(names: Iterable[str], current: str) -> Iterable[str]:
    """Return a flag's names: the short one where no second hyphen was typed."""
    return [name for name in names if name.startswith("--") or not current.startswith("--")]


def _prefixed(line: Line, offer: Offer) -> Offer:
    return offer._replace(words={f"{line.prefix}{word}": text for word, text in offer.words.items()})


def _printed(word: str, text: str) -> str:
    """Return a line of the answer, with nothing in it that could steer a terminal or be taken for two."""
    return "\t".join("".join(one if one.isprintable() else "?" for one in part) for part in (word, text))
