"""The container that a shim keeps: start it, serve its clients, end it, leave nothing behind."""

from __future__ import annotations

import os
from time import CLOCK_MONOTONIC_RAW, clock_gettime
from typing import Any

from engine.actions import execute as steps
from engine.actions.base import Phase, Slots, from_plain, of_phase
from engine.actions.journal import Journal
from engine.actions.task import Stage, Streams
from engine.errors import EngineError
from engine.linux import cgroups, mounts, oom, processes
from engine.shim import records, streams
from engine.shim.log import Log
from engine.shim.loop import Loop
from engine.shim.notes import note
from engine.shim.plan import Plan
from engine.shim.process import Kept
from engine.shim.protocol import Exit

_KILL_DEADLINE = 10.0


class Container:
    """One run of one container, from the plan to the exit record."""

    def __init__(self, loop: Loop, plan: Plan, stage: Stage, log: Log | None) -> None:
        self.loop, self.plan, self.stage, self.log = loop, plan, stage, log
        self.directory_fd = os.open(plan.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.state_fd = os.open(plan.state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.journal = Journal(self.state_fd)
        self.slots: Slots = {}
        self.init: Kept | None = None
        self.execs: list[Kept] = []
        self.reason = ""
        self.asked = ""
        self._began = clock_gettime(CLOCK_MONOTONIC_RAW)
        self._oom_kills = 0

    def start(self, make_unit: Any) -> Kept:
        """Run the plan's steps and start its init. ``make_unit(pid)`` asks the launcher for the driver's unit.

        Raises `EngineError`; then whatever had been made is undone.
        """
        try:
            return self._start(make_unit)
        except BaseException:
            self.clean_up()
            raise

    def _start(self, make_unit: Any) -> Kept:
        task = self.plan.task
        records.reserve(self.directory_fd, "exit")
        steps.run(of_phase(task.steps, Phase.PARENT_BEFORE), self.slots, self.journal)
        terminal = bool(task.process.get("terminal"))
        inner, outer = streams.make(terminal=terminal, stdin=self.plan.stdin != "none")
        try:
            began = steps.now()
            created = self.stage.create(task, inner, self.slots)
            steps.mark(-1, began, "clone")
            records.write(self.state_fd, "init", processes.identity(created.pid), sync=False)
            if self.plan.unit:
                make_unit(created.pid)
            steps.run(of_phase(task.steps, Phase.PARENT_AFTER), self.slots, self.journal)
            began = steps.now()
            console = self.stage.start(created)
            steps.mark(-1, began, "wait until the command is executed")
        finally:
            streams.close(inner)
        init = self._keep(created.pid, created.pidfd, outer, console, self.log)
        init.stdin_once = self.plan.stdin == "once"
        init.on_exit = self._init_ended
        self.init = init
        if self.plan.timeout:
            self.loop.after(self.plan.timeout, lambda: self.kill("timeout"))
        return init

    def execute(self, request: dict[str, Any]) -> Kept:
        """Start one more process in the running container, as a request of op ``exec`` describes it."""
        wanted = tuple(from_plain(step) for step in request["steps"])
        init = self.init
        if init is None or init.ended is not None:
            raise EngineError("the container is not running", fix="Start it first.")
        slots: Slots = {}
        inner, outer = streams.make(terminal=bool(request["process"].get("terminal")), stdin=request["stdin"])
        try:
            steps.run(of_phase(wanted, Phase.PARENT_BEFORE), slots)
            made = self.stage.execute(self.plan.task, request["process"], wanted, inner, init.pidfd, slots)
        except BaseException:
            streams.close(outer)
            raise
        finally:
            streams.close(inner)
            close_slots(slots)
        kept = self._keep(made.pid, made.pidfd, outer, made.console, None)
        kept.on_exit = self._exec_ended
        self.execs.append(kept)
        return kept

    def stop(self, number: int, timeout: float) -> None:
        """Send the stop signal, and kill everything if the init still runs ``timeout`` seconds later."""
        if self.init is not None and self.init.ended is None:
            self.asked = "stop"
            self.init.signal(number)
            self.loop.after(timeout, lambda: self.kill(""))

    def kill(self, reason: str) -> None:
        """Kill every process of the container, at once."""
        if self.init is None or self.init.ended is not None:
            return
        self.reason = self.reason or reason
        self.init.signal(9)
        if self.plan.group is not None:
            cgroups.kill(self.plan.group, _KILL_DEADLINE)

    def signal_all(self, number: int) -> None:
        """Send a signal to every process of the container."""
        assert self.plan.group is not None
        for pid in cgroups.processes(self.plan.group):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def finish(self) -> Exit:
        """End what the init left running, record its exit status, undo the journal. The state directory goes last."""
        assert self.init is not None
        assert self.init.ended is not None
        killed = self._oom_kills
        if self.plan.group is not None:
            cgroups.kill(self.plan.group, _KILL_DEADLINE)
            killed = max(killed, oom.kills(self.plan.group, self._began))
        self.init.drain()
        if self.log is not None:
            self.log.close()
        for kept in self.execs:
            kept.drain()
        ended = self.init.ended._replace(oom=killed > 0, reason=self.reason, asked=self.asked)
        self.init.ended = ended
        records.write(self.directory_fd, "exit", ended, sync=self.plan.sync)
        self.clean_up()
        return ended

    def clean_up(self) -> None:
        """Undo everything the journal names and remove the state directory, except when an undo failed.

        What could not be undone stays in the journal for the next command, and in the shim's own log for people.
        """
        close_slots(self.slots)
        if self.plan.task.bundle:
            self._unmount(f"{self.plan.directory}/rootfs")
        failed = []
        try:
            self.stage.delete(self.plan.task)
        except (OSError, EngineError) as error:
            failed.append(str(error))
        failed += steps.roll_back(self.state_fd)
        if failed:
            note(f"left behind: {'; '.join(failed)}")
            return
        remove_state(self.state_fd, self.plan.state)

    def _unmount(self, path: str) -> None:
        """Unmount every layer of the rootfs in this mount namespace, so that its layers can be removed."""
        while True:
            try:
                mounts.umount(path)
            except OSError:  # EINVAL: no longer a mount point
                return

    def _init_ended(self, _kept: Kept) -> None:
        # The first thing of all: systemd removes an empty scope, and the counters with it, within milliseconds.
        if self.plan.group is not None:
            self._oom_kills = oom.kills(self.plan.group, self._began)

    def _exec_ended(self, kept: Kept) -> None:
        kept.drain()
        assert kept.ended is not None
        kept.announce(kept.ended)
        for client in list(kept.clients):
            client.finish()
        self.execs.remove(kept)

    def _keep(self, pid: int, pidfd: int, outer: Streams, console: int, log: Log | None) -> Kept:
        if console >= 0:
            return Kept(self.loop, pid, pidfd, {"stdout": console}, console, console=True, log=log)
        outputs = {"stdout": outer.stdout, "stderr": outer.stderr}
        return Kept(self.loop, pid, pidfd, outputs, outer.stdin, console=False, log=log)


def close_slots(slots: Slots) -> None:
    """Close the descriptors of late-bound slots; ``pid`` is none."""
    for name in [name for name in slots if name != "pid"]:
        os.close(slots.pop(name))


def remove_state(state_fd: int, path: str) -> None:
    """Remove a container's state directory; the journal goes last but one, the directory itself last."""
    names = os.listdir(state_fd)
    for name in sorted(names, key=lambda one: one == "journal"):
        os.unlink(name, dir_fd=state_fd)
    os.rmdir(path)
