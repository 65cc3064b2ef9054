"""The options of ``--storage-opt``, and what they mean to the kernel (filesystems/overlayfs.rst)."""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import InvalidInput
from engine.tuples import NamedTuple

_YES = frozenset({"true", "yes", "on", "1", ""})
_NO = frozenset({"false", "no", "off", "0"})
FOLLOW = ("", "redirect_dir", "metacopy")
"""Each includes the one before."""


class OverlayOptions(NamedTuple):
    """What the user may choose. Each holds for snapshots made from then on: it is remembered in the snapshot.

    ``userxattr``     keep overlay's marks in ``user.overlay.*`` (for root in a user namespace)
    ``redirect_dir``  renaming a directory of a lower layer moves it, instead of failing with EXDEV
    ``metacopy``      chown and chmod of a lower file copy no data; implies ``redirect_dir``
    ``volatile``      never sync: fast, for containers that run once; a second mount of the same snapshot is refused
    """

    userxattr: bool = False
    redirect_dir: bool = False
    metacopy: bool = False
    volatile: bool = False

    @property
    def follow(self) -> str:
        """What whoever mounts the layer must follow in it: one of `FOLLOW`."""
        return "metacopy" if self.metacopy else "redirect_dir" if self.redirect_dir else ""

    def encode(self) -> str:
        """Return the names of what is set, to be remembered with a snapshot."""
        return " ".join(name for name, value in self._asdict().items() if value)


def parse(options: Mapping[str, str]) -> OverlayOptions:
    """Return the options. Raises `InvalidInput` for an unknown one, a value that is no truth, a contradiction."""
    unknown = sorted(set(options) - set(OverlayOptions._fields))
    if unknown:
        fix = f"Use one of: {', '.join(OverlayOptions._fields)}."
        raise InvalidInput(f"the overlay driver has no option '{unknown[0]}'", fix=fix, plugin="overlay")
    chosen = OverlayOptions(**{name: _truth(name, value) for name, value in options.items()})
    if chosen.userxattr and chosen.follow:
        what = "overlay options contradict each other: the kernel follows no redirects kept in user.overlay.*"
        raise InvalidInput(what, fix="Drop userxattr, or redirect_dir and metacopy.", plugin="overlay")
    return chosen


def decode(text: str) -> OverlayOptions:
    """Return what `OverlayOptions.encode` wrote."""
    return OverlayOptions(**dict.fromkeys(text.split(), True))


def _truth(name: str, value: str) -> bool:
    word = value.lower()
    if word in _YES or word in _NO:
        return word in _YES
    fix = "Write true or false."
    raise InvalidInput(f"the overlay option {name}={value} is neither true nor false", fix=fix, plugin="overlay")
