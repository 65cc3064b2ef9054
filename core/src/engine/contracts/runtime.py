"""The contract of runtimes: from an OCI runtime specification to a running process.

A runtime has two halves, because two processes need it:

    *driver*   in the command's process, everything imported: `Runtime`, made by the hook ``runtime``. It looks at the
               machine and translates the specification into steps. Pure: it starts nothing.
    *stage*    in the shim's process, lean (standard library, `engine.linux`, `engine.actions`, itself): a module named
               by ``Runtime.stage`` with the functions of `engine.actions.task.Stage`. It starts the process.

Lifecycle of a container's init, all in the shim::

    PARENT_BEFORE steps (rootfs mounted in the shim's mount namespace, cgroup made)
    stage.create(task, slots)      the clone; returns with slots["pid"] set, the child waiting
    PARENT_AFTER steps             cgroup joined, identity maps written
    stage.start(created)           the child runs CHILD_* steps and executes the command; a failure is raised here
    … the shim waits for the pid …
    stage.delete(task)             forget whatever the runtime keeps (runc's state directory); idempotent

and of an exec'ed process: ``stage.execute(task, process, init pid)`` joins the namespaces and cgroup of the running
init and executes; the new process is the shim's child. Whoever calls, the standard streams come as descriptors; when
the process wants a terminal, the runtime makes it in the container's devpts and answers with the master's descriptor.

A runtime that drives another program (runc) leaves to that program what the specification says, and two attributes say
so to the core, which then keeps its hands off:

    ``manages_cgroup``      it joins and limits the cgroup itself, from ``linux.cgroupsPath`` and ``linux.resources``.
                            Of the cgroup driver's steps only the journalled ones are run: they make the directories
                            and, undone, kill what is left in them and remove them, whoever was killed. The task's
                            arguments hold ``systemd_cgroup``: the path is a ``slice:prefix:name`` for systemd.
    ``manages_namespaces``  it makes and joins the namespaces of the plan itself; the plan's steps are not run, and
                            `Runtime.plan` says their like in the runtime's own way or raises `Unsupported`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.actions.base import Step
from engine.contracts.common import Probe
from engine.contracts.namespace import NamespacePlan
from engine.spec.runtime import Process, Spec
from engine.tuples import NamedTuple


class Capability(StrEnum):
    """Optional behaviour. What is not declared is refused by the core before anything is made."""

    EXEC = "exec"
    TERMINAL = "terminal"
    SECCOMP = "seccomp"
    USER_NAMESPACE = "user-namespace"
    TIME_NAMESPACE = "time-namespace"
    PIN_NAMESPACES = "namespaces-by-plan"
    """Takes the namespaces from the `NamespacePlan`; without, from ``linux.namespaces`` of the specification."""


class RuntimeConfig(NamedTuple):
    """What the factory hook gets: a cache directory of the driver's own (compiled filters), and the user's options."""

    cache: Path
    options: Mapping[str, str]


class Runtime(ABC):
    """The driver half. See the module's text."""

    capabilities: frozenset[Capability] = frozenset()
    manages_cgroup: bool = False
    manages_namespaces: bool = False
    stage: str = ""
    """The stage's module name, importable in a bare interpreter with only the core's and this plugin's directory."""

    @abstractmethod
    def probe(self) -> Probe:
        """Say whether the runtime works here (binaries, kernel features), leaving nothing behind."""

    @abstractmethod
    def plan(self, spec: Spec, namespaces: NamespacePlan) -> Sequence[Step]:
        """Translate the specification into steps of the CHILD phases (and PARENT ones it needs), in order.

        The rootfs is in slot ``rootfs`` when they run. Namespace steps are already in ``namespaces`` and are run before
        the returned ones of the same phase, unless the runtime ``manages_namespaces``. Raises `Unsupported` for what
        this runtime cannot do, by the specification's name of it (``linux.intelRdt``), and `InvalidInput` for what no
        runtime could.
        """

    def arguments(self) -> Mapping[str, Any]:
        """Return plain data for the stage (``Task.arguments``): paths of binaries, options."""
        return {}

    @abstractmethod
    def plan_exec(self, spec: Spec, process: Process) -> Sequence[Step]:
        """Translate one more process of a running container into CHILD_AFTER_PIVOT steps."""
