"""Which extended attributes travel with an image's files, in either direction."""

from __future__ import annotations

_CARRIED = (b"user.", b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default")
_NOT_CARRIED = (b"user.overlay.", b"user.engine.")


def carried(name: bytes) -> bool:
    """Tell whether an image may bring that attribute, and a layer made here holds it.

    Not trusted.*, which steers overlayfs, nor a label, which is the machine's own affair.
    """
    return name.startswith(_CARRIED) and not name.startswith(_NOT_CARRIED)
