"""The container that a shim keeps: start it, serve its clients, end it, leave nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from time import CLOCK_MONOTONIC_RAW, clock_gettime, time_ns

from engine.actions import execute as steps
from engine.actions.base import Phase, Slots, from_plain, of_phase
from engine.actions.journal import Journal
from engine.actions.task import Executed, Stage, Streams
from engine.contracts.observer import CONTAINER, Event, Topic
from engine.errors import EngineError
from engine.events import journal
from engine.linux import cgroups, mounts, oom, processes
from engine.shim import desired, records, streams
from engine.shim.log import Log
from engine.shim.loop import Loop
from engine.shim.notes import note
from engine.shim.plan import Plan
from engine.shim.process import Kept
from engine.shim.protocol import Exit
from engine.spec.restart_policy import delay_after
from engine.tuples import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from engine.shim.health import Checks

_KILL_DEADLINE = 10.0
_DEATH = 1.0
"""Seconds that the kernel may take to end a process which it has killed."""
_COUNTED = 0.1
"""Seconds after which the kernel has counted a kill for memory that it spoke of."""
_LONGEST_COMMAND = 1024
"""Characters of an exec'ed command that its events show."""
_ENDING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Container:
    """One run of one container, from the plan to the exit record.

    ``final``: whoever may say so wants it to end for good. ``delay``: it has ended, and is to be started again so many
    seconds later.
    """

    def __init__(self, loop: Loop, plan: Plan, stage: Stage, log: Log | None) -> None:
        self.loop, self.plan, self.stage, self.log = loop, plan, stage, log
        self.directory_fd = os.open(plan.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.state_fd = os.open(plan.state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.journal = Journal(self.state_fd)
        self.slots: Slots = {}
        self.init: Kept | None = None
        self.execs: list[Kept] = []
        self.health: Checks | None = None
        self.pid = os.getpid()
        self.reason = ""
        self.asked = ""
        self.final = False
        self.delay: float | None = None
        self._began = clock_gettime(CLOCK_MONOTONIC_RAW)
        self._oom_kills = self._oom_told = 0
        self._memory: oom.Watch | None = None
        self._started = 0
        self._killed = False
        self._untold = False

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
            close_slots(self.slots, "preserved ")  # who reads the other end waits for the container alone
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
        init.on_signal = self._signal_passed_on
        self.init = init
        self._tell_start()
        self._watch_memory()
        self._check_health()
        if self.plan.timeout:
            self.loop.after(self.plan.timeout, lambda: self.kill("timeout"))
        return init

    def execute(self, request: dict[str, Any]) -> Kept:
        """Start one more process in the running container, as a request of op ``exec`` describes it."""
        inner, outer = streams.make(terminal=bool(request["process"].get("terminal")), stdin=request["stdin"])
        try:
            made = self.start_process(request, inner)
        except BaseException:
            streams.close(outer)
            raise
        finally:
            streams.close(inner)
        kept = self._keep(made.pid, made.pidfd, outer, made.console, None)
        exec_id, command = os.urandom(32).hex(), " ".join(request["process"]["args"])[:_LONGEST_COMMAND]
        self.tell(Topic.EXEC_CREATE, command, execID=exec_id)
        self.tell(Topic.EXEC_START, command, execID=exec_id)
        kept.on_exit = lambda kept: self._exec_ended(kept, exec_id)
        self.execs.append(kept)
        return kept

    def start_process(self, request: dict[str, Any], inner: Streams) -> Executed:
        """Start a process as a request describes it, with these streams, which stay the caller's to close.

        Called in the shim, and in the child that checks the container's health. Raises `EngineError`, `OSError`.
        """
        wanted = tuple(from_plain(step) for step in request["steps"])
        init = self.init
        if init is None or init.ended is not None:
            raise EngineError("the container is not running", fix="Start it first.")
        slots: Slots = {}
        try:
            steps.run(of_phase(wanted, Phase.PARENT_BEFORE), slots)
            return self.stage.execute(self.plan.task, request["process"], wanted, inner, init.pidfd, slots)
        finally:
            close_slots(slots)

    def stop(self, number: int, timeout: float) -> None:
        """Send the stop signal, and kill everything if the init still runs ``timeout`` seconds later. It is final."""
        self.final = True
        if self.init is not None and self.init.ended is None:
            self.asked = "stop"
            self.signal(number)
            self.loop.after(timeout, lambda: self.kill(""))

    def kill(self, reason: str) -> None:
        """Kill every process of the container, at once."""
        if self.init is None or self.init.ended is not None:
            return
        self.reason = self.reason or reason
        if not self._killed:
            self.signal(signal.SIGKILL)
        if self.plan.group is not None:
            cgroups.kill(self.plan.group, _KILL_DEADLINE)

    def signal(self, number: int) -> None:
        """Send a signal to the init."""
        assert self.init is not None
        self.init.signal(number)
        self._tell_signal(number)

    def signal_all(self, number: int) -> None:
        """Send a signal to every process of the container."""
        assert self.plan.group is not None
        for pid in cgroups.processes(self.plan.group):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        self._tell_signal(number)

    def tell(self, topic: Topic, detail: str = "", **attributes: str) -> None:
        """Write an event of now to the engine's journal, under the name that the container has by now.

        A journal that cannot be written is noted once, and stops nothing.
        """
        if not self.plan.events:
            return
        name = records.read_name(self.state_fd)
        known = {**self.plan.attributes, **({} if name is None else {"name": name}), **attributes}
        try:
            journal.append(self.plan.events, Event(time_ns(), CONTAINER, topic, self.plan.task.id, known, detail))
        except OSError as error:
            if not self._untold:
                note(f"the journal of events cannot be written: {error}")
            self._untold = True

    def finish(self) -> Exit:
        """End what the init left running, record its exit status, undo the journal. The state directory goes last."""
        assert self.init is not None
        assert self.init.ended is not None
        ran = clock_gettime(CLOCK_MONOTONIC_RAW) - self._began
        if self.health is not None:
            self.health.end()
        if self._memory is not None:
            self.loop.forget(self._memory.fd)
            os.close(self._memory.fd)
        killed = self._oom_kills
        if self.plan.group is not None:
            cgroups.kill(self.plan.group, _KILL_DEADLINE)
            killed = max(killed, oom.kills(self.plan.group, self._began))
            for kept in list(self.execs):  # their own end, not the init's: where they share no pid namespace with it
                kept.await_end(_DEATH)
        self.init.drain()
        if self.log is not None:
            self.log.close()
        for kept in self.execs:
            kept.drain()
        ended = self.init.ended._replace(oom=killed > 0, reason=self.reason, asked=self.asked)
        self.init.ended = ended
        records.write(self.directory_fd, "exit", ended, sync=self.plan.sync)
        if killed > self._oom_told:
            self.tell(Topic.OOM)
        self.tell(Topic.DIE, **ended.attributes(self._started))
        if not self.final:
            self.delay = self._delay(ended, ran)
        self.clean_up()
        return ended

    def _delay(self, ended: Exit, ran: float) -> float | None:
        """Ask the restart policy. An end that the engine brought about (``--timeout``) is a failure."""
        policy = desired.read(self.directory_fd)
        if policy is None:
            return None
        failed = bool(ended.code or ended.reason)
        return delay_after(policy, failed=failed, restarts=self.plan.restarts, delay=self.plan.delay, ran=ran)

    def clean_up(self) -> None:
        """Undo everything that was made for the run, the state directory last.

        What could not be undone stays in the journal for the next command, and in the shim's own log for people. Of a
        container that is to be started again, the state directory stays.
        """
        close_slots(self.slots)
        if self.plan.task.bundle:
            self._unmount(f"{self.plan.directory}/rootfs")
        failed = []
        try:
            self.stage.delete(self.plan.task)
        except (OSError, EngineError) as error:
            failed.append(str(error))
        self.put_away(failed)

    def put_away(self, failed: Sequence[str] = ()) -> None:
        """Undo what the journal names and remove the state directory, or leave it to the next run.

        When an undo fails, or something did before, the journal stays for whoever comes next.
        """
        failed = [*failed, *steps.roll_back(self.state_fd)]
        if failed:
            note(f"left behind: {'; '.join(failed)}")
        elif self.delay is not None:
            assert self.init is not None
            assert self.init.ended is not None
            records.rest(self.state_fd, self.init.ended)
        else:
            records.remove_state(self.state_fd, self.plan.state)

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

    def _check_health(self) -> None:
        if self.plan.health is not None:
            from engine.shim.health import Checks
            from engine.shim.verdict import Settings

            self.health = Checks(self, Settings(**self.plan.health))

    def _watch_memory(self) -> None:
        group = self.plan.group
        self._memory = None if group is None else oom.watch(group)
        if self._memory is not None:
            self.loop.watch(self._memory.fd, self._memory.events, lambda _events: self._short_of_memory())

    def _short_of_memory(self) -> None:
        assert self._memory is not None
        self._memory.clear()
        self.loop.after(_COUNTED, self._tell_kills)

    def _tell_kills(self) -> None:
        """Tell of kills for memory that were not told yet, as long as the container runs."""
        assert self.init is not None
        if self.plan.group is not None and self.init.ended is None:
            killed = oom.kills(self.plan.group, self._began)
            if killed > self._oom_told:
                self._oom_told = killed
                self.tell(Topic.OOM)

    def _tell_start(self) -> None:
        self._started = time_ns()
        if self.plan.attach:
            self.tell(Topic.ATTACH)
        self.tell(Topic.START)

    def _tell_signal(self, number: int) -> None:
        self._killed = self._killed or number == signal.SIGKILL
        self.tell(Topic.KILL, signal=str(number))

    def _signal_passed_on(self, number: int) -> None:
        """Take what an attached user's keys ask for as asked of the engine: Ctrl-C ends a container for good."""
        if number in _ENDING:
            self.final = True
            desired.withdraw(self.directory_fd)
        self._tell_signal(number)

    def _exec_ended(self, kept: Kept, exec_id: str) -> None:
        kept.drain()
        assert kept.ended is not None
        self.tell(Topic.EXEC_DIE, execID=exec_id, exitCode=str(kept.ended.code))
        kept.announce(kept.ended)
        for client in list(kept.clients):
            client.finish()
        self.execs.remove(kept)

    def _keep(self, pid: int, pidfd: int, outer: Streams, console: int, log: Log | None) -> Kept:
        if console >= 0:
            return Kept(self.loop, pid, pidfd, {"stdout": console}, console, console=True, log=log)
        outputs = {"stdout": outer.stdout, "stderr": outer.stderr}
        return Kept(self.loop, pid, pidfd, outputs, outer.stdin, console=False, log=log)


def close_slots(slots: Slots, beginning: str = "") -> None:
    """Close the descriptors of late-bound slots whose names begin so; ``pid`` is none."""
    for name in [name for name in slots if name.startswith(beginning) and name != "pid"]:
        os.close(slots.pop(name))
