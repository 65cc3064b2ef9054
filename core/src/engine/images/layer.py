"""The entries of one layer, written into a tree: what becomes of each kind of file, owner, mode, time and attribute.

Called by the command's process, as root, for an active snapshot that nobody else uses. What is written is decided here;
`engine.images.tree` sees to it that it is written inside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from engine.images.attributes import carried
from engine.images.tree import Directory, LayerFault, Tree, joined, normal, shown
from engine.images.whiteouts import OPAQUE, Deletions, hidden_name, is_aufs
from engine.spec.tar import TarReader
from engine.spec.tarheader import BLOCKDEV, CHAR, DIRECTORY, FIFO, LINK, REGULAR, SYMLINK, TarEntry

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o7777
_MAX_ID = 2**32 - 2
"""The largest id: -1 means "leave it" to chown(2)."""
_MAX_TIME = 2**62
_DEVICES = {CHAR: stat.S_IFCHR, BLOCKDEV: stat.S_IFBLK, FIFO: stat.S_IFIFO}


class LayerWriter:
    """Writes the entries of one layer into a tree; `finish` sets the directories' times."""

    def __init__(self, tree: Tree, deletions: Deletions) -> None:
        self._tree = tree
        self._deletions = deletions
        self._times: dict[bytes, int] = {}
        self.entries = 0
        self.skipped_xattrs: set[str] = set()

    def write(self, entry: TarEntry, reader: TarReader) -> None:
        """Write one entry, its data from the reader. Raises `LayerFault`, and `OSError` as the kernel does."""
        self.entries += 1
        path = normal(entry.name)
        _check(entry)
        if is_aufs(path):
            return
        above, _, name = path.rpartition(b"/")
        if not name:
            self._root(entry)
            return
        parent = self._tree.directory(above)
        if name == OPAQUE:
            self._deletions.hide_all(parent)
        elif (hidden := hidden_name(name)) is not None:
            self._deletions.hide(parent, hidden)
        elif entry.kind == REGULAR:
            self._file(entry, parent, name, reader)
        elif entry.kind == DIRECTORY:
            self._directory(entry, parent, name)
        elif entry.kind == LINK:
            self._link(entry, above, name)
        else:
            self._other(entry, parent, name)

    def finish(self) -> None:
        """Set the times of the directories, now that nothing is written into them any more."""
        for path, mtime in sorted(self._times.items()):
            above, _, name = path.rpartition(b"/")
            try:
                parent = self._tree.directory(above, create=False)
                os.utime(name or b".", ns=(mtime, mtime), dir_fd=parent.fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry replaced the directory, or one above it

    def _file(self, entry: TarEntry, parent: Directory, name: bytes, reader: TarReader) -> None:
        try:
            fd = os.open(name, _CREATE, 0o600, dir_fd=parent.fd)
        except FileExistsError:
            self._make_room(parent, name)
            fd = os.open(name, _CREATE, 0o600, dir_fd=parent.fd)
        self._tree.mark(joined(parent.path, name))
        try:
            if entry.regions is None:
                _write_data(fd, reader.data())
            else:
                _write_sparse(fd, entry, reader.data())
            # The owner first: chown(2) takes setuid and setgid bits and file capabilities away.
            os.fchown(fd, entry.uid, entry.gid)
            os.fchmod(fd, entry.mode & _MODE)
            if entry.xattrs:
                self._set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _directory(self, entry: TarEntry, parent: Directory, name: bytes) -> None:
        try:
            directory = self._tree.new_directory(parent, name)
        except FileExistsError:
            found = self._tree.existing(parent, name)
            directory = found or self._replace_by_directory(parent, name)
            if found:
                self._tree.has_entry(found)
                self._clear_xattrs(directory.fd)
        self._tree.mark(directory.path)
        self._attributes(entry, directory)

    def _replace_by_directory(self, parent: Directory, name: bytes) -> Directory:
        made = self._tree.is_made(joined(parent.path, name))
        self._make_room(parent, name)
        directory = self._tree.new_directory(parent, name)
        if made:
            self._deletions.replaced(directory)
        return directory

    def _root(self, entry: TarEntry) -> None:
        if entry.kind != DIRECTORY:
            raise LayerFault(f"has an entry {shown(entry.name)} that is no directory in the place of its root")
        root = self._tree.directory(b"")
        self._clear_xattrs(root.fd)
        self._attributes(entry, root)

    def _attributes(self, entry: TarEntry, directory: Directory) -> None:
        os.fchown(directory.fd, entry.uid, entry.gid)
        os.fchmod(directory.fd, entry.mode & _MODE)
        if entry.xattrs:
            self._set_xattrs(directory.fd, entry)
        self._times[directory.path] = entry.mtime

    def _link(self, entry: TarEntry, above: bytes, name: bytes) -> None:
        """Make a hard link. The target is found first and held: opening the link's own directory may close it."""
        source_above, _, source = normal(entry.link).rpartition(b"/")
        try:
            source_fd = os.dup(self._tree.directory(source_above, create=False).fd)
        except (FileNotFoundError, NotADirectoryError):
            raise _no_target(entry) from None
        try:
            parent = self._tree.directory(above)
            if self._is_same(source_fd, source, parent, name, entry):
                return
            self._make_room(parent, name)
            os.link(source, name, src_dir_fd=source_fd, dst_dir_fd=parent.fd, follow_symlinks=False)
        except FileNotFoundError:
            raise _no_target(entry) from None
        finally:
            os.close(source_fd)
        self._tree.mark(joined(parent.path, name))

    def _is_same(self, source_fd: int, source: bytes, parent: Directory, name: bytes, entry: TarEntry) -> bool:
        """Return whether the link is there already (some archives link a file to itself); refuse what has no links."""
        status = os.stat(source or b".", dir_fd=source_fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) or self._tree.is_whiteout(status.st_mode, status.st_rdev):
            raise _no_target(entry)
        try:
            present = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (present.st_dev, present.st_ino) == (status.st_dev, status.st_ino)

    def _other(self, entry: TarEntry, parent: Directory, name: bytes) -> None:
        """Make a symbolic link, a device or a fifo. Nobody else is in the tree, so the name is what was just made."""
        if entry.kind == CHAR and entry.major == entry.minor == 0:
            self._deletions.hide(parent, name)  # overlayfs would read it so; then it means the same to every driver
            return
        self._make_room(parent, name)
        if entry.kind == SYMLINK:
            os.symlink(entry.link, name, dir_fd=parent.fd)
        else:
            os.mknod(name, _DEVICES[entry.kind] | 0o600, os.makedev(entry.major, entry.minor), dir_fd=parent.fd)
        self._tree.mark(joined(parent.path, name))
        os.chown(name, entry.uid, entry.gid, dir_fd=parent.fd, follow_symlinks=False)
        if entry.kind != SYMLINK:
            os.chmod(name, entry.mode & _MODE, dir_fd=parent.fd)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent.fd, follow_symlinks=False)

    def _make_room(self, parent: Directory, name: bytes) -> None:
        self._tree.remove(parent, name)
        self._times.pop(joined(parent.path, name), None)

    def _set_xattrs(self, fd: int, entry: TarEntry) -> None:
        for key, value in entry.xattrs:
            if not carried(key) or b"\0" in key:
                self.skipped_xattrs.add(key.decode("utf-8", "backslashreplace"))
                continue
            try:
                os.setxattr(fd, key, value)
            except OSError as error:
                if error.errno != errno.ENOTSUP or not key.startswith(b"user."):
                    raise
                self.skipped_xattrs.add(key.decode("utf-8", "backslashreplace"))

    @staticmethod
    def _clear_xattrs(fd: int) -> None:
        """Remove what an earlier entry or the parent layer gave to a directory: the entry's own replace it."""
        for name in os.listxattr(fd):
            if carried(os.fsencode(name)):
                os.removexattr(fd, name)


