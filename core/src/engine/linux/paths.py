"""Paths that an image or a container controls, resolved so that neither can lead the engine outside of its root.

Such a path is never used as a string: it is opened below a descriptor of the root with openat2(2), which treats that
directory as ``/`` for absolute links and ``..`` alike and refuses the magic links of /proc (Linux 5.6).

What is found there may be hostile in itself: opening a fifo blocks until a writer comes, opening a device may do
something. So: ``O_PATH`` to look or to mount upon, which opens nothing; otherwise ``O_NONBLOCK`` is always added, and
contents are read with :func:`read_regular`, which looks before it opens.
Callers need no privilege but the search and write permissions that the file modes ask for.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from engine.linux.syscalls import check, encode, system_call

RESOLVE_NO_XDEV = 0x1
RESOLVE_NO_MAGICLINKS = 0x2
RESOLVE_NO_SYMLINKS = 0x4
RESOLVE_BENEATH = 0x8
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20

_IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
_ATTEMPTS = 64
"""The kernel gives up with EAGAIN when something is renamed while it resolves ``..``; a hostile process may keep on."""
_MAX_LINKS = 40
_HERE = frozenset({"", "."})
"""Components of a path that stay where they are."""

_openat2 = system_call("openat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)


def openat2(dirfd: int, path: str, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """Open ``path`` below ``dirfd``, close-on-exec, restricted by RESOLVE_*; EAGAIN is retried a few times."""
    # struct open_how: flags, mode, resolve, 64 bits each; a mode is an error unless a file may be created.
    creates = flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE
    fields = (flags | os.O_CLOEXEC, mode if creates else 0, resolve)
    how = b"".join(field.to_bytes(8, "little") for field in fields)
    encoded = encode(path)
    fd = -1
    for _ in range(_ATTEMPTS):
        fd = _openat2(dirfd, encoded, how, len(how))
        if fd >= 0 or ctypes.get_errno() != errno.EAGAIN:
            break
    return check(fd, path)


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open ``path`` as if ``root_fd`` were ``/``: nothing on the way leads out, and a fifo does not block."""
    if not flags & os.O_PATH:
        flags |= os.O_NONBLOCK | os.O_NOCTTY
    return openat2(root_fd, path or ".", flags, mode, _IN_ROOT)


def fd_path(fd: int) -> str:
    """Return the path by which this process, and only it, reaches what ``fd`` refers to (needs /proc)."""
    return f"/proc/self/fd/{fd}"


def read_regular(root_fd: int, path: str, limit: int) -> bytes:
    """Return the contents of a regular file below the root.

    Raises OSError: EISDIR for a directory, EINVAL for any other kind of file (which is not opened), EFBIG when it holds
    more than ``limit`` bytes.
    """
    handle = open_in_root(root_fd, path, os.O_PATH)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        fd = os.open(fd_path(handle), os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(handle)
    with open(fd, "rb", buffering=0) as file:
        return _read_all(file.fileno(), path, limit)


def _read_all(fd: int, path: str, limit: int) -> bytes:
    content = bytearray()
    while chunk := os.read(fd, limit + 1 - len(content)):
        content += chunk
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", path)
    return bytes(content)


def make_directories(root_fd: int, path: str, mode: int = 0o755) -> int:
    """Make ``path`` and its parents below the root where they are missing; return the directory's O_PATH descriptor.

    Links in the image are followed inside the root, also one whose target is missing, which is then made. ``mode`` is
    subject to the umask. ENOTDIR where a file is in the way.
    """
    try:
        return open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return _Walk(root_fd, path).make(mode, None)


def make_file(root_fd: int, path: str, mode: int = 0o644) -> int:
    """Make ``path`` an empty file, parents included, where nothing is there; return an O_PATH descriptor of it.

    For mounting upon: what is there already, of whatever kind, is returned untouched. EISDIR for a directory.
    """
    try:
        fd = open_in_root(root_fd, path, os.O_PATH)
    except FileNotFoundError:
        fd = _Walk(root_fd, path).make(0o755, mode)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return fd


class _Walk:
    """Resolves a path below a root one component at a time, so that what is missing can be made on the way.

    Each step is from the descriptor of a directory to an entry of it, and links are read and resolved here; ``..`` goes
    back to the descriptor that the walk came from. So whatever is renamed meanwhile, no step leaves the root.
    """

    def __init__(self, root_fd: int, path: str) -> None:
        self.path = path
        self.directories = [os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)]
        self.pending = path.split("/")[::-1]
        self.links = 0

    def make(self, mode: int, file_mode: int | None) -> int:
        """Make directories of ``mode``, and a file at the end if ``file_mode`` is given; return the last one opened."""
        try:
            while self.pending:
                name = self.pending.pop()
                if name == "..":
                    self._up()
                elif name not in _HERE:
                    is_file = file_mode is not None and _HERE.issuperset(self.pending)
                    fd = self._enter(name, mode, file_mode if is_file else None)
                    if fd is not None:
                        return fd
            return self.directories.pop()
        finally:
            for fd in self.directories:
                os.close(fd)

    def _up(self) -> None:
        if len(self.directories) > 1:
            os.close(self.directories.pop())

    def _enter(self, name: str, mode: int, file_mode: int | None) -> int | None:
        """Go to ``name`` in the present directory, making it if missing; return its descriptor if it ends the walk."""
        here = self.directories[-1]
        try:
            fd = openat2(here, name, os.O_PATH | os.O_NOFOLLOW, 0, RESOLVE_BENEATH)
        except FileNotFoundError:
            self._create(here, name, mode, file_mode)
            fd = openat2(here, name, os.O_PATH | os.O_NOFOLLOW, 0, RESOLVE_BENEATH)
        kind = stat.S_IFMT(os.fstat(fd).st_mode)
        if kind == stat.S_IFLNK:
            try:
                self._follow(os.readlink("", dir_fd=fd))
            finally:
                os.close(fd)
            return None
        if file_mode is not None:
            return fd
        if kind != stat.S_IFDIR:
            os.close(fd)
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self.path)
        self.directories.append(fd)
        return None

    @staticmethod
    def _create(here: int, name: str, mode: int, file_mode: int | None) -> None:
        try:
            if file_mode is None:
                os.mkdir(name, mode, dir_fd=here)
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(name, flags, file_mode, dir_fd=here))
        except FileExistsError:
            # Somebody else made it since: whatever it is now, the caller opens it as it would have in the first place.
            return

    def _follow(self, target: str) -> None:
        self.links += 1
        if self.links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self.path)
        if target.startswith("/"):
            while len(self.directories) > 1:
                os.close(self.directories.pop())
        self.pending += target.split("/")[::-1]
