"""The contract of namespace drivers: how a container gets each of its namespaces.

Vocabulary. A *kind* is one of `engine.linux.namespaces.KINDS` (namespaces(7)). For each kind the user chooses:

    *new*    a namespace of the container's own, with the settings that kind has (hostname, id maps, clock offsets)
    *host*   the engine's own: nothing is done
    *join*   one that exists: a ``/proc/PID/ns/KIND`` or a bind-mounted nsfs file

Several drivers may serve one container, each for the kinds it declares; exactly one driver plans a kind. The answer is
joined with the others' and handed to the runtime, which does the clone. Lifecycle of the answer, and who runs what:

    ``clone``     kinds the runtime passes to clone3(2)
    ``unshare``   kinds that the child makes itself once it has joined its cgroup: a cgroup namespace's root is the
                  cgroup at that moment, and with v1 the process joins only after the clone
    ``joins``     kinds opened by the shim before the clone and joined by it or the child: pid before the last fork,
                  user last, since it takes the rights over the others away
    ``steps``     what belongs to a new namespace: hostname, loopback up, id maps (PARENT_AFTER), offsets

`plan` is pure and runs in the command's process. Worked scenario: ``--hostname web --network container:db`` asks the
driver for ``{uts: New(hostname="web"), net: Join("/proc/4711/ns/net"), …}`` and gets clone=(mount, uts, ipc, pid),
unshare=(cgroup,), joins={net: …} and one step that sets the hostname in CHILD_BEFORE_PIVOT.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from engine.actions.base import Step
from engine.contracts.common import IdMap, Probe
from engine.tuples import NamedTuple


class New(NamedTuple):
    """A namespace of its own. Settings that a kind does not have must be left at their defaults.

    ``hostname``, ``domainname``  uts; ``id_map``  user; ``monotonic``, ``boottime``  time, nanoseconds added to the
    host's clocks; ``loopback``  net: bring ``lo`` up.
    """

    hostname: str = ""
    domainname: str = ""
    id_map: IdMap | None = None
    monotonic: int = 0
    boottime: int = 0
    loopback: bool = True


class Host(NamedTuple):
    """Share the engine's own."""


class Join(NamedTuple):
    """Join the namespace behind ``path`` (of the host)."""

    path: str


Choice = New | Host | Join


class NamespaceConfig(NamedTuple):
    """What the factory hook gets: the user's ``--namespace-opt key=value`` and the settings'."""

    options: Mapping[str, str]


class NamespacePlan(NamedTuple):
    """See the module's text."""

    clone: tuple[str, ...] = ()
    unshare: tuple[str, ...] = ()
    joins: tuple[tuple[str, str], ...] = ()
    steps: tuple[Step, ...] = ()


class NamespaceDriver(ABC):
    """Plans the kinds it declares. See the module's text."""

    kinds: frozenset[str] = frozenset()

    @abstractmethod
    def probe(self) -> Probe:
        """Say whether this kernel has the kinds, and which are missing; leaves nothing behind."""

    @abstractmethod
    def plan(self, choices: Mapping[str, Choice]) -> NamespacePlan:
        """Return how to give the container each of ``choices`` (all of declared kinds).

        Raises `InvalidInput` for contradictions (a hostname with the host's uts namespace, a path that is no namespace
        of that kind), `Unsupported` for a kind or a setting that this kernel lacks.
        """
