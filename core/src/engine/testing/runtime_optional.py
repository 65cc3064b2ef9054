"""Checks of what a runtime may declare: exec, terminals, user namespaces, filters of its own making."""

from __future__ import annotations

import os
from typing import Any, cast

import pytest

from engine.actions.base import Phase, Step
from engine.actions.namespaces import SetTimeOffsets
from engine.contracts.namespace import NamespacePlan
from engine.contracts.runtime import Capability
from engine.errors import CommandNotFound, EngineError
from engine.linux import capabilities
from engine.spec.runtime import Process, Spec
from engine.testing.runtime_support import (
    CAPABILITIES,
    HOST_IDS,
    Box,
    give_away,
    make_spec,
    new_namespaces,
    with_linux,
    with_process,
)
from engine.testing.shim import Container, Output

_HOUR = 3600 * 1_000_000_000


def execute(box: Box, spec: Spec, *command: str, **process: Any) -> Output:
    """Run ``spec`` and one more process in it; return how that one ended."""
    box.needs(Capability.EXEC)
    wanted = cast("Process", {**spec["process"], "args": list(command), **process})

    def scenario(container: Container) -> Output:
        container.start()
        return container.execute(wanted, tuple(box.runtime.plan_exec(spec, wanted)))

    return box.play(spec, scenario)


