"""Device nodes, and which ones every container has (OCI runtime spec, "Default Devices")."""

from __future__ import annotations

import os
import stat

from engine.tuples import NamedTuple


class Node(NamedTuple):
    """A device below /dev: ``mode`` holds its kind (S_IFCHR or S_IFBLK) and its permissions."""

    name: str
    mode: int
    major: int
    minor: int


_EVERYBODY = stat.S_IFCHR | 0o666

DEFAULT_NODES: tuple[Node, ...] = (
    Node("null", _EVERYBODY, 1, 3),
    Node("zero", _EVERYBODY, 1, 5),
    Node("full", _EVERYBODY, 1, 7),
    Node("random", _EVERYBODY, 1, 8),
    Node("urandom", _EVERYBODY, 1, 9),
    Node("tty", _EVERYBODY, 5, 0),
)
"""The nodes that are made; /dev/console is bound and /dev/ptmx linked, where there is a terminal or a devpts."""

DEFAULT_LINKS: dict[str, str] = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
"""Links below /dev and what they point to."""


def make_node(dirfd: int, name: str, mode: int, major: int, minor: int) -> None:
    """Make a device node in the directory, its mode whatever the umask is; needs CAP_MKNOD in the first user namespace.

    ``name`` is one component (ValueError): no path is resolved. The caller has a single thread, since the umask is
    everybody's. Raises OSError (EPERM in a user namespace: bind a node of the host instead).
    """
    if "/" in name:
        raise ValueError(f"a device node's name cannot be a path: {name!r}")
    # Not chmod afterwards: it would follow a link that was put in the node's place.
    before = os.umask(0)
    try:
        os.mknod(name, mode, os.makedev(major, minor), dir_fd=dirfd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None
    finally:
        os.umask(before)
