"""`engine cp`: files between a container and the machine, with Docker's rules (docker-container-cp(1)).

Both sides are worked on below a descriptor of their root, ``/`` here and the container's there; every path is resolved
by the kernel inside it (openat2(2) with RESOLVE_IN_ROOT), and what was found is held. So a container whose links change
meanwhile is read from, and written to, inside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from engine.containers import rootfs, status
from engine.containers.engine import Engine
from engine.containers.hidden import Hidden, leads, what_hides
from engine.contracts.common import IdMap
from engine.errors import Conflict, EngineError, InvalidInput, NotFound
from engine.images.files import FileReader, Found
from engine.images.placing import Owner, Placer
from engine.linux import mounts
from engine.linux.fsids import FileSystemIds
from engine.linux.idmapped import root_of
from engine.linux.paths import fd_path, open_in_root
from engine.metadata import containers
from engine.spec.tar import TarReader
from engine.spec.tarheader import TarError
from engine.spec.tarwriter import END
from engine.tuples import NamedTuple

_MAX_LINKS = 40
_ADVICE = {
    errno.EROFS: "It is mounted read-only there: choose another place.",
    errno.ENOSPC: "Free some space there.",
    errno.EDQUOT: "Free some space there.",
    errno.EBUSY: "Something is mounted on it: choose another place.",
    errno.ENOTDIR: "A file stands where the path has a directory.",
    errno.ELOOP: "The path has too many links, or one that leads nowhere.",
}


class Side(NamedTuple):
    """One side: the root's descriptor, the path below it, the container's name ("" for the machine itself).

    ``hidden`` is what a container that does not run would hide; ``ids`` is the identity map of a running one that has
    one.
    """

    root_fd: int
    path: str
    container: str
    hidden: Hidden = Hidden()
    ids: IdMap | None = None

    def __str__(self) -> str:
        return f"{self.container}:{self.path}" if self.container else self.path


@contextmanager
def container_side(engine: Engine, wanted: str, path: str) -> Iterator[Side]:
    """Give a container's side; of one that does not run, what would be hidden by its mounts is refused, and a root
    filesystem that is read-only while it runs is so now.

    Raises `NotFound`, and `Conflict` as `engine.containers.rootfs.inhabited` does.
    """
    record = containers.find(engine.store.connection, wanted)
    with rootfs.inhabited(engine, record) as root:
        side = Side(root.fd, path, record.name, ids=root.ids)
        if not status.of(engine.layout, record).has_task:
            side = side._replace(hidden=what_hides(engine, record, root.fd))
            side.hidden.refuse(leads(root.fd, path), path)
            if record.options.get("read_only"):
                mounts.mount_setattr(root.fd, "", mounts.MOUNT_ATTR_RDONLY)
        yield side


@contextmanager
def local_side(path: str) -> Iterator[Side]:
    """Give the machine's own side. The path is not tidied: ``link/..`` is what the kernel says it is."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Side(root, path if path.startswith("/") else f"{os.getcwd()}/{path}", "")
    finally:
        os.close(root)


def copy(source: Side, target: Side, *, follow: bool, archive: bool) -> list[str]:
    """Copy a file or a directory with all in it; return what was left out (devices, on the way to the machine).

    ``follow``: of a link that the source's path ends in, what it leads to; else the link itself. ``archive`` keeps
    owners; without it files are root's in a container, and here whoever's the command is. Raises `NotFound`,
    `Conflict`, also for what a mount would hide (then nothing is copied), `EngineError` for what the kernel refuses.
    """
    owner = None if archive else Owner(0, 0) if target.container else Owner(os.geteuid(), os.getegid())
    with _explained(source):
        handle = _open_source(source, follow=follow)
    try:
        is_directory = stat.S_ISDIR(os.fstat(handle).st_mode)
        with _explained(target), _acting_in(target):
            directory, name = _destination(source, target, is_directory=is_directory)
            try:
                placer = Placer(directory, owner=owner, plain=not target.container, ids=target.ids)
                _place(
                    placer, directory, target.hidden, lambda: _files(source, handle, name, is_directory=is_directory)
                )
            finally:
                os.close(directory)
    finally:
        os.close(handle)
    return placer.skipped


def read_archive(source: Side, *, follow: bool) -> Iterator[bytes]:
    """Yield a file, or a directory with all in it, as a tar archive under its own name. Errors as `copy`."""
    with _explained(source):
        handle = _open_source(source, follow=follow)
        try:
            is_directory = stat.S_ISDIR(os.fstat(handle).st_mode)
            for found in _files(source, handle, _own_name(source) or ".", is_directory=is_directory):
                yield from found.archived()
        finally:
            os.close(handle)
    yield END


