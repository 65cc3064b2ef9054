"""Checks of a container's life: created, started, ended, and what a failure leaves."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import pytest

from engine.actions.base import Phase
from engine.contracts.runtime import Capability
from engine.errors import CommandNotFound, CommandNotRunnable, EngineError, InvalidInput, Unsupported
from engine.linux import mountinfo, processes
from engine.testing.runtime_support import NEW, Box, make_spec, with_linux, with_process
from engine.testing.shim import Container


class LifecycleChecks:
    """`engine.contracts.runtime`, the lifecycle."""

    def test_probe_says_that_it_works_here(self, box: Box) -> None:
        """`probe` says that the runtime works here, and why."""
        answer = box.runtime.probe()
        assert answer.usable, answer.reason
        assert answer.reason

    def test_exit_status_is_the_commands(self, box: Box) -> None:
        """The exit status is the command's own."""
        assert box.sh("exit 7").status == 7

    def test_death_by_a_signal_is_told(self, box: Box) -> None:
        """A death by a signal is told as 128 and its number."""
        # pid 1 of a namespace ignores what it does not handle, so its child dies and the shell tells.
        assert box.sh("sh -c 'kill -TERM $$'; exit $?").status == 128 + signal.SIGTERM

    def test_streams_are_the_three_descriptors(self, box: Box) -> None:
        """The streams become the command's three descriptors."""
        output = box.run(make_spec("sh", "-c", "cat; echo err >&2"), b"in")
        assert (output.stdout, output.stderr) == ("in", "err\n")

    def test_created_init_waits_for_start(self, box: Box) -> None:
        """A created init has run none of its steps before `start`."""
        marker = box.tree / "ran"

        def scenario(container: Container) -> tuple[bool, bool]:
            created = container.create()
            assert not _ends(created.pidfd, 1), "the init ended before it was started"
            before = marker.exists()
            container.start()
            container.finish()
            return before, marker.exists()

        assert box.play(make_spec("sh", "-c", "echo > /ran"), scenario) == (False, True)

    def test_init_is_the_shims_own_child(self, box: Box) -> None:
        """The init is the shim's own child, and ``slots["pid"]`` its pid."""

        def scenario(container: Container) -> int:
            created = container.create()
            stat = Path(f"/proc/{created.pid}/stat").read_text(encoding="ascii")
            assert container.slots["pid"] == created.pid == processes.pidfd_pid(created.pidfd)
            return int(stat.rpartition(")")[2].split()[1]) - os.getpid()

        assert box.play(make_spec("true"), scenario) == 0

    def test_init_is_the_first_process_of_its_namespace(self, box: Box) -> None:
        """The init is pid 1 of its pid namespace."""
        assert box.sh("echo $$").stdout == "1\n"

    def test_started_means_executed(self, box: Box) -> None:
        """When `start` returns, the command was executed."""

        def scenario(container: Container) -> str:
            container.start()
            assert container.created is not None
            return Path(f"/proc/{container.created.pid}/comm").read_text(encoding="ascii")

        assert box.play(make_spec("sleep", "60"), scenario) == "sleep\n"

    def test_every_namespace_of_the_plan_is_the_containers_own(self, box: Box) -> None:
        """Each kind of the plan is a namespace of the container's own."""
        names = {"mount": "mnt"}
        listed = box.sh("for n in mnt uts ipc pid net cgroup; do readlink /proc/self/ns/$n; done").stdout.split()
        kinds = (*NEW, "cgroup")
        assert len(listed) == len(kinds)
        shared = [kind for kind in kinds if os.readlink(f"/proc/self/ns/{names.get(kind, kind)}") in listed]
        assert not shared

    def test_namespace_steps_are_run(self, box: Box) -> None:
        """The steps that came with the namespaces are run."""
        assert box.sh("hostname; cat /sys/class/net/lo/operstate").stdout == "contract\nunknown\n"

    def test_init_dies_with_the_shim(self, box: Box) -> None:
        """The init does not outlive the shim, also when that is killed."""

        def scenario(container: Container) -> int:
            middle = os.fork()
            if middle == 0:
                container.start()
                assert container.created is not None
                os.write(writes, str(container.created.pid).encode())
                signal.pause()
            pid = int(os.read(reads, 20))
            pidfd = processes.pidfd_open(pid)
            os.kill(middle, signal.SIGKILL)
            os.waitpid(middle, 0)
            # Now a child of this process, which is the subreaper.
            ended = processes.wait(pidfd, pidfd=True) if _ends(pidfd, 5) else None
            processes.pidfd_send_signal(pidfd, signal.SIGKILL) if ended is None else None
            return 0 if ended is None else ended.signal

        reads, writes = os.pipe()
        try:
            assert box.play(make_spec("sleep", "60"), scenario) == signal.SIGKILL
        finally:
            os.close(reads)
            os.close(writes)

    def test_missing_command_is_not_found(self, box: Box) -> None:
        """A command that the image lacks is `CommandNotFound`, exit code 127."""
        for command in ("no-such-command", "/no/such/command"):
            with pytest.raises(CommandNotFound, match=command) as caught:
                box.run(make_spec(command))
            assert caught.value.exit_code == 127

    def test_missing_interpreter_is_named(self, box: Box) -> None:
        """A script whose interpreter is missing gets a message that names the interpreter."""
        script = box.tree / "bin/script"
        script.write_text("#!/opt/interpreter -x\n")
        script.chmod(0o755)
        with pytest.raises(EngineError, match="/opt/interpreter") as caught:
            box.run(make_spec("script"))
        assert caught.value.exit_code in {126, 127}

    def test_what_cannot_be_executed_is_not_runnable(self, box: Box) -> None:
        """What cannot be executed is `CommandNotRunnable`, exit code 126."""
        (box.tree / "bin/text").write_text("text")
        garbage = box.tree / "bin/garbage"
        garbage.write_bytes(b"\x00garbage")
        garbage.chmod(0o755)
        for command in ("/bin/text", "/bin/garbage", "/srv"):
            with pytest.raises(CommandNotRunnable, match=command) as caught:
                box.run(make_spec(command))
            assert caught.value.exit_code == 126

    def test_failed_start_leaves_no_process(self, box: Box) -> None:
        """A start that failed leaves no process, not even one to wait for."""

        def scenario(container: Container) -> list[str]:
            with pytest.raises(EngineError):
                container.start()
            own = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
            return own.split()

        assert box.play(make_spec("no-such-command"), scenario) == []

    def test_failed_step_says_which(self, box: Box) -> None:
        """A step that the kernel refuses is named in the error."""
        (box.tree / "file").write_text("")
        spec = make_spec("true")
        spec["mounts"].append({"destination": "/file/below", "type": "tmpfs", "source": "tmpfs", "options": []})
        with pytest.raises(EngineError, match="/file/below"):
            box.run(spec)

    def test_nothing_is_mounted_on_the_host(self, box: Box) -> None:
        """Nothing of a container's mounts shows on the host."""
        assert box.sh("true").status == 0
        assert not mountinfo.below(str(box.bundle), mountinfo.read())

    def test_plan_is_the_same_each_time(self, box: Box) -> None:
        """`plan` is a function of its arguments."""
        spec = make_spec("true")
        assert box.task(spec).steps == box.task(spec).steps

    def test_plan_holds_every_phase_it_needs_and_describes_it(self, box: Box) -> None:
        """Every step has a phase and describes itself in one line."""
        for step in box.task(make_spec("true")).steps:
            assert step.phase in Phase
            assert step.action.describe()
            assert "\n" not in step.action.describe()

    def test_unknown_part_of_the_specification_is_refused_by_name(self, box: Box) -> None:
        """What a runtime does not do is refused by the specification's name of it."""
        spec = with_linux(make_spec("true"), intelRdt={"closID": "x"})
        with pytest.raises(Unsupported, match="intelRdt"):
            box.task(spec)

    def test_command_that_is_none_is_refused(self, box: Box) -> None:
        """A command without words, or with a NUL, is refused."""
        for arguments in ([], ["true\0"]):
            with pytest.raises(InvalidInput):
                box.task(with_process(make_spec("true"), args=arguments))

    def test_undeclared_terminal_is_refused(self, box: Box) -> None:
        """A terminal is planned by a runtime that declares them, and refused by any other."""
        spec = with_process(make_spec("true"), terminal=True)
        if Capability.TERMINAL in box.runtime.capabilities:
            assert box.task(spec).process["terminal"]
        else:
            with pytest.raises(Unsupported, match="terminal"):
                box.task(spec)


def _ends(pidfd: int, seconds: float) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])
