"""Take a mount of another container: its /dev/shm, for one that joins its ipc namespace.

The other container may be hostile and its files are its own, so nothing of it is followed as a string: a child of the
shim enters its mount namespace, resolves the path there without a single symbolic link, and passes a detached copy of
the mount back. The copy is the shim's; it is attached by `engine.actions.mounts.AttachMount` and ends with its users.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from engine.actions.base import Slots, action
from engine.linux import mounts, namespaces, paths
from engine.tuples import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket

_RESOLVE = paths.RESOLVE_IN_ROOT | paths.RESOLVE_NO_MAGICLINKS | paths.RESOLVE_NO_SYMLINKS
_ATTRIBUTES = mounts.MOUNT_ATTR_NOSUID | mounts.MOUNT_ATTR_NODEV | mounts.MOUNT_ATTR_NOEXEC


@action("mount")
class TakeMount(NamedTuple):
    """Copy the mount at ``path`` in the mount namespace of a process into ``slot``. PARENT_BEFORE, in the shim.

    ``pid``, ``start_time`` and ``boot_id`` are the process's `engine.linux.processes.Identity`.
    """

    pid: int
    start_time: int
    boot_id: str
    path: str
    slot: str

    def describe(self) -> str:
        """Return the sentence."""
        return f"share {self.path} with the container of process {self.pid}"

    def run(self, slots: Slots) -> None:
        """Copy it. Raises ``OSError``: ESRCH when the process has ended, ELOOP when the path holds a link."""
        from engine.linux import processes  # the shim has it; the command, which only describes, has no need of it

        namespace = namespaces.open_namespace(self.pid, "mount")
        try:
            if not processes.alive(processes.Identity(self.pid, self.start_time, self.boot_id)):
                raise OSError(errno.ESRCH, os.strerror(errno.ESRCH), str(self.pid))
            tree = _copied(namespace, self.path)
        finally:
            os.close(namespace)
        try:
            mounts.mount_setattr(tree, "", _ATTRIBUTES)
        except OSError:
            os.close(tree)
            raise
        slots[self.slot] = tree


def _copied(namespace: int, path: str) -> int:
    import socket  # as above

    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = os.fork()
        if not child:
            _copy_and_exit(namespace, path, theirs, socket.send_fds)
        theirs.close()
        _data, descriptors, _flags, _address = socket.recv_fds(ours, 1, 1)
    _pid, status = os.waitpid(child, 0)
    if not descriptors:
        number = os.waitstatus_to_exitcode(status)
        raise OSError(number, os.strerror(number), path)
    os.set_inheritable(descriptors[0], False)
    return descriptors[0]


def _copy_and_exit(
    namespace: int, path: str, channel: socket.socket, send_fds: Callable[[socket.socket, list[bytes], list[int]], int]
) -> None:
    """Run in the child, in the other's mount namespace: nothing is imported there. Exits with 0 or the errno."""
    try:
        namespaces.setns(namespace, namespaces.CLONE_NEWNS)
        root = os.open("/", os.O_PATH | os.O_DIRECTORY)
        place = paths.openat2(root, path.lstrip("/"), os.O_PATH, resolve=_RESOLVE)
        send_fds(channel, [b"."], [mounts.open_tree(place)])
        os._exit(0)
    except OSError as error:
        os._exit(error.errno or errno.EIO)
    finally:
        os._exit(errno.EIO)