class OptionalChecks:
    """`engine.contracts.runtime.Capability`, one after the other."""

    def test_exec_joins_every_namespace(self, box: Box) -> None:
        """An exec'ed process is in every namespace of the init."""
        script = "for n in mnt uts ipc pid net cgroup; do readlink /proc/self/ns/$n; readlink /proc/1/ns/$n; done"
        listed = execute(box, make_spec("sleep", "60"), "sh", "-c", script).stdout.split()
        assert len(listed) == 12
        assert listed[::2] == listed[1::2]

    def test_exec_has_the_root_the_streams_and_a_status(self, box: Box) -> None:
        """It has the container's root, its own streams and its own status."""
        (box.tree / "mark").write_text("seen")
        output = execute(box, make_spec("sleep", "60"), "sh", "-c", "cat /mark; echo err >&2; pwd >&2; exit 3")
        assert output == Output(3, "seen", "err\n/\n")

    def test_exec_is_confined_as_the_init_is(self, box: Box) -> None:
        """It has the init's filter, capabilities, no_new_privs, and no descriptor more."""
        profile = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}],
        }
        spec = with_linux(with_process(make_spec("sleep", "60"), noNewPrivileges=True), seccomp=profile)
        script = "mkdir /made; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; ls /proc/self/fd | wc -l"
        output = execute(box, spec, "sh", "-c", script)
        wanted = f"{capabilities.mask(CAPABILITIES):016x}"
        assert output.stdout.split() == ["CapEff:", wanted, "CapBnd:", wanted, "NoNewPrivs:", "1", "4"]
        assert "not supported" in output.stderr

    def test_exec_as_another_user(self, box: Box) -> None:
        """It can be another user than the init."""
        output = execute(box, make_spec("sleep", "60"), "sh", "-c", "id -u; id -G", user={"username": "web"})
        assert output.stdout == "1000\n1001 2000\n"

    def test_exec_of_a_missing_command_is_not_found(self, box: Box) -> None:
        """A command that the image lacks is `CommandNotFound` here too."""
        with pytest.raises(CommandNotFound, match="no-such-command"):
            execute(box, make_spec("sleep", "60"), "no-such-command")

    def test_exec_leaves_the_shim_in_its_own_pid_namespace(self, box: Box) -> None:
        """The shim's next child is in the shim's own pid namespace again."""
        box.needs(Capability.EXEC)
        spec = make_spec("sleep", "60")
        wanted = cast("Process", {**spec["process"], "args": ["true"]})

        def scenario(container: Container) -> bool:
            container.start()
            container.execute(wanted, tuple(box.runtime.plan_exec(spec, wanted)))
            return os.readlink("/proc/self/ns/pid_for_children") == os.readlink("/proc/self/ns/pid")

        assert box.play(spec, scenario)

    def test_terminal_is_the_containers_own_controlling_one(self, box: Box) -> None:
        """The terminal is in the container's devpts, has its size, and is /dev/console."""
        box.needs(Capability.TERMINAL)
        output = box.sh("tty; stty size; echo x > /dev/tty", terminal=True, consoleSize={"height": 33, "width": 99})
        assert output.stdout == "/dev/pts/0\r\n33 99\r\nx\r\n"
        listed = box.sh("stat -c '%t:%T' /dev/console /dev/pts/0", terminal=True).stdout.split()
        assert len(listed) == 2
        assert listed[0] == listed[1]

    def test_terminal_belongs_to_the_user(self, box: Box) -> None:
        """The terminal belongs to the user."""
        box.needs(Capability.TERMINAL)
        output = box.sh("stat -c %u /dev/pts/0", terminal=True, user={"uid": 1000, "gid": 1000})
        assert output.stdout == "1000\r\n"

    def test_terminal_carries_keys_and_signals(self, box: Box) -> None:
        """What is written to the master is the terminal's input; an interrupt key sends SIGINT."""
        box.needs(Capability.TERMINAL)
        spec = with_process(
            make_spec("sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; sleep 20"), terminal=True
        )

        def scenario(container: Container) -> Output:
            container.start()
            assert os.read(container.console, 100).startswith(b"ready")
            return container.finish(b"\x03")

        output = box.play(spec, scenario)
        assert output.status == 9
        assert "caught" in output.stdout

    def test_exec_with_a_terminal(self, box: Box) -> None:
        """An exec'ed process gets a terminal of its own."""
        box.needs(Capability.TERMINAL)
        size = {"height": 5, "width": 40}
        spec = make_spec("sleep", "60")
        output = execute(box, spec, "sh", "-c", "tty; stty size; id -u", terminal=True, consoleSize=size)
        assert output.stdout == "/dev/pts/0\r\n5 40\r\n0\r\n"

    def test_user_namespace_maps_root(self, box: Box) -> None:
        """The container's root is the mapped id on the host; devices and streams work."""
        box.needs(Capability.USER_NAMESPACE)
        give_away(box.tree)
        spec = make_spec(
            "sh", "-c", "id -u; cat /proc/self/uid_map; touch /made; echo x > /dev/null && echo > /dev/stdout"
        )
        spec["linux"]["namespaces"].append({"type": "user"})
        output = box.run(spec, namespaces=new_namespaces(user=True))
        assert output.stdout.split() == ["0", "0", str(HOST_IDS), "65536"], output.stderr
        assert (box.tree / "made").stat().st_uid == HOST_IDS

    def test_exec_into_a_user_namespace(self, box: Box) -> None:
        """An exec'ed process is root in the container's user namespace."""
        box.needs(Capability.USER_NAMESPACE)
        box.needs(Capability.EXEC)
        give_away(box.tree)
        spec = make_spec("sleep", "60")
        spec["linux"]["namespaces"].append({"type": "user"})
        wanted = cast(
            "Process",
            {**spec["process"], "args": ["sh", "-c", "id -u; readlink /proc/self/ns/user; readlink /proc/1/ns/user"]},
        )

        def scenario(container: Container) -> Output:
            container.start()
            return container.execute(wanted, tuple(box.runtime.plan_exec(spec, wanted)))

        lines = box.play(spec, scenario, new_namespaces(user=True)).stdout.split()
        assert lines[0] == "0"
        assert lines[1] == lines[2] != os.readlink("/proc/self/ns/user")

    def test_time_namespace_shifts_the_clocks(self, box: Box) -> None:
        """The clock offsets of a time namespace hold for the command."""
        box.needs(Capability.TIME_NAMESPACE)
        plan = new_namespaces()
        offsets = Step(Phase.CHILD_BEFORE_PIVOT, SetTimeOffsets(_HOUR * 1000, _HOUR * 1000))
        shifted = NamespacePlan(plan.clone, (*plan.unshare, "time"), (), (*plan.steps, offsets))
        uptime = box.run(make_spec("cat", "/proc/uptime"), namespaces=shifted).stdout
        assert float(uptime.split()[0]) > 3_600_000

    def test_joined_namespaces_are_those_of_the_other(self, box: Box) -> None:
        """Namespaces of another container can be joined."""
        box.needs(Capability.PIN_NAMESPACES)
        task = box.task(make_spec("sleep", "60"))

        def scenario(container: Container) -> str:
            container.start()
            assert container.created is not None
            joins = tuple((kind, f"/proc/{container.created.pid}/ns/{kind}") for kind in ("net", "pid", "uts", "ipc"))
            plan = NamespacePlan(("mount",), ("cgroup",), joins, ())
            script = "for n in net pid uts ipc; do readlink /proc/self/ns/$n; done; hostname; cat /proc/1/comm"
            second = box.task(make_spec("sh", "-c", script), plan)
            wanted = [os.readlink(path) for _kind, path in joins]
            with Container(box.stage, second) as other:
                other.start()
                output = other.finish()
            lines = output.stdout.split()
            assert lines[:4] == wanted, output
            return " ".join(lines[4:])

        assert box.play(make_spec("sleep", "60"), scenario) == "contract sleep"
        assert task

    def test_undeclared_capability_is_refused(self, box: Box) -> None:
        """A filter is planned by a runtime that declares them, and refused by any other."""
        spec = with_linux(make_spec("true"), seccomp={"defaultAction": "SCMP_ACT_ALLOW"})
        if Capability.SECCOMP in box.runtime.capabilities:
            assert box.task(spec).steps
        else:
            with pytest.raises(EngineError, match="seccomp"):
                box.task(spec)
