"""The driver of ``json-file``: its options, and reading: the last lines, and on, through rotations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from engine.contracts.common import Probe
from engine.contracts.logs import Entry, Follow, LogDriver
from engine.errors import InvalidInput
from engine_log_json_file import files
from engine_log_json_file.entries import ends_line, parse

DEFAULTS = {"max-size": "20m", "max-file": "5"}
"""A container's log takes at most 100 MB unless told otherwise: one that fills the disk takes every container down."""

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_PREFERENCE = 50
_BLOCK = 1 << 18
_PAUSE = 0.1
"""Seconds between two looks at a file that did not grow."""


class JsonFileDriver(LogDriver):
    """Docker's json-file: options ``max-size`` (bytes, or with k, m, g; -1 never rotates) and ``max-file``."""

    sink = "engine_log_json_file.sink"

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options

    def probe(self) -> Probe:
        """Answer yes: it needs a directory to write to, and no more."""
        return Probe(True, "writes files below the engine's root", _PREFERENCE)

    def sink_arguments(self) -> Mapping[str, str]:
        """Return ``max-size`` in bytes (0: no limit) and ``max-file``."""
        for key in self._options:
            if key not in DEFAULTS:
                raise InvalidInput(
                    f"the log driver json-file has no option '{key}'", fix=f"Its options are {' and '.join(DEFAULTS)}."
                )
        chosen = {**DEFAULTS, **self._options}
        return {"max-size": str(_size(chosen["max-size"])), "max-file": str(_count(chosen["max-file"]))}

    def read(self, directory: Path, *, tail: int | None = None, follow: Follow | None = None) -> Iterator[Entry]:
        """Yield entries; see the contract. ``tail`` counts lines, whole ones or the pieces of an unfinished one."""
        chain = files.chain(directory)
        try:
            while not chain and follow is not None:
                ended = follow.wait(_PAUSE)
                chain = files.chain(directory)
                if ended:
                    break
            if tail is not None:
                yield from _last(chain, tail)
            yield from _onward(directory, chain, follow)
        finally:
            for file in chain:
                file.close()


def _last(chain: list[BinaryIO], tail: int) -> Iterator[Entry]:
    """Yield the last ``tail`` lines; leaves only the youngest file in ``chain``, positioned behind them."""
    found: list[Entry] = []
    ends = [files.last_line_end(file) for file in chain]
    for entry in _backwards(chain, ends):
        if ends_line(entry) or not found:
            tail -= 1
        if tail < 0:
            break
        found.append(entry)
    while len(chain) > 1:
        chain.pop(0).close()
    if chain:
        chain[0].seek(ends[-1])
    yield from reversed(found)


def _backwards(chain: list[BinaryIO], ends: list[int]) -> Iterator[Entry]:
    for file, end in zip(reversed(chain), reversed(ends), strict=True):
        for line in files.lines_backwards(file, end):
            entry = parse(line)
            if entry is not None:
                yield entry


def _onward(directory: Path, chain: list[BinaryIO], follow: Follow | None) -> Iterator[Entry]:
    """Yield from the position of the first file on; with ``follow`` also from files that are yet to be begun."""
    rest = b""
    ended = False
    while chain:
        block = chain[0].read(_BLOCK)
        if block:
            *lines, rest = (rest + block).split(b"\n")
            yield from (entry for entry in map(parse, lines) if entry is not None)
        elif len(chain) > 1:
            chain.pop(0).close()
            rest = b""
        elif follow is None:
            return
        elif younger := files.successor(directory, chain[0]):
            # The writer may have added to this one before it turned to the next: it is read to its end once more.
            chain.append(younger)
        elif ended:
            return
        else:
            ended = follow.wait(_PAUSE)


def _size(text: str) -> int:
    """Return bytes; 0 for no limit."""
    if text == "-1":
        return 0
    match = re.fullmatch(r"([1-9][0-9]*)([bkmg]?)", text.lower())
    if match is None:
        raise InvalidInput(f"--log-opt max-size={text} is no size", fix="Use a number with k, m or g, or -1.")
    return int(match[1]) * _UNITS[match[2]]


def _count(text: str) -> int:
    if re.fullmatch(r"[1-9][0-9]{0,3}", text) is None:
        raise InvalidInput(f"--log-opt max-file={text} is no count", fix="Use a number from 1 to 9999.")
    return int(text)
