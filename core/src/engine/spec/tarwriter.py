"""Writing tar archives: headers in the pax format (pax(1)), with extended attributes as in SCHILY.xattr records.

Names stay bytes. The same entry always gives the same bytes. A value that fits the old fields is written there alone.
Standard library only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.spec.tarheader import BLOCK, PAX, TarEntry

END = bytes(2 * BLOCK)
"""What ends an archive."""

_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_SECOND = 1_000_000_000
_MAX_NAME = 100
_MAX_ID = 0o7777777
_MAX_LONG = 0o77777777777
_XATTR = b"SCHILY.xattr."


def header(entry: TarEntry) -> bytes:
    """Return the blocks that come before an entry's data; ``entry.stored`` bytes of it follow, and `padding`."""
    records = b"".join(_record(key, value) for key, value in _records(entry))
    if not records:
        return _block(entry)
    extension = TarEntry(b"PaxHeaders/" + entry.name.rstrip(b"/").rpartition(b"/")[2][:80], PAX, stored=len(records))
    return b"".join((_block(extension), records, padding(len(records)), _block(entry)))


def padding(size: int) -> bytes:
    """Return what fills the last block of ``size`` bytes of data."""
    return bytes(-size % BLOCK)


def _records(entry: TarEntry) -> Iterator[tuple[bytes, bytes]]:
    """Yield what the old fields cannot hold."""
    for key, text in ((b"path", entry.name), (b"linkpath", entry.link)):
        if len(text) > _MAX_NAME:
            yield key, text
    for key, number, most in (
        (b"uid", entry.uid, _MAX_ID),
        (b"gid", entry.gid, _MAX_ID),
        (b"size", entry.stored, _MAX_LONG),
    ):
        if number > most:
            yield key, b"%d" % number
    if entry.mtime % _SECOND or not 0 <= entry.mtime // _SECOND <= _MAX_LONG:
        seconds, fraction = divmod(abs(entry.mtime), _SECOND)
        yield b"mtime", b"%s%d.%09d" % (b"-" if entry.mtime < 0 else b"", seconds, fraction)
    for name, value in entry.xattrs:
        yield _XATTR + name, value


def _record(key: bytes, value: bytes) -> bytes:
    """Return ``LENGTH KEY=VALUE\\n``, where LENGTH counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def _block(entry: TarEntry) -> bytes:
    fields = (
        entry.name[:_MAX_NAME], _octal(entry.mode, 7), _octal(entry.uid, 7), _octal(entry.gid, 7),
        _octal(entry.stored, 11), _octal(entry.mtime // _SECOND, 11), b" " * 8, entry.kind, entry.link[:_MAX_NAME],
        b"ustar\x0000", b"", b"", _octal(entry.major, 7), _octal(entry.minor, 7), b"",
    )  # fmt: skip
    block = _HEADER.pack(*fields)
    return b"%s%06o\0 %s" % (block[:148], sum(block), block[156:])


def _octal(value: int, digits: int) -> bytes:
    """Return a field of so many digits; what it cannot hold is in a record, and the field at its nearest end."""
    return b"%0*o" % (digits, min(max(value, 0), 8**digits - 1))
