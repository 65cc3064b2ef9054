"""Reading tar archives as a stream: entry by entry, data without copies, every length checked before it is believed.

The standard library's tarfile reads PAX headers of any size into memory, decodes names, and needs three times as long
per entry; a layer of strangers is read with this instead. One reader belongs to one thread. Standard library only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.spec.tarheader import (
    BLOCK,
    GNU_LINK,
    GNU_NAME,
    GNU_SPARSE,
    KINDS,
    MAX_EXTENSION,
    PAX,
    PAX_GLOBAL,
    REGULAR,
    Extensions,
    Header,
    TarEntry,
    TarError,
    decimal,
    read_header,
)
from engine.spec.tarsparse import checked_regions, gnu_regions, pax_regions, stored_regions

_END = bytes(BLOCK)
_CHUNK = 1024 * 1024


class TarReader:
    """An iterator over the entries of an archive. Read an entry's data with `data` before asking for the next one.

    ``read`` is called with the number of bytes that would be useful and returns any number, none at the end. ``skip``,
    when given, moves the source forward without reading (a file's seek) and raises `TarError` past its end.
    """

    def __init__(self, read: Callable[[int], bytes], skip: Callable[[int], None] | None = None) -> None:
        self._read = read
        self._skip = skip
        self._ask = _CHUNK if skip is None else 2 * BLOCK
        self._buffer: bytes = b""
        self._at = 0
        self._before = 0
        self._left = 0
        self._pad = 0

    @property
    def position(self) -> int:
        """How many bytes of the uncompressed archive have been consumed."""
        return self._before + self._at

    def __iter__(self) -> Iterator[TarEntry]:
        """Yield every entry; `TarError` where the archive breaks its own rules."""
        while True:
            entry = self._next()
            if entry is None:
                return
            yield entry

    def data(self) -> Iterator[memoryview]:
        """Yield what is left of the current entry's stored data, in pieces as they come from the source."""
        while self._left:
            if self._at == len(self._buffer):
                self._fill()
            piece = memoryview(self._buffer)[self._at : self._at + self._left]
            self._at += len(piece)
            self._left -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read the source to its end: what follows the archive counts towards its digest."""
        self._left = 0
        self._buffer, self._at, self._before = b"", 0, self._before + len(self._buffer)
        while chunk := self._read(_CHUNK):
            self._before += len(chunk)

    def _next(self) -> TarEntry | None:
        self._forward(self._left + self._pad)
        more = Extensions()
        while True:
            block = self._block()
            if block is None:
                return None
            header = read_header(block)
            if header.flag not in (PAX, PAX_GLOBAL, GNU_NAME, GNU_LINK):
                return self._entry(header, more)
            data = self._extension(header.entry.stored)
            if header.flag == PAX:
                more.add_pax(data)
            elif header.flag == GNU_NAME:
                more.name = data.partition(b"\0")[0]
            elif header.flag == GNU_LINK:
                more.link = data.partition(b"\0")[0]

    def _entry(self, header: Header, more: Extensions) -> TarEntry:
        entry = more.apply(header.entry)
        if entry.kind not in KINDS:
            raise TarError(f"has an entry of the unknown type {header.flag!r}")
        if entry.kind != REGULAR:
            entry = entry._replace(size=0, stored=0)
        self._left, self._pad = entry.stored, -entry.stored % BLOCK
        if header.flag == GNU_SPARSE:
            size, regions = gnu_regions(header.block, self._exactly)
            entry = entry._replace(size=size, regions=checked_regions(regions, size, self._left))
        elif entry.kind == REGULAR and any(key.startswith(b"GNU.sparse.") for key in more.records):
            entry = self._pax_sparse(entry, more)
        return entry._replace(offset=self.position)

    def _pax_sparse(self, entry: TarEntry, more: Extensions) -> TarEntry:
        records = more.records
        size = decimal(records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size"), entry.size)
        if records.get(b"GNU.sparse.major") == b"1":
            regions, used = stored_regions(self._exactly, self._left)
            self._left -= used
        else:
            regions = pax_regions(records.get(b"GNU.sparse.map"), more.sparse)
        return entry._replace(size=size, stored=self._left, regions=checked_regions(regions, size, self._left))

    def _extension(self, size: int) -> bytes:
        if size > MAX_EXTENSION:
            raise TarError(f"has an extended header of more than {MAX_EXTENSION} bytes")
        return self._exactly(size + -size % BLOCK)[:size]

    def _block(self) -> bytes | None:
        """Return the next header block, None at the end: two blocks of zeros, or nothing, as some writers leave it."""
        if self._at == len(self._buffer) and not self._more():
            return None
        block = self._exactly(BLOCK)
        if block != _END:
            return block
        if (self._at < len(self._buffer) or self._more()) and self._exactly(BLOCK) != _END:
            raise TarError("is broken: data follows an end-of-archive block")
        return None

    def _exactly(self, count: int) -> bytes:
        end = self._at + count
        while end > len(self._buffer):
            self._fill()
            end = self._at + count
        piece = self._buffer[self._at : end]
        self._at = end
        return piece

    def _forward(self, count: int) -> None:
        self._left = self._pad = 0
        buffered = len(self._buffer) - self._at
        if count > buffered and self._skip is not None:
            self._skip(count - buffered)
            self._before += len(self._buffer) + count - buffered
            self._buffer, self._at = b"", 0
            return
        while count > (buffered := len(self._buffer) - self._at):
            count -= buffered
            self._at = len(self._buffer)
            self._fill()
        self._at += count

    def _fill(self) -> None:
        if not self._more():
            raise TarError("is cut short")

    def _more(self) -> bool:
        """Get one more chunk behind what has not been consumed; False at the end of the source."""
        chunk = self._read(self._ask)
        self._before += self._at
        self._buffer = self._buffer[self._at :] + chunk if self._at < len(self._buffer) else chunk
        self._at = 0
        return bool(chunk)
