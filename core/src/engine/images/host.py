"""The image ``host:``: the machine's own root filesystem, as the read-only lower of a container.

Nothing is copied and nothing is downloaded. What lies below other mounts (/proc, /home on a disk of its own, …) is not
part of it: a container sees the empty mount points. When the host changes a file meanwhile, a container that has not
changed that file itself may see the old or the new one; the kernel calls it undefined, and never more than that
(kernel, filesystems/overlayfs: "Changes to underlying filesystems").
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import Unsupported
from engine.linux import mountinfo
from engine.linux.mountinfo import MountEntry
from engine.spec.image import RunConfig

NAME = "host:"
CONFIG = RunConfig(
    env=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",), cmd=("/bin/sh",), working_dir="/"
)
_STACKED = frozenset({"overlay", "fuse.fuse-overlayfs"})


def check(entries: Sequence[MountEntry] | None = None) -> None:
    """Raise `Unsupported`, with the reason, where ``/`` cannot be the lower of an overlay.

    ``entries`` are the caller's mounts; None reads them.
    """
    known = mountinfo.read() if entries is None else entries
    root = mountinfo.at("/", known)
    if root is not None and root.fstype in _STACKED:
        raise Unsupported(
            f"the machine's root filesystem is itself an {root.fstype}, and those do not stack any further",
            fix="Use an image instead: `engine import` makes one of any root filesystem archive.",
        )
    if mountinfo.at("/usr", known) is not None:
        raise Unsupported(
            "the machine's /usr is a mount of its own, so its root filesystem alone cannot run anything",
            fix="Use an image instead: `engine import` makes one of any root filesystem archive.",
        )
