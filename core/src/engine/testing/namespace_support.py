"""What the checks of the namespace suite work with: entering a plan as a runtime does, and a neighbour to join."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

from engine.actions import execute
from engine.actions.base import Phase, Slots, of_phase
from engine.contracts.namespace import Choice, NamespaceDriver, NamespacePlan
from engine.linux import identity, namespaces, processes
from engine.linux.namespaces import KINDS
from engine.testing.processes import Child, in_child

T = TypeVar("T")

NEIGHBOURS_IDS = ((0, 300000, 1000),)
"""The identity map of a neighbour with a user namespace."""


def own(kind: str, process: int | str = "self") -> str:
    """Return which namespace of that kind a process is in, as the link of /proc names it."""
    return os.readlink(f"/proc/{process}/ns/{KINDS[kind].proc_name}")


def entered(driver: NamespaceDriver, choices: Mapping[str, Choice], look: Callable[[], T]) -> T:
    """Plan ``choices`` and return what ``look`` sees from a process in those namespaces."""
    plan = driver.plan(choices)
    return in_child(lambda: _enter(plan, look))


def _enter(plan: NamespacePlan, look: Callable[[], T]) -> T:
    """Join, clone, let the child unshare and run its steps: the part of the shim and of a runtime."""
    os.setgroups(())
    for kind, path in sorted(plan.joins, key=lambda join: join[0] == "user"):
        fd = os.open(path, os.O_RDONLY)
        namespaces.setns(fd, KINDS[kind].flag)
        os.close(fd)
    waits, go = os.pipe()
    answer, answers = os.pipe()
    child = processes.clone3(_flags(plan.clone))
    if child.pid == 0:
        os.close(go)
        _live(plan, look, waits, answers)
    os.close(answers)
    try:
        execute.run(of_phase(plan.steps, Phase.PARENT_AFTER), {"pid": child.pid})
        os.write(go, b"go")
        with open(answer, "rb") as file:
            outcome, value = pickle.loads(file.read())
    finally:
        os.close(go)
        processes.wait(child.pidfd, pidfd=True)
    if outcome == "raised":
        raise AssertionError(value)
    returned: T = value
    return returned


def _live(plan: NamespacePlan, look: Callable[[], object], waits: int, answers: int) -> None:
    try:
        if os.read(waits, 2) != b"go":
            return
        if "user" in plan.clone:
            identity.set_ids(0, 0, ())
            processes.set_dumpable(True)
        if plan.unshare:
            namespaces.unshare(_flags(plan.unshare))
        slots: Slots = {}
        execute.run(of_phase(plan.steps, Phase.CHILD_BEFORE_PIVOT), slots)
        # A time namespace is entered by the next child, as by an execve.
        if "time" in plan.unshare and (child := os.fork()):
            os.waitpid(child, 0)
            return
        os.write(answers, pickle.dumps(("returned", look())))
    except BaseException as error:  # noqa: BLE001 - told to the check, which fails with it
        os.write(answers, pickle.dumps(("raised", repr(error))))
    finally:
        os._exit(0)


class Neighbour:
    """A process in new namespaces of these kinds, to be joined; it ends with the ``with`` block."""

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds
        self.pid = 0

    def __enter__(self) -> Neighbour:
        reads, writes = os.pipe()
        self._child = Child(lambda: _stay(self._kinds, writes))
        os.close(writes)
        with open(reads, "rb") as file:
            self.pid = int(file.read() or b"0")
        assert self.pid, "the neighbour did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._child.discard()

    def path(self, kind: str) -> str:
        """Return the file of its namespace."""
        return f"/proc/{self.pid}/ns/{KINDS[kind].proc_name}"


def _stay(kinds: Sequence[str], writes: int) -> None:
    """Keep a child in the namespaces until this process is killed."""
    if "time" in kinds:
        namespaces.unshare(namespaces.CLONE_NEWTIME)
    child = processes.clone3(_flags(kind for kind in kinds if kind != "time"))
    if child.pid == 0:
        processes.set_parent_death_signal(signal.SIGKILL)
        os.close(writes)
        while True:
            signal.pause()
    if "user" in kinds:
        rows = [namespaces.IdRow(*row) for row in NEIGHBOURS_IDS]
        namespaces.write_id_map(child.pid, rows, rows)
    os.write(writes, str(child.pid).encode())
    os.close(writes)
    signal.pause()


def _flags(kinds: Iterable[str]) -> int:
    flags = 0
    for kind in kinds:
        flags |= KINDS[kind].flag
    return flags
