"""Layers and archives uncompressed as a stream, in threads beside whoever consumes it.

gzip is zlib's, zstd the program ``zstd`` (Python has no zstd before 3.14). What a blob is compressed with is read
from its first bytes, not from its media type: some builders label uncompressed layers as gzip.
"""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from engine.errors import EngineError, ImageError

CHUNK = 1024 * 1024
_INPUT = 256 * 1024
_DEPTH = 8
"""Chunks a stage may be ahead of the next one."""
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_BROKEN = "Get the image again: it was cut short or changed on its way."


@contextmanager
def uncompressed(file: BinaryIO, what: str) -> Iterator[Iterator[bytes]]:
    """Give the uncompressed bytes of ``file`` (unbuffered, at its start) in chunks; ``what`` names it in errors.

    The chunks raise `ImageError` where the compression is broken or unknown, `EngineError` without ``zstd``.
    """
    head = _head(file)
    if head.startswith(_GZIP):
        yield _gunzip(file, head, what)
    elif head.startswith(_ZSTD):
        with _unzstd(file, head, what) as chunks:
            yield chunks
    else:
        unknown = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), None)
        if unknown:
            raise ImageError(f"{what} is compressed with {unknown}", fix="Compress it with gzip or zstd.")
        yield _plain(file, head)


def is_compressed(file: BinaryIO) -> bool:
    """Return whether a file that can seek begins like a compressed one; its position stays at the start."""
    head = _head(file)
    file.seek(0)
    return head.startswith((_GZIP, _ZSTD, *_OTHERS))


@contextmanager
def ahead(source: Iterator[bytes]) -> Iterator[Iterator[bytes]]:
    """Run ``source`` in a thread of its own, a few chunks ahead of the body, which gets the same chunks and errors.

    The thread has ended when the body has, also when the body did not read to the end.
    """
    chunks: queue.Queue[bytes | BaseException | None] = queue.Queue(_DEPTH)
    stop = threading.Event()

    def produce() -> None:
        last: BaseException | None = None
        try:
            for chunk in source:
                chunks.put(chunk)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  # raised again where the chunks are consumed
            last = error
        chunks.put(last)

    def consume() -> Iterator[bytes]:
        while (chunk := chunks.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk

    thread = threading.Thread(target=produce, name="engine-ahead", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        stop.set()
        while thread.is_alive():
            _drain(chunks)
            thread.join(0.005)


def _drain(chunks: queue.Queue[bytes | BaseException | None]) -> None:
    while not chunks.empty():
        chunks.get_nowait()


def _head(file: BinaryIO) -> bytes:
    head = b""
    while len(head) < 6 and (more := file.read(_INPUT)):
        head += more
    return head


def _plain(file: BinaryIO, head: bytes) -> Iterator[bytes]:
    if head:
        yield head
    while chunk := file.read(CHUNK):
        yield chunk


def _gunzip(file: BinaryIO, data: bytes, what: str) -> Iterator[bytes]:
    """Members one after the other, as gzip(1) reads them; zeros after the last one are padding."""
    member = zlib.decompressobj(31)
    try:
        while data := data or file.read(_INPUT) or b"":
            if chunk := member.decompress(data, CHUNK):
                yield chunk
            data = member.unconsumed_tail
            if member.eof:
                data = member.unused_data.lstrip(b"\0")
                while not data and (more := file.read(_INPUT)):
                    data = more.lstrip(b"\0")
                if not data:
                    return
                member = zlib.decompressobj(31)
    except zlib.error as error:
        raise ImageError(f"{what} is not valid gzip: {error}", fix=_BROKEN) from None
    if rest := member.flush():
        yield rest
    if not member.eof:
        raise ImageError(f"{what} is cut short: its gzip stream does not end", fix=_BROKEN)


@contextmanager
def _unzstd(file: BinaryIO, head: bytes, what: str) -> Iterator[Iterator[bytes]]:
    program = shutil.which("zstd")
    if program is None:
        raise EngineError(
            f"{what} is compressed with zstd, which is not installed", fix="Install it: apt-get install zstd."
        )
    file.seek(-len(head), 1)
    with subprocess.Popen(
        [program, "-dcq", "--no-progress"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        try:
            yield _output(child, what)
        finally:
            child.kill()


def _output(child: subprocess.Popen[bytes], what: str) -> Iterator[bytes]:
    assert child.stdout is not None and child.stderr is not None  # noqa: PT018  # both are pipes
    while chunk := child.stdout.read(CHUNK):
        yield chunk
    complaint = child.stderr.read(1000).decode(errors="replace").strip()
    if child.wait() != 0:
        raise ImageError(f"{what} is not valid zstd: {complaint or 'it is cut short'}", fix=_BROKEN)
