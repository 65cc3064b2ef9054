"""The contract of storage drivers (graph drivers, snapshotters): layers in, mounts out.

Vocabulary, as containerd uses it:

    *active*     a snapshot that can be written: a container's layer, or an image layer being unpacked
    *committed*  an immutable snapshot, named; the only kind that can be a parent
    *view*       a read-only snapshot of a committed parent
    *key*        the name of an active snapshot or view; unique within the driver, ``[a-z0-9][a-z0-9._-]{0,127}``

Lifecycle::

    prepare(key, parent) -> active --commit(name)--> committed        or       active --remove--> gone
    view(key, parent)    -> view   --remove--> gone

A worked scenario, an image of two layers and a container of it::

    driver.prepare("unpack-a", None)            apply layer A to driver.unpack_target("unpack-a")
    driver.commit("unpack-a", "chain-1")        the name is derived from the chain ID
    driver.prepare("unpack-b", "chain-1")       apply layer B …
    driver.commit("unpack-b", "chain-2")
    driver.prepare("c0ffee", "chain-2")         the container's writable layer
    mounts = driver.mounts("c0ffee")            values: the shim mounts them in its own mount namespace
    driver.changes("c0ffee")                    what `engine diff` shows
    driver.remove("c0ffee")

Invariants. A driver never mounts anything that outlives the call, and never answers with a path it mounted: `mounts`
is a pure answer of values. A committed snapshot never changes. Every method may be called again after a crash: a
`prepare` or `commit` cut short by SIGKILL leaves something that `remove` of the same key clears and that nothing else
mistakes for a snapshot. Two processes may call the driver at the same time on different keys; the caller (the core)
holds a lock per key and has recorded the key before it calls `prepare`, and forgets it after `remove` returned.

Every method is called by the command that the user typed (the CLI's process), as root (the host's, or that of the
user's own namespace), in the host's namespaces, never by the shim or inside the container.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from engine.actions.rootfs import MountRow
from engine.contracts.common import IdMap, Probe
from engine.errors import Unsupported
from engine.tuples import NamedTuple


class Capability(StrEnum):
    """Optional behaviour. What is not declared must be refused with `engine.errors.Unsupported`, naming it."""

    HOST_LOWER = "host-lower"
    """``prepare(lower=PATH)``: a directory of the machine (``/``) as the read-only lower of a snapshot."""
    IDMAP = "idmap"
    """``mounts(idmap=…)``: layers appear owned by the mapped ids, and what those write is stored with the ids on disk.
    Nothing is copied or changed for it: containers with different maps share layers."""
    QUOTA = "quota"
    """``prepare(size=…)``: the writable layer holds at most so many bytes."""
    PARALLEL_UNPACK = "parallel-unpack"
    """Layers may be unpacked before their parents: ``prepare(parent=None)`` for each, ``commit(parent=…)`` later."""


class Mount(NamedTuple):
    """A mount value: what to mount, before it is known where. Executed by the shim in its own mount namespace.

    ``fstype``      "overlay", "bind", …; a bind mounts ``source`` itself
    ``source``      device, directory, or a word for people ("overlay")
    ``options``     (key, value) pairs in order, as fsconfig(2) takes them: ``("lowerdir+", "/a")`` may repeat; a flag
                    has the value ``""``
    ``attributes``  per-mount attributes: "ro", "nosuid", "nodev", "noexec"
    ``idmap``       its files belong to the ids that this identity map has outside for those on disk: a bind's own, and
                    an overlay's by its layers, which are mapped each (upper and work directory as one mount)
    """

    fstype: str
    source: str
    options: tuple[tuple[str, str], ...] = ()
    attributes: tuple[str, ...] = ()
    idmap: IdMap | None = None


def to_row(mount: Mount) -> MountRow:
    """Return the mount as the plain data of `engine.actions.rootfs.MountRootfs`."""
    maps = None if mount.idmap is None else tuple(tuple((*row,) for row in rows) for rows in mount.idmap)
    return mount.fstype, mount.source, mount.options, mount.attributes, maps  # type: ignore[return-value]


class Whiteouts(StrEnum):
    """How an unpacked layer says "deleted"."""

    DELETE = "delete"
    """The target already holds the parent's files: delete what the whiteout names."""
    OVERLAY = "overlay"
    """The target holds this layer alone: a character device 0/0, and the xattr ``<xattr_prefix>opaque`` = "y"
    (kernel, filesystems/overlayfs: "whiteouts and opaque directories")."""