def write_archive(read: Callable[[int], bytes], target: Side) -> None:
    """Unpack a tar archive into a directory, with the owners that it says.

    Raises `NotFound` when there is no such directory, `InvalidInput` for what is no archive; else as `copy`, but that
    the entries before one that is refused are there.
    """
    with _explained(target), _acting_in(target):
        directory = open_in_root(target.root_fd, target.path, os.O_PATH | os.O_DIRECTORY)
        try:
            placer, reader = Placer(directory, owner=None, plain=False, ids=target.ids), TarReader(read)
            base = os.readlink(fd_path(directory))
            for entry in reader:
                target.hidden.refuse_entry(base, entry)
                placer.place(entry, reader.data())
            placer.finish()
        except TarError as error:
            raise InvalidInput(f"the input {error}", fix="Give an uncompressed tar archive: tar -c . | ...") from None
        finally:
            os.close(directory)


def _open_source(source: Side, *, follow: bool) -> int:
    nofollow = 0 if follow else os.O_NOFOLLOW
    return open_in_root(source.root_fd, source.path, os.O_PATH | nofollow)


def _acting_in(side: Side) -> AbstractContextManager[None]:
    """Act on files as the container's root: where ids are mapped the host's root may make none."""
    return nullcontext() if side.ids is None else FileSystemIds(*root_of(side.ids))


def _files(source: Side, handle: int, name: str, *, is_directory: bool) -> Iterator[Found]:
    """Yield what is to be copied, the first of it called ``name``; nothing of it is, when that is ""."""
    reader = FileReader(handle, name, ids=source.ids)
    return reader.all("") if is_directory else reader.held(handle)


def _destination(source: Side, target: Side, *, is_directory: bool) -> tuple[int, str]:
    """Return the directory to place into, and the name that the source gets there ("": only what is in it)."""
    try:
        fd = open_in_root(target.root_fd, target.path, os.O_PATH)
    except FileNotFoundError:
        if target.path.endswith("/") and not is_directory:
            raise NotFound(
                f"there is no directory {target}", fix="Make it first, or leave out the last slash."
            ) from None
        return _new(target)
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        return fd, "" if is_directory and source.path.endswith("/.") else _own_name(source)
    os.close(fd)
    if not stat.S_ISREG(mode):
        raise Conflict(
            f"{target} is neither a file nor a directory, and is not replaced", fix="Name a file, or a directory."
        )
    if is_directory:
        raise Conflict(f"{source} is a directory and {target} is a file", fix="Name a directory to copy into.")
    return _new(target)


def _new(target: Side) -> tuple[int, str]:
    """Return the directory and the name of a file to be made or replaced; links that end the path are gone along."""
    path = target.path.rstrip("/")
    for _ in range(_MAX_LINKS):
        above, _, name = path.rpartition("/")
        parent = open_in_root(target.root_fd, above or "/", os.O_PATH | os.O_DIRECTORY)
        try:
            link = os.readlink(name, dir_fd=parent)
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOENT} and name not in {"", ".", ".."}:
                return _shown(target, parent, name), name
            os.close(parent)
            raise
        os.close(parent)
        path = link if link.startswith("/") else f"{above}/{link}"
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), target.path)


def _own_name(side: Side) -> str:
    """Return the last name of a path; of one that ends in ``.`` or ``..``, what the kernel calls it; "" for a root."""
    path = side.path.rstrip("/")
    name = path.rpartition("/")[2]
    if name not in {".", ".."}:
        return name
    fd = open_in_root(side.root_fd, path, os.O_PATH)
    try:
        return os.readlink(fd_path(fd)).rpartition("/")[2]
    finally:
        os.close(fd)


def _shown(target: Side, parent: int, name: str) -> int:
    """Return the directory of a file to be made, if that is not to be hidden by a mount; else close it and raise."""
    try:
        target.hidden.refuse(f"{os.readlink(fd_path(parent)).rstrip('/')}/{name}", target.path)
    except Conflict:
        os.close(parent)
        raise
    return parent


def _place(placer: Placer, directory: int, hidden: Hidden, files: Callable[[], Iterator[Found]]) -> None:
    """Place files into a directory; where something is to be hidden in it, all are looked at before any is written."""
    base = os.readlink(fd_path(directory))
    for found in files() if hidden.below(base) else ():
        hidden.refuse_entry(base, found.entry)
    for found in files():
        hidden.refuse_entry(base, found.entry)
        placer.place(found.entry, found.data())
    placer.finish()


@contextmanager
def _explained(side: Side) -> Iterator[None]:
    """Say of what the kernel refuses on which side it was, and what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no file or directory {side}", fix="Look at the path, and at what is above it."
        ) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise EngineError(
            f"{side}: {error.strerror}", fix=_ADVICE.get(error.errno or 0, "Look at the file there, or run as root.")
        ) from error
