"""Taking the container's root as the root of the mount namespace, by descriptors."""

from __future__ import annotations

import os

from engine.actions.base import Slots
from engine.linux import identity, mounts


def forget_groups() -> None:
    """Give up the host's groups, before a user namespace is joined that may deny setgroups(2)."""
    if os.getgroups():
        os.setgroups(())


def become_root() -> None:
    """Be user and group 0 of the user namespace that the caller is in; the host's ids have no meaning there."""
    identity.set_ids(0, 0, ())


def take(slots: Slots) -> None:
    """Make the working directory, the root in this copy of the shim's mount namespace, a mount that can be pivoted to.

    It is bound upon itself: a mount that came along into the namespace of another user namespace is locked in place,
    and a bind of it is not. Nothing that is mounted from here on spreads to the shim or the host.
    """
    mounts.make_propagation("/", mounts.MS_SLAVE | mounts.MS_REC)
    root = mounts.open_tree(mounts.AT_FDCWD, ".", mounts.OPEN_TREE_CLONE | mounts.AT_RECURSIVE)
    mounts.mount_setattr(root, propagation=mounts.MS_PRIVATE, recursive=True)
    mounts.move_mount(root, mounts.AT_FDCWD, ".")
    os.close(slots["rootfs"])
    slots["rootfs"] = root


def pivot(root: int) -> None:
    """Make ``root`` the root and the working directory, and let the host's files go.

    The old root is stacked over the new one and unmounted as "." (pivot_root(2), NOTES): no directory is needed for it.
    """
    os.fchdir(root)
    mounts.pivot_root(".", ".")
    mounts.umount(".", mounts.MNT_DETACH)
    os.fchdir(root)
