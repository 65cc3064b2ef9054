"""Deletions in a layer, written the way a storage driver wants them (image-spec: layer.md, "Whiteouts").

``.wh.NAME`` hides NAME of the layers below, ``.wh..wh..opq`` everything that they have in its directory. Neither
touches what the same layer adds, in whatever order the archive has it.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod

from engine.images.tree import Directory, LayerFault, Tree, joined, shown

PREFIX = b".wh."
OPAQUE = b".wh..wh..opq"
_OTHERS = b".wh..wh."
"""Other names that begin so are aufs's own (``.wh..wh.plnk``, ``.wh..wh.aufs``): no layer's content."""


class Deletions(ABC):
    """How whiteouts are written in one tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    @abstractmethod
    def hide(self, parent: Directory, name: bytes) -> None:
        """Hide ``name`` of the layers below."""

    @abstractmethod
    def hide_all(self, directory: Directory) -> None:
        """Hide everything that the layers below have in the directory."""

    @abstractmethod
    def replaced(self, directory: Directory) -> None:
        """Take note that a directory was made where this layer had a file or a whiteout: nothing shows through it."""


class DeletedFiles(Deletions):
    """The tree already holds the parent's files: remove them."""

    def hide(self, parent: Directory, name: bytes) -> None:
        """Remove the parent's file or tree."""
        if not self.tree.is_made(joined(parent.path, name)):
            self.tree.remove(parent, name)
            return
        directory = self.tree.existing(parent, name)
        if directory is not None:
            self.hide_all(directory)

    def hide_all(self, directory: Directory) -> None:
        """Remove what the parent has in the directory, and in those that this layer made or entered below it."""
        pending = [directory.path]
        while pending:
            here = self.tree.directory(pending.pop())
            for name in os.listdir(here.fd):
                child = os.fsencode(name)
                if not self.tree.is_made(joined(here.path, child)):
                    self.tree.remove(here, child)
                elif stat.S_ISDIR(os.stat(child, dir_fd=here.fd, follow_symlinks=False).st_mode):
                    pending.append(joined(here.path, child))

    def replaced(self, directory: Directory) -> None:
        """Nothing to do: what was in the way has been removed."""


class OverlayFiles(Deletions):
    """The tree holds this layer alone: write what overlayfs reads (kernel: filesystems/overlayfs, "whiteouts")."""

    def __init__(self, tree: Tree, xattr_prefix: str) -> None:
        super().__init__(tree)
        self._opaque = f"{xattr_prefix}opaque"

    def hide(self, parent: Directory, name: bytes) -> None:
        """Make a character device 0/0, or make this layer's own directory of that name opaque."""
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent.fd)
        except FileExistsError:
            directory = self.tree.existing(parent, name)
            if directory is not None:
                self.hide_all(directory)

    def hide_all(self, directory: Directory) -> None:
        """Make the directory opaque."""
        os.setxattr(directory.fd, self._opaque, b"y")

    def replaced(self, directory: Directory) -> None:
        """Make the directory opaque: the file or whiteout before it hid the lower one."""
        self.hide_all(directory)


def hidden_name(name: bytes) -> bytes | None:
    """Return the name that the whiteout ``name`` hides, None when ``name`` is none (`OPAQUE` is not asked for here).

    ``.wh.``, ``.wh..`` and ``.wh...`` would hide the directory itself or its parent: `LayerFault`.
    """
    if not name.startswith(PREFIX):
        return None
    hidden = name[len(PREFIX) :]
    if hidden in (b"", b".", b".."):
        raise LayerFault(f"has the whiteout {shown(name)}, which would delete a directory above")
    return hidden


def is_aufs(path: bytes) -> bool:
    """Return whether a part of the normalised path is a name that aufs keeps for itself."""
    return _OTHERS in path and any(part.startswith(_OTHERS) and part != OPAQUE for part in path.split(b"/"))
