"""What touches the machine is a value first: the vocabulary of actions.

An *action* is a small named tuple of plain data (strings, numbers, tuples of those) with three methods::

    describe() -> str            one sentence for people: "mount tmpfs on /dev/shm (64 MiB)"
    run(slots) -> None           do it; an ``OSError`` says that the kernel refused
    undo(slots) -> None          take it back; must succeed when ``run`` never happened or ``undo`` already did

``undo`` is left out where nothing outlives the process or its mount namespace. A *slot* is a late-bound number: a file
descriptor or a pid that exists only at run time, read and set by name in ``slots``. Well-known slots:

    ``rootfs``   descriptor of the mounted root filesystem           set before the clone
    ``cgroup``   descriptor of the v2 directory to clone into         set before the clone
    ``pid``      the container's init, in the shim's pid namespace    set by the clone, seen by the parent only

A *step* is an action with the phase in which it runs and the plugin that asked for it; a plan is a tuple of steps.
Each phase belongs to one process: see `Phase`.

Actions are named tuples because the shim imports them: a frozen dataclass costs 0.4 ms a class and its module 15 ms,
a named tuple of `engine.tuples` 0.01 ms. Standard library only, and nothing heavy: the shim and the stage import this
package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum

from engine.tuples import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from typing import Any, TypeAlias, TypeVar

    A = TypeVar("A")

Slots = dict[str, int]
"""Late-bound descriptors and pids by name. Each process has its own: descriptors are copied by the clone."""

Plain: TypeAlias = "bool | int | float | str | list[Any] | dict[str, Any] | None"
"""What JSON can hold."""


class Phase(IntEnum):
    """When a step runs, in which process, with what privilege.

    ``PARENT_BEFORE`` and ``PARENT_AFTER`` run in the shim, as the host's root in the shim's own mount namespace, before
    and after the clone. ``CHILD_BEFORE_PIVOT`` runs in the stage, inside the new namespaces with every capability, the
    host's files still in sight. ``CHILD_AFTER_PIVOT`` runs in the stage with the container's root as ``/``: nothing may
    be imported, looked up by name or opened by a path there that the image could have prepared.
    The child waits until all of ``PARENT_AFTER`` is done.
    """

    PARENT_BEFORE = 0
    CHILD_BEFORE_PIVOT = 1
    PARENT_AFTER = 2
    CHILD_AFTER_PIVOT = 3


class Action(Protocol):
    """The shape of every action; see the module's text. Concrete actions are ``NamedTuple`` classes."""

    def describe(self) -> str:
        """Return one sentence in the imperative, without a full stop."""

    def run(self, slots: Slots) -> None:
        """Do it. Raises ``OSError`` when the kernel refuses, `EngineError` when the engine does."""

    def _asdict(self) -> dict[str, Any]: ...


class Step(NamedTuple):
    """An action, its phase, and the name of the plugin that asked for it (``""`` for the core)."""

    phase: Phase
    action: Action
    plugin: str = ""


class Kind(NamedTuple):
    """What the executor knows of an action's class: the call family for `explain`, and whether it is journalled."""

    cls: Callable[..., Action]
    call: str
    journalled: bool


KINDS: dict[str, Kind] = {}
"""Every registered action class by name. Closed in the core; a runtime's stage may add unjournalled ones."""


def action(call: str, *, journalled: bool = False) -> Callable[[type[A]], type[A]]:
    """Register a named tuple as an action; ``call`` names the family of system calls for the error's explanation."""

    def register(cls: type[A]) -> type[A]:
        KINDS[cls.__name__] = Kind(cls, call, journalled)  # type: ignore[arg-type]  # a Protocol cannot be required here
        return cls

    return register


def kind_of(one: Action) -> Kind:
    """Return what was registered for this action's class; `KeyError` for a class that was not."""
    return KINDS[type(one).__name__]


def to_plain(step: Step) -> dict[str, Any]:
    """Return the step as JSON-ready data; `from_plain` reverses it."""
    return {"do": type(step.action).__name__, "phase": int(step.phase), "plugin": step.plugin, **step.action._asdict()}


def from_plain(data: Mapping[str, Any]) -> Step:
    """Return the step that `to_plain` wrote; `KeyError` for an unknown action, `TypeError` for wrong fields."""
    fields = {key: _frozen(value) for key, value in data.items() if key not in ("do", "phase", "plugin")}
    return Step(Phase(data["phase"]), KINDS[data["do"]].cls(**fields), data["plugin"])


def of_phase(steps: Sequence[Step], phase: Phase) -> list[Step]:
    """Return the steps of one phase, in order."""
    return [step for step in steps if step.phase is phase]


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
