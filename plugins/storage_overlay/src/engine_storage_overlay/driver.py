"""The storage driver `overlay`: a layer is a directory, a snapshot a stack of them.

In the directory of each snapshot (see `engine.contracts.snapshots` for what lies around it)::

    fs/      the layer: the upper directory of an active snapshot, a lower one once it is committed
    work/    what the kernel needs beside an upper directory

A view has neither. Two empty directories below the driver's root fill up stacks that are too low for the kernel.
Everything but `mounts` needs root, or the root of a user namespace with the option ``userxattr``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.contracts.common import IdMap, Probe
from engine.contracts.snapshots import Record, SnapshotStore
from engine.contracts.storage import (
    Capability,
    Change,
    Mount,
    SnapshotInfo,
    SnapshotKind,
    StorageConfig,
    StorageDriver,
    UnpackTarget,
    Usage,
    Whiteouts,
)
from engine.errors import Conflict, InvalidInput, NotFound, Unsupported
from engine.linux.filesystems import syncfs
from engine_storage_overlay.attributes import copy_attributes, mark
from engine_storage_overlay.options import FOLLOW, OverlayOptions, decode, parse

_NAME = "overlay"
_EMPTY = ("empty-1", "empty-2")
"""Two, as the kernel refuses the same directory twice."""


class OverlayDriver(StorageDriver):
    """See the module's text. ``config.options`` are those of `engine_storage_overlay.options.OverlayOptions`."""

    capabilities = frozenset({Capability.HOST_LOWER, Capability.IDMAP, Capability.PARALLEL_UNPACK})

    def __init__(self, config: StorageConfig) -> None:
        self._options = parse(config.options)
        self._root = config.root
        self._store = SnapshotStore(config.root, _NAME)

    def probe(self) -> Probe:
        """Mount an overlay on the file system of the root, attached nowhere, and try what images need."""
        from engine_storage_overlay.probe import probe

        return probe(self._store, self._options)

    def prepare(
        self,
        key: str,
        parent: str | None,
        *,
        lower: Path | None = None,
        size: int | None = None,
        read_only: bool = False,
    ) -> None:
        """Make ``fs`` and ``work``. See the contract."""
        if size is not None:
            raise _unsupported(Capability.QUOTA, "limit the size of a writable layer")
        if lower is not None:
            self._check_lower(lower, parent)

        def build(directory: Path, above: Record | None) -> Mapping[str, str]:
            if not (self._root / _EMPTY[-1]).exists():
                for name in _EMPTY:
                    (self._root / name).mkdir(0o755, exist_ok=True)
            if not read_only:
                self._make_upper(directory, above.directory / "fs" if above else lower)
            detail = self._inherit(self._options, above)
            return detail if lower is None else {**detail, "lower": os.fspath(lower)}

        self._store.prepare(key, parent, read_only=read_only, build=build)

    def commit(self, key: str, name: str, *, parent: str | None = None) -> None:
        """Sync the layer and rename the snapshot. See the contract."""
        from engine_storage_overlay.implied import adopt

        def seal(record: Record, above: Record | None) -> Mapping[str, str]:
            layer = record.directory / "fs"
            if "lower" in record.detail:
                what = f"the snapshot '{key}' is over {record.detail['lower']}, which is no committed snapshot"
                raise Conflict(what, fix="Pack its changes into a layer instead.", plugin=_NAME)
            lowers = self._lowers(above) if above else []
            if above is not None:
                lowers.insert(0, above.directory / "fs")
                if record.parent is None:
                    _take_on_root(layer, lowers[0])
            adopt(layer, lowers, userxattr=decode(record.detail["options"]).userxattr)
            _sync_tree(layer)
            return self._inherit(decode(record.detail["options"]), above)

        self._store.commit(key, name, parent=parent, seal=seal)

    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        """Return one overlay mount: each lower layer from the top down, then the upper one, then options."""
        return self._mounts(self._store.find_active(key), idmap)

    def plan_mounts(
        self, key: str, parents: Sequence[str], *, lower: Path | None = None, idmap: IdMap | None = None
    ) -> tuple[Mount, ...]:
        """Return the overlay mount to be. What is not unpacked yet will be with this driver's own options."""
        known = [name for name in parents if self._store.directory(SnapshotKind.COMMITTED, name).exists()]
        detail = self._inherit(self._options, self._store.find(known[0]) if known else None)
        if lower is not None:
            detail["lower"] = os.fspath(lower)
        directory = self._store.directory(SnapshotKind.ACTIVE, key)
        return self._mounts(Record(key, SnapshotKind.ACTIVE, tuple(parents), directory, detail), idmap)

    def _mounts(self, record: Record, idmap: IdMap | None) -> tuple[Mount, ...]:
        writable = record.kind is SnapshotKind.ACTIVE
        lowers = self._lowers(record)
        lowers += [self._root / name for name in _EMPTY[len(lowers) : 1 if writable else 2]]
        pairs = [("lowerdir+", os.fspath(lower)) for lower in lowers]
        if writable:
            pairs += [("upperdir", f"{record.directory}/fs"), ("workdir", f"{record.directory}/work")]
        pairs += _kernel_options(record, writable)
        return (Mount("overlay", "overlay", tuple(pairs), () if writable else ("ro",), idmap),)

    def unpack_target(self, key: str) -> UnpackTarget:
        """Return ``fs``, in which a layer lies alone, with overlay's own marks for what it deletes."""
        record = self._active(key)
        userxattr = decode(record.detail["options"]).userxattr
        prefix = "user.overlay." if userxattr else "trusted.overlay."
        return UnpackTarget(record.directory / "fs", Whiteouts.OVERLAY, prefix, mark(userxattr=userxattr))

    def changes(self, key: str) -> Iterator[Change]:
        """Yield what lies in ``fs``, compared with the layers below. See the contract."""
        from engine_storage_overlay.changes import compare

        record = self._store.find(key)
        if record.kind is SnapshotKind.VIEW:
            return
        userxattr = decode(record.detail["options"]).userxattr
        with self._store.explaining(f"compare the snapshot '{key}' with its parent"):
            yield from compare(
                record.directory / "fs", self._lowers(record), userxattr=userxattr, private="lower" in record.detail
            )

    def usage(self, key: str) -> Usage:
        """Count ``fs``: blocks allocated and inodes, a file with several links once."""
        from engine_storage_overlay.usage import measure

        record = self._store.find(key)
        if record.kind is SnapshotKind.VIEW:
            return Usage(0, 0)
        with self._store.explaining(f"measure the snapshot '{key}'"):
            return measure(record.directory / "fs")

    def remove(self, key: str) -> None:
        """Rename the snapshot out of the way and delete it. See the contract."""
        self._store.remove(key)

    def snapshots(self) -> Iterator[SnapshotInfo]:
        """Yield everything below the root. See the contract."""
        return self._store.snapshots()

    def _active(self, key: str) -> Record:
        record = self._store.find_active(key)
        if record.kind is SnapshotKind.VIEW:
            raise Conflict(f"the snapshot '{key}' is a view: nothing is unpacked there", plugin=_NAME)
        return record

    def _lowers(self, record: Record) -> list[Path]:
        if "lower" in record.detail:
            return [Path(record.detail["lower"])]
        return [self._store.directory(SnapshotKind.COMMITTED, name) / "fs" for name in record.parents]

    @staticmethod
    def _inherit(options: OverlayOptions, above: Record | None) -> dict[str, str]:
        """Return what to remember: the options, and what this layer and those below want followed."""
        if above is None:
            return {"options": options.encode(), "follow": options.follow}
        below = decode(above.detail["options"])
        if below.userxattr is not options.userxattr:
            what = f"the layers of '{above.name}' were unpacked with userxattr={str(below.userxattr).lower()}"
            raise Conflict(what, fix="Use the same --storage-opt userxattr, or another --root.", plugin=_NAME)
        return {"options": options.encode(), "follow": max(options.follow, above.detail["follow"], key=FOLLOW.index)}

    def _check_lower(self, lower: Path, parent: str | None) -> None:
        if parent is not None:
            raise InvalidInput("a snapshot is over a parent or over a directory, not over both", plugin=_NAME)
        if not lower.is_absolute() or not lower.is_dir():
            raise NotFound(f"{lower} is no directory of this machine", fix="Give an absolute path.", plugin=_NAME)
        if lower.is_relative_to(self._root):
            fix = "Name a directory outside of the engine's --root."
            raise InvalidInput(f"{lower} lies in the driver's own directory", fix=fix, plugin=_NAME)

    @staticmethod
    def _make_upper(directory: Path, below: Path | None) -> None:
        layer = directory / "fs"
        layer.mkdir(0o755)
        layer.chmod(0o755)
        (directory / "work").mkdir(0o700)
        if below is not None:
            _copy_attributes(below, layer)