class UnpackTarget(NamedTuple):
    """Where a layer of an active snapshot is unpacked: a directory, and how deletions are written there.

    ``implied`` names an extended attribute, or is empty. An archive may have ``a/b`` and no entry for ``a``: whoever
    makes ``a`` then sets that attribute on it, and takes it off when an entry for ``a`` follows. `StorageDriver.commit`
    gives such a directory the owner and mode that the parent's has, instead of covering it with made-up ones.
    """

    directory: Path
    whiteouts: Whiteouts
    xattr_prefix: str = "trusted.overlay."
    implied: str = ""


class ChangeKind(StrEnum):
    """What happened to a path, with `docker diff`'s letters."""

    ADDED = "A"
    CHANGED = "C"
    DELETED = "D"


class Change(NamedTuple):
    """One changed path, absolute in the container."""

    kind: ChangeKind
    path: str


class SnapshotKind(StrEnum):
    """See the module's vocabulary."""

    ACTIVE = "active"
    VIEW = "view"
    COMMITTED = "committed"


class SnapshotInfo(NamedTuple):
    """What a driver holds under one name."""

    name: str
    kind: SnapshotKind
    parent: str | None


class Usage(NamedTuple):
    """What a snapshot itself takes, its parents not counted: bytes on disk, and files."""

    bytes: int
    inodes: int


class StorageConfig(NamedTuple):
    """What the factory hook gets. ``root`` is the driver's own directory (made by the core, mode 0700, root's);
    ``options`` are the user's ``--storage-opt key=value`` and the settings' (an unknown key is `InvalidInput`)."""

    root: Path
    options: Mapping[str, str]


class StorageDriver(ABC):
    """A storage driver over one root directory. See the module's text for vocabulary, lifecycle and invariants."""

    capabilities: frozenset[Capability] = frozenset()

    @abstractmethod
    def probe(self) -> Probe:
        """Say whether the driver works on this kernel and on the file system of its root; leaves nothing behind."""

    @abstractmethod
    def prepare(
        self,
        key: str,
        parent: str | None,
        *,
        lower: Path | None = None,
        size: int | None = None,
        read_only: bool = False,
    ) -> None:
        """Make an active snapshot (a view with ``read_only``) over ``parent``, or empty.

        ``lower``: over a directory of the machine instead (`Capability.HOST_LOWER`); ``size`` in bytes
        (`Capability.QUOTA`). Raises `Conflict` when ``key`` exists, `NotFound` for an unknown or uncommitted parent,
        `Unsupported` for an undeclared capability, `EngineError` with advice on a full disk; then nothing is left.
        """

    @abstractmethod
    def commit(self, key: str, name: str, *, parent: str | None = None) -> None:
        """Make the active snapshot ``key`` the committed ``name``; ``key`` is gone after.

        ``parent`` only with `Capability.PARALLEL_UNPACK`, for a snapshot prepared without one. The files are on disk
        (synced) when this returns. Raises `Conflict` when ``name`` exists and for a view, `NotFound` for an unknown
        key.
        """

    @abstractmethod
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        """Return what to mount, in order, for the root of an active snapshot or view: each on top of the last.

        Touches nothing. A view's mounts are read-only. ``idmap`` needs `Capability.IDMAP`. Raises `NotFound`, also for
        a committed snapshot: that is mounted through a view.
        """

    def plan_mounts(
        self, key: str, parents: Sequence[str], *, lower: Path | None = None, idmap: IdMap | None = None
    ) -> tuple[Mount, ...]:
        """Return what `mounts` will answer for ``key`` once it is prepared over ``parents``, or over ``lower``.

        ``parents`` are the committed snapshots below, nearest first, those that are not unpacked yet among them. Pure:
        touches nothing. Optional, for `engine explain`; a driver without it raises `Unsupported`.
        """
        raise Unsupported(
            "this storage driver does not say what it will mount before the snapshot exists",
            fix="Choose another with --storage to have it explained.",
        )

    @abstractmethod
    def unpack_target(self, key: str) -> UnpackTarget:
        """Return where the core unpacks a layer for the active snapshot ``key``."""

    @abstractmethod
    def changes(self, key: str) -> Iterator[Change]:
        """Yield what an active snapshot changed against its parent, each directory right before what is in it, by name.

        A deleted directory is one change; one that became something else is CHANGED. A view never changes anything.
        A directory whose entries changed is itself CHANGED, as with `docker diff`. Safe beside a running container:
        a racing rename may show or not, but nothing outside the snapshot is ever opened.
        """

    @abstractmethod
    def usage(self, key: str) -> Usage:
        """Return what the snapshot of that key or name takes, parents not counted."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove a snapshot of any kind, and whatever a crash left under its name; does nothing when it is gone.

        Raises `Conflict` when a committed snapshot is the parent of another.
        """

    @abstractmethod
    def snapshots(self) -> Iterator[SnapshotInfo]:
        """Yield everything under the root, half-made things too (as ACTIVE), for `system check`."""
