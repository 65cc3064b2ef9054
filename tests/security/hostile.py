"""Hostile root filesystems: a static busybox, and traps wherever the engine might look."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
from pathlib import Path

APPLETS = (
    "sh",
    "true",
    "cat",
    "ls",
    "id",
    "sleep",
    "pwd",
    "mkfifo",
    "rm",
    "ln",
    "readlink",
    "mv",
    "mount",
    "echo",
    "dd",
)


class Image:
    """A root filesystem's tarball in the making; later entries of a name are kept, as a hostile archive would."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115  # closed by `data`
        self._made: set[str] = set()
        busybox = Path(shutil.which("busybox") or "/bin/busybox")
        self.file("bin/busybox", busybox.read_bytes(), mode=0o755)
        for applet in APPLETS:
            self.link(f"bin/{applet}", "busybox")

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file, and the directories above it."""
        self._parents(path)
        info = tarfile.TarInfo(path)
        info.size, info.mode = len(content), mode
        self._tar.addfile(info, io.BytesIO(content))

    def link(self, path: str, target: str | Path) -> None:
        """Add a symbolic link."""
        self._parents(path)
        info = tarfile.TarInfo(path)
        info.type, info.linkname = tarfile.SYMTYPE, str(target)
        self._tar.addfile(info)

    def fifo(self, path: str) -> None:
        """Add a named pipe: whoever opens it without care waits for ever."""
        self._parents(path)
        info = tarfile.TarInfo(path)
        info.type = tarfile.FIFOTYPE
        self._tar.addfile(info)

    def data(self) -> bytes:
        """Return the archive."""
        self._tar.close()
        return self._buffer.getvalue()

    def _parents(self, path: str) -> None:
        above = [str(parent) for parent in Path(path).parents if str(parent) != "."]
        for parent in reversed(above):
            if parent not in self._made:
                self._made.add(parent)
                info = tarfile.TarInfo(parent)
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                self._tar.addfile(info)


MODULES = (
    "os.py", "io.py", "re.py", "json/__init__.py", "encodings/__init__.py", "encodings/utf_8.py", "traceback.py",
    "linecache.py", "sitecustomize.py", "usercustomize.py", "pwd.py", "grp.py", "locale.py", "struct.py", "socket.py",
    "engine/__init__.py", "engine/errors.py", "engine/linux/syscalls.py", "engine/shim/main.py",
    "engine_runtime_native/stage/child.py", "engine_runtime_native/stage/__init__.py", "_posixsubprocess.py",
)  # fmt: skip
"""What a careless import after the clone would take from the image."""
LIBRARIES = (
    "lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libseccomp.so.2", "lib/x86_64-linux-gnu/libnss_files.so.2",
    "lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/libgcc_s.so.1", "etc/ld.so.preload", "etc/ld.so.cache",
)  # fmt: skip


def booby_trapped(canary: Path) -> bytes:
    """Return an image with Python modules and libraries at every place that the host's interpreter looks at.

    A module that runs writes to ``/PWNED`` (it ran inside) and to ``canary`` (it ran outside).
    """
    payload = f"for path in ('/PWNED', {str(canary / 'PWNED')!r}):\n    open(path, 'w').close()\n".encode()
    image = Image()
    for place in interpreter_places():
        for module in MODULES:
            image.file(f"{place.lstrip('/')}/{module}", payload)
    for library in LIBRARIES:
        image.file(library, b"\x7fELF not at all")
    image.file("etc/passwd", b"root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n")
    image.file("etc/nsswitch.conf", b"passwd: pwned\n")
    return image.data()


def interpreter_places() -> list[str]:
    """Return every directory from which the host's interpreter imports, and the root and the working directory."""
    source = Path(__file__).parents[2]
    places = {path for path in sys.path if os.path.isabs(path) and not path.endswith(".zip")}
    places |= {str(source / "core/src"), *(str(path) for path in source.glob("plugins/*/src")), "/", "/root"}
    return sorted(places)