def _unsupported(capability: Capability, what: str) -> Unsupported:
    sentence = f"the storage driver overlay cannot {what} ({capability})"
    return Unsupported(sentence, fix="Choose another driver with --storage.", plugin=_NAME)


def _kernel_options(record: Record, writable: bool) -> list[tuple[str, str]]:
    """Return the options after the layers. Nothing is left to the kernel's defaults, which distributions change."""
    options = decode(record.detail["options"])
    pairs = [("index", "off")]
    follow = record.detail["follow"]
    # A writable mount cannot follow what layers below hold without writing the same itself.
    redirect = "nofollow" if not follow else "on" if writable else "follow"
    pairs += [("redirect_dir", redirect), ("metacopy", "on" if follow == "metacopy" else "off")]
    if options.userxattr:
        pairs.append(("userxattr", ""))
    if options.volatile and writable:
        pairs.append(("volatile", ""))
    return pairs


def _copy_attributes(source: Path, target: Path) -> None:
    """Give the root of a new layer the owner, mode and attributes of the root below, which it covers in the stack."""
    with _opened(source) as below, _opened(target) as layer:
        copy_attributes(below, layer)


def _take_on_root(layer: Path, below: Path) -> None:
    """Copy the attributes of the root below when the unpacked layer did not set its own."""
    status = layer.stat()
    if (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o755, 0, 0):
        _copy_attributes(below, layer)


def _sync_tree(layer: Path) -> None:
    with _opened(layer) as fd:
        syncfs(fd)


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
