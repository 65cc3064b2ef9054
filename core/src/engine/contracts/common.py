"""What every contract shares: the version, a driver's probe, and how a driver is described."""

from __future__ import annotations

from engine.tuples import NamedTuple

CONTRACT_VERSION = 1
"""The version of the contracts in this package. A plugin states the one it was written for (``contract = 1``)."""


class Probe(NamedTuple):
    """Whether a driver is usable on this machine, now.

    ``usable``    true when the driver can do its work
    ``reason``    why, or why not, in words a person can act on ("no D-Bus system bus at /run/dbus: start systemd")
    ``preference`` `auto` takes the usable driver with the highest; first-party drivers use 0 to 100
    """

    usable: bool
    reason: str
    preference: int = 0


class IdMapping(NamedTuple):
    """One row of an identity map (user_namespaces(7)): ``size`` ids from ``container`` are ``host`` and on outside."""

    container: int
    host: int
    size: int


class IdMap(NamedTuple):
    """The identity map of a user namespace: rows for users and for groups."""

    uids: tuple[IdMapping, ...]
    gids: tuple[IdMapping, ...]
