"""What a tar header says, as a typed value: ustar, GNU and PAX (pax(1), tar(5), image-spec: layer.md).

Names stay the bytes that the archive holds. Nothing here trusts them: whoever writes files decides what they may reach.
Standard library only. Everything raises `TarError` with a reason that completes "the archive …".
"""

from __future__ import annotations

import struct

from engine.tuples import NamedTuple

BLOCK = 512
MAX_EXTENSION = 1024 * 1024
"""Bytes of the largest PAX or GNU long-name header; archive/tar of Go, which writes most images, has the same limit."""

REGULAR, LINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
"""Kinds of entries, by the header's type flag. Contiguous and GNU sparse files are given as regular ones."""
KINDS = frozenset((REGULAR, LINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO))
PAX, PAX_GLOBAL, GNU_NAME, GNU_LINK, GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"

_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_XATTR = b"SCHILY.xattr."
_SECOND = 1_000_000_000

Regions = tuple[tuple[int, int], ...]
"""Data of a sparse file: offset and length of each part, ascending."""


class TarError(Exception):
    """The archive is broken; the text completes "the archive …"."""


class TarEntry(NamedTuple):
    """One member. ``size`` counts the file's bytes (holes included), ``stored`` those in the archive.

    ``mtime`` is in nanoseconds since 1970, ``xattrs`` holds names and values as in SCHILY.xattr records, ``regions`` is
    None for a file without holes, ``offset`` is where the data starts in the uncompressed archive.
    """

    name: bytes
    kind: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    stored: int = 0
    mtime: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    regions: Regions | None = None
    offset: int = 0


class Header(NamedTuple):
    """One block as it stands: the entry without its extensions, the type flag, and the block for GNU's sparse maps."""

    entry: TarEntry
    flag: bytes
    block: bytes


class Extensions:
    """What PAX and GNU headers before an entry say about it."""

    __slots__ = ("link", "name", "records", "sparse", "xattrs")

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.link: bytes | None = None
        self.records: dict[bytes, bytes] = {}
        self.xattrs: dict[bytes, bytes] = {}
        self.sparse: list[bytes] = []

    def add_pax(self, data: bytes) -> None:
        """Take the records of a PAX header: ``LENGTH KEY=VALUE\\n``, LENGTH counting the whole record."""
        at = 0
        while at < len(data) and data[at]:
            space = data.find(b" ", at, at + 20)
            digits = data[at:space] if space > 0 else b""
            end = at + int(digits) if digits.isdigit() else 0
            key, equals, value = data[space + 1 : end - 1].partition(b"=")
            if end <= space + 1 or end > len(data) or data[end - 1] != 0x0A or not equals or not key:
                raise TarError("has a broken PAX header")
            self._take(key, value)
            at = end

    def _take(self, key: bytes, value: bytes) -> None:
        if key.startswith(_XATTR):
            self.xattrs[key[len(_XATTR) :]] = value
        elif key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            self.sparse.append(value)
        elif value:
            self.records[key] = value
        else:
            self.records.pop(key, None)

    def apply(self, entry: TarEntry) -> TarEntry:
        """Return the entry with everything that the extensions say in the place of what the block said."""
        if not self.records and not self.xattrs:
            return entry._replace(name=self.name or entry.name, link=self.link or entry.link)
        get = self.records.get
        name = get(b"GNU.sparse.name") or get(b"path") or self.name or entry.name
        link = get(b"linkpath") or self.link or entry.link
        if b"\0" in name or b"\0" in link:
            raise TarError("has a NUL in a name")
        stored = decimal(get(b"size"), entry.stored)
        return entry._replace(
            name=name, link=link, size=stored, stored=stored,
            uid=decimal(get(b"uid"), entry.uid), gid=decimal(get(b"gid"), entry.gid),
            mtime=nanoseconds(get(b"mtime"), entry.mtime), xattrs=tuple(self.xattrs.items()),
        )  # fmt: skip


def read_header(block: bytes) -> Header:
    """Return what one 512-byte block says; the checksum is verified."""
    name, mode, uid, gid, size, mtime, checksum, flag, link, magic, _, _, major, minor, prefix = _HEADER.unpack(block)
    plain = sum(block) - sum(checksum) + 8 * 0x20
    if _number(checksum) != plain and _number(checksum) != plain - 256 * sum(byte > 127 for byte in block):
        raise TarError("is broken, or is no tar archive: a header's checksum is wrong")
    name = _text(name)
    if magic[:6] == b"ustar\0" and prefix[0]:
        name = _text(prefix) + b"/" + name
    stored = _number(size)
    if stored < 0:
        raise TarError("has a file of negative size")
    device = flag in (CHAR, BLOCKDEV)
    entry = TarEntry(
        name=name, kind=_kind(flag, name), mode=_number(mode), uid=_number(uid), gid=_number(gid), size=stored,
        stored=stored, mtime=_number(mtime) * _SECOND, link=_text(link),
        major=_number(major) if device else 0, minor=_number(minor) if device else 0,
    )  # fmt: skip
    return Header(entry, flag, block)


def decimal(text: bytes | None, default: int) -> int:
    """Return the non-negative number a PAX record holds."""
    if text is None:
        return default
    if not text.isdigit() or len(text) > 19:
        raise TarError("has a PAX header with a broken number")
    return int(text)


def nanoseconds(text: bytes | None, default: int) -> int:
    """Return a PAX time (seconds, possibly negative, with a fraction) in nanoseconds; digits past the ninth are cut."""
    if text is None:
        return default
    sign = -1 if text[:1] == b"-" else 1
    whole, _, fraction = text.lstrip(b"-").partition(b".")
    return sign * (decimal(whole or b"0", 0) * _SECOND + decimal(fraction[:9].ljust(9, b"0"), 0))


def _kind(flag: bytes, name: bytes) -> bytes:
    if flag in (b"\0", b"7", GNU_SPARSE):
        return REGULAR if not (flag == b"\0" and name.endswith(b"/")) else DIRECTORY
    return flag


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Read an octal number, or GNU's base-256 when the first bit is set (two's complement after it)."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        negative = field[0] & 0x40
        return value - (1 << (8 * len(field) - 1)) if negative else value
    digits = field.partition(b"\0")[0].strip(b" ")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise TarError("is broken, or is no tar archive: a header has a broken number") from None
