"""Does overlay work here? Tried, not guessed: a real mount, attached nowhere, gone when its descriptor is closed."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

from engine.contracts.common import Probe
from engine.contracts.snapshots import SnapshotStore
from engine.linux import mountinfo, mounts, namespaces, processes
from engine.linux.overlay import new_overlay
from engine.linux.syscalls import explain, kernel_release
from engine_storage_overlay.options import OverlayOptions

_PREFERENCE = 80
MOUNTS_DETACHED = (6, 7)
"""The kernel from which on `engine.linux.overlay.new_overlay` makes a mount that is attached nowhere."""
_WHY = {
    errno.ENODEV: "this kernel has no overlay file system: load its module (modprobe overlay)",
    errno.EPERM: "mounting is not allowed: run as root, or as root of a user namespace with --storage-opt userxattr",
}


def probe(store: SnapshotStore, options: OverlayOptions) -> Probe:
    """Try in a directory below the root that is removed again. What the kernel refuses is put in words."""
    try:
        with store.scratch(f"probe-{os.getpid()}") as place:
            if kernel_release() >= MOUNTS_DETACHED:
                try_overlay(place, options)
            else:
                try_apart(place, options)
    except OSError as error:
        return Probe(False, _reason(error, store.root))
    return Probe(True, f"overlay mounts work on {store.root}", _PREFERENCE)


def try_apart(place: Path, options: OverlayOptions) -> None:
    """Do `try_overlay` in a child with a mount namespace of its own: for kernels that attach a mount as they make it.

    So nothing stays mounted on the machine, whatever kills this process; the child ends with it.
    """
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    parent, child = os.getpid(), os.fork()
    if child == 0:
        answer = "0\nthe probe died"
        try:
            processes.set_parent_death_signal(signal.SIGKILL)
            if os.getppid() != parent:  # killed before it was asked to tell
                os._exit(1)
            namespaces.unshare(namespaces.CLONE_NEWNS)
            mounts.make_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
            try_overlay(place, options)
            answer = ""
        except OSError as error:
            answer = f"{error.errno}\n{error.strerror}"
        finally:
            os.write(write_fd, answer.encode())
            os._exit(0)
    os.close(write_fd)
    with open(read_fd, encoding="utf-8") as file:
        answer = file.read()
    os.waitpid(child, 0)
    if answer:
        number, _, reason = answer.partition("\n")
        raise OSError(int(number), reason)


def try_overlay(place: Path, options: OverlayOptions) -> None:
    """Mount an overlay and do what containers do: copy a file up, delete one, replace a directory."""
    for directory in ("lower/directory", "fs", "work"):
        (place / directory).mkdir(parents=True)
    (place / "lower/file").write_text("below")
    flags = {"userxattr": None} if options.userxattr else {}
    settings = {"index": "off", "redirect_dir": "on" if options.follow else "nofollow", **flags}
    mount = new_overlay([f"{place}/lower"], f"{place}/fs", f"{place}/work", settings)
    try:
        os.rmdir("directory", dir_fd=mount)
        os.mkdir("directory", dir_fd=mount)
        os.unlink("file", dir_fd=mount)
        upper = os.listdir(place / "fs")
        if sorted(upper) != ["directory", "file"]:
            raise OSError(errno.EOPNOTSUPP, "deletions leave no trace in the upper layer")
        prefix = "user" if options.userxattr else "trusted"
        os.getxattr(place / "fs/directory", f"{prefix}.overlay.opaque")
    finally:
        os.close(mount)


def _reason(error: OSError, root: Path) -> str:
    entry = mountinfo.find(os.path.realpath(root), mountinfo.read())
    if entry is not None and entry.fstype == "overlay":
        return f"{root} lies on an overlay, which cannot hold another one's upper layer: put --root on a disk or tmpfs"
    if entry is not None and "ro" in (*entry.options, *entry.super_options):
        return f"{root} lies on a read-only file system: put --root elsewhere"
    if error.errno == errno.ENODATA:
        return f"the file system of {root} ({entry.fstype if entry else 'unknown'}) keeps no extended attributes"
    number = error.errno or 0
    return _WHY.get(number) or f"overlay cannot be mounted on {root}: {explain(number, 'mount')} ({error.strerror})"
