"""A layer made of what a container changed: a tar archive in which ``.wh.NAME`` says "deleted" (image-spec: layer.md).

The same for every storage driver: its `changes` say which paths, and the files are read from the snapshot's mounted
view. No opaque marks are written: what such a directory hides is listed as deleted, name by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from engine.contracts.common import IdMap
from engine.contracts.storage import Change, ChangeKind
from engine.errors import ImageError
from engine.images.files import FileReader
from engine.images.whiteouts import PREFIX
from engine.spec.tarheader import REGULAR, TarEntry
from engine.spec.tarwriter import END, header

_WHITEOUT = os.fsdecode(PREFIX)


def layer(root_fd: int, changes: Iterable[Change], *, ids: IdMap | None = None) -> Iterator[bytes]:
    """Yield the uncompressed archive of these changes, each directory's before what is in it; a path may vanish.

    ``ids`` is the identity map of a running container, as in `FileReader`. Directories above a change have entries too:
    without one, other engines make them up. Raises `ImageError` for a file that bears a whiteout's name, which a layer
    cannot hold.
    """
    reader = FileReader(root_fd, ids=ids)
    known: set[str] = {""}
    for change in changes:
        path = change.path.lstrip("/")
        above, _, name = path.rpartition("/")
        if name.startswith(_WHITEOUT):
            raise ImageError(
                f"the file {change.path} has a name that means a deletion in a layer", fix="Rename or remove it."
            )
        yield from _directories(reader, above, known)
        if change.kind is ChangeKind.DELETED:
            whiteout = f"{above}/{_WHITEOUT}{name}" if above else _WHITEOUT + name
            yield header(TarEntry(os.fsencode(whiteout), REGULAR, 0))
            continue
        known.add(path)
        for found in reader.one(path):
            yield from found.archived()
    yield END


def _directories(reader: FileReader, path: str, known: set[str]) -> Iterator[bytes]:
    """Yield the entries of a directory and of those above it that have none yet, the highest first."""
    missing = []
    while path not in known:
        missing.append(path)
        known.add(path)
        path = path.rpartition("/")[0]
    for one in reversed(missing):
        for found in reader.one(one):
            yield from found.archived()
