"""Layers unpacked for the tests, both ways, and the tree that comes out as values that compare."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import NamedTuple

from core.tests.images.archives import sha256
from engine.contracts.storage import UnpackTarget, Whiteouts
from engine.images.unpack import Unpacked, unpack_layer
from engine.linux.overlay import new_overlay


class Seen(NamedTuple):
    """What one file is, in everything that an image can say about it."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: int
    content: bytes
    xattrs: tuple[tuple[str, bytes], ...]
    links: int


def unpack(layer: bytes, directory: Path, whiteouts: Whiteouts, diff_id: str = "") -> Unpacked:
    """Unpack a layer (uncompressed, or with its diff ID given) into a directory, which is made."""
    directory.mkdir(exist_ok=True)
    blob = directory.parent / f"{directory.name}.blob"
    blob.write_bytes(layer)
    try:
        with blob.open("rb", buffering=0) as file:
            return unpack_layer(file, UnpackTarget(directory, whiteouts), diff_id or sha256(layer), "the layer")
    finally:
        blob.unlink()


def by_deleting(layers: list[bytes], place: Path) -> dict[str, Seen]:
    """Unpack layers one over the other into one directory."""
    root = place / "deleting"
    for layer in layers:
        unpack(layer, root, Whiteouts.DELETE)
    return tree(root)


def by_overlay(layers: list[bytes], place: Path) -> dict[str, Seen]:
    """Unpack each layer into a directory of its own, and see them as the kernel stacks them."""
    directories = [place / f"overlay-{number}" for number in range(len(layers))]
    for directory, layer in zip(directories, layers, strict=True):
        unpack(layer, directory, Whiteouts.OVERLAY)
    if len(directories) == 1:
        return tree(directories[0])
    mount = new_overlay([str(directory) for directory in reversed(directories)])
    try:
        return tree(Path(f"/proc/self/fd/{mount}/"))
    finally:
        os.close(mount)


def tree(root: Path) -> dict[str, Seen]:
    """Return every file below a directory, the root itself as ``.``."""
    found = {".": _seen(root, root.stat())}
    for above, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(above) / name
            found[str(path.relative_to(root))] = _seen(path, path.lstat())
    return found


def _seen(path: Path, status: os.stat_result) -> Seen:
    kind = stat.S_IFMT(status.st_mode)
    content = b""
    if kind == stat.S_IFREG:
        content = path.read_bytes()
    elif kind == stat.S_IFLNK:
        content = os.fsencode(path.readlink())
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        content = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}".encode()
    names = [] if kind == stat.S_IFLNK else os.listxattr(path)
    xattrs = tuple((name, os.getxattr(path, name)) for name in sorted(names) if ".overlay." not in name)
    links = status.st_nlink if kind == stat.S_IFREG else 1
    mode = stat.S_IMODE(status.st_mode)
    owner = (status.st_uid, status.st_gid)
    return Seen(_KINDS[kind], mode, owner, status.st_mtime_ns, content, xattrs, links)


_KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFCHR: "character",
    stat.S_IFBLK: "block", stat.S_IFIFO: "fifo",
}  # fmt: skip


def gnu_tar(directory: Path, *options: str) -> bytes:
    """Return a directory's files as GNU tar archives them, owners and extended attributes included."""
    command = ["tar", "-c", "--format=pax", "--numeric-owner", "--xattrs", "--xattrs-include=*", *options]
    return subprocess.run([*command, "-C", directory, "."], check=True, capture_output=True).stdout