def _write_data(fd: int, pieces: Iterator[memoryview]) -> None:
    for piece in pieces:
        written = os.write(fd, piece)
        while written < len(piece):
            written += os.write(fd, piece[written:])


def _write_sparse(fd: int, entry: TarEntry, pieces: Iterator[memoryview]) -> None:
    piece = memoryview(b"")
    for offset, length in entry.regions or ():
        done = 0
        while done < length:
            piece = piece or next(pieces)
            written = os.pwrite(fd, piece[: length - done], offset + done)
            piece = piece[written:]
            done += written
    os.ftruncate(fd, entry.size)


def _check(entry: TarEntry) -> None:
    """Refuse numbers that no file can have; times out of every file system's range are cut by the kernel itself."""
    if not (0 <= entry.uid <= _MAX_ID and 0 <= entry.gid <= _MAX_ID):
        raise LayerFault(f"has {shown(entry.name)} with an owner that cannot exist")
    if not (0 <= entry.major < 2**12 and 0 <= entry.minor < 2**20):
        raise LayerFault(f"has the device {shown(entry.name)} with a number that cannot exist")
    if b"\0" in entry.name or abs(entry.mtime) > _MAX_TIME:
        raise LayerFault(f"has {shown(entry.name)} with a name or time that cannot exist")


def _no_target(entry: TarEntry) -> LayerFault:
    return LayerFault(f"has the hard link {shown(entry.name)} to {shown(entry.link)}, which is no file of this layer")
