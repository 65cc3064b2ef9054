"""Where the data of sparse files belongs: GNU's old maps and the three kinds in PAX headers (GNU tar manual, "Sparse").

Standard library only. Everything raises `TarError`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from engine.spec.tarheader import BLOCK, Regions, TarError, decimal

MAX_REGIONS = 1_000_000
_OLD = struct.Struct("12s12s")
_OLD_MAP, _OLD_EXTENDED, _OLD_SIZE = 386, 482, 483
_MORE_MAP, _MORE_EXTENDED = 21, 504
_BROKEN = "has a broken map of a sparse file"


def gnu_regions(block: bytes, exactly: Callable[[int], bytes]) -> tuple[int, Regions]:
    """Return the file's size and regions from an old GNU header (type ``S``); ``exactly`` reads continuation blocks."""
    size = _number(block[_OLD_SIZE : _OLD_SIZE + 12])
    regions = _old_map(block[_OLD_MAP:], 4)
    extended = block[_OLD_EXTENDED]
    while extended:
        block = exactly(BLOCK)
        regions += _old_map(block, _MORE_MAP)
        extended = block[_MORE_EXTENDED]
        if len(regions) > MAX_REGIONS:
            raise TarError(_BROKEN)
    return size, tuple(regions)


def pax_regions(listed: bytes | None, pairs: Sequence[bytes]) -> Regions:
    """Return the regions of PAX formats 0.1 (one comma-separated record) and 0.0 (a record for each number)."""
    numbers = listed.split(b",") if listed else pairs
    return _paired([decimal(number, 0) for number in numbers])


def stored_regions(exactly: Callable[[int], bytes], stored: int) -> tuple[Regions, int]:
    """Return the regions of PAX format 1.0 and how many bytes of the data their map takes (whole blocks of lines)."""
    text, lines, wanted = bytearray(), 0, 1
    while lines < wanted:
        if len(text) + BLOCK > stored:
            raise TarError(_BROKEN)
        block = exactly(BLOCK)
        text += block
        if lines == 0 and b"\n" in block:
            pairs = decimal(bytes(text).partition(b"\n")[0], 0)
            if pairs > MAX_REGIONS:
                raise TarError(_BROKEN)
            wanted += 2 * pairs
        lines += block.count(b"\n")
    return _paired([decimal(line, 0) for line in bytes(text).split(b"\n")[1:wanted]]), len(text)


def checked_regions(regions: Regions, size: int, stored: int) -> Regions:
    """Return the regions when they ascend, lie within ``size`` and sum up to ``stored`` bytes; `TarError` otherwise."""
    end = 0
    for offset, length in regions:
        if offset < end or length < 0:
            raise TarError(_BROKEN)
        end = offset + length
    if end > size or sum(length for _, length in regions) != stored:
        raise TarError(_BROKEN)
    return regions


def _paired(numbers: Sequence[int]) -> Regions:
    if len(numbers) % 2:
        raise TarError(_BROKEN)
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _old_map(data: bytes, most: int) -> list[tuple[int, int]]:
    pairs = [_OLD.unpack_from(data, number * _OLD.size) for number in range(most)]
    return [(_number(offset), _number(length)) for offset, length in pairs if offset.strip(b"\0 ")]


def _number(field: bytes) -> int:
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        raise TarError(_BROKEN) from None
