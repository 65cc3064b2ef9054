"""Unpacking a layer: decompressed, hashed and written in one pass, each in a thread of its own.

Called by the command's process, as root, for an active snapshot that nobody else uses.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from engine.contracts.storage import UnpackTarget, Whiteouts
from engine.errors import EngineError, ImageError
from engine.images.compression import ahead, uncompressed
from engine.images.layer import LayerWriter
from engine.images.tree import LayerFault, Tree, shown
from engine.images.whiteouts import DeletedFiles, Deletions, OverlayFiles
from engine.spec.tar import TarReader
from engine.spec.tarheader import TarEntry, TarError
from engine.tuples import NamedTuple

_LAYER_FAULTS = {errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.EFBIG, errno.ENOENT, errno.ENOTDIR, errno.EEXIST}
_HOSTILE = "Do not use the image: its layer was made to harm, or by a broken tool."
_DAMAGED = "Get the image again: the layer was cut short or changed on its way."
_REPORT = 8 * 1024 * 1024
"""Bytes between two calls of the progress function."""

Progress = Callable[[int], None]
"""Called with the number of uncompressed bytes read so far."""


class Unpacked(NamedTuple):
    """What a layer turned out to be: entries, uncompressed bytes, and extended attributes that were left out."""

    entries: int
    size: int
    skipped_xattrs: frozenset[str]


def unpack_layer(
    file: BinaryIO, target: UnpackTarget, diff_id: str, what: str, progress: Progress = lambda _: None
) -> Unpacked:
    """Write the layer in ``file`` (unbuffered, at its start, compressed or not) into the target of an active snapshot.

    ``what`` names the layer in errors. Raises `ImageError` when it is broken, hostile, or not what ``diff_id`` says,
    and `EngineError` when the machine cannot hold it. The target is then half written: remove the snapshot.
    """
    digest = hashlib.sha256()
    root = os.open(target.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with (
            uncompressed(file, what) as plain,
            ahead(plain) as chunks,
            ahead(_hashed(chunks, digest.update)) as hashed,
            Tree(root, empty=target.whiteouts is Whiteouts.OVERLAY, implied=target.implied) as tree,
        ):
            reader = TarReader(lambda _: next(hashed, b""))
            writer = LayerWriter(tree, _deletions(tree, target))
            _write_all(reader, writer, what, progress)
    finally:
        os.close(root)
    actual = "sha256:" + digest.hexdigest()
    if actual != diff_id:
        raise ImageError(f"{what} unpacks to {actual} instead of {diff_id}", fix=_DAMAGED)
    return Unpacked(writer.entries, reader.position, frozenset(writer.skipped_xattrs))


def _write_all(reader: TarReader, writer: LayerWriter, what: str, progress: Progress) -> None:
    entry: TarEntry | None = None
    reported = 0
    try:
        for entry in reader:
            writer.write(entry, reader)
            if reader.position - reported > _REPORT:
                reported = reader.position
                progress(reported)
        entry = None
        writer.finish()
        reader.drain()
    except TarError as error:
        raise ImageError(f"{what} {error}{_after(entry)}", fix=_DAMAGED) from None
    except LayerFault as error:
        raise ImageError(f"{what} {error}", fix=_HOSTILE) from None
    except OSError as error:
        raise _refused(error, what, entry) from error
    progress(reader.position)


def _deletions(tree: Tree, target: UnpackTarget) -> Deletions:
    if target.whiteouts is Whiteouts.OVERLAY:
        return OverlayFiles(tree, target.xattr_prefix)
    return DeletedFiles(tree)


def _hashed(chunks: Iterator[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


def _after(entry: TarEntry | None) -> str:
    return f" (at or after {shown(entry.name)})" if entry else ""


def _refused(error: OSError, what: str, entry: TarEntry | None) -> EngineError:
    place = shown(entry.name) if entry else "its directories"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EngineError(
            f"there is no room left to unpack {what}", fix="Free space, or choose a --root on another disk."
        )
    if error.errno in _LAYER_FAULTS:
        return ImageError(f"{what} has {place}, which cannot be made: {error.strerror}", fix=_HOSTILE)
    if error.errno == errno.ENOTSUP:
        return EngineError(
            f"the file system cannot hold the extended attributes of {place} of {what}",
            fix="Choose a --root on ext4, xfs or btrfs.",
        )
    if error.errno in (errno.EPERM, errno.EACCES):
        return EngineError(f"no permission to make {place} of {what}: {error.strerror}", fix="Run as root.")
    return EngineError(f"cannot write {place} of {what}: {error.strerror}", fix="See the disk in the kernel's log.")
