"""Units and their cgroups are named as systemd names them; asked of a real one where it can be."""

from __future__ import annotations

import pytest

from engine.errors import InvalidInput
from engine_cgroup_systemd.names import cgroup_name, checked_slice, escape, scope, slice_path
from tests.testbed.systemd_machine import SystemdMachine

TEXTS = ["plain", "with space", "a-b", "a/b", ".hidden", "\N{LATIN SMALL LETTER E WITH ACUTE}", "a\\b", "x@y:z_1.2"]


def test_escaping_is_systemd_s_own(systemd_machine: SystemdMachine) -> None:
    done = systemd_machine.run(["systemd-escape", "--", *TEXTS])
    assert [escape(text) for text in TEXTS] == done.stdout.split()


@pytest.mark.parametrize("name", ["machine.slice", "a-b-c.slice", "cpu.slice", "-.slice"])
def test_slices_lie_where_systemd_puts_them(name: str, systemd_machine: SystemdMachine) -> None:
    command = ["systemd-run", "--scope", "--quiet", f"--slice={name}", "cat", "/proc/self/cgroup"]
    shown = systemd_machine.run(command).stdout
    path = next(line.split(":", 2)[2] for line in shown.splitlines() if ":name=systemd:" in line)
    assert path.rpartition("/")[0] == slice_path(name)
    systemd_machine.run(["systemctl", "stop", name] if name != "-.slice" else ["true"])


def test_the_name_of_a_scope() -> None:
    assert scope("00c0ffee", "abc-def") == "engine-00c0ffee-abc-def.scope"
    for wrong in ("", "x" * 250):
        with pytest.raises(InvalidInput):
            scope("00c0ffee", wrong)


@pytest.mark.parametrize(
    "name", ["machine", "/machine.slice", "a--b.slice", "-a.slice", ".slice", "a b.slice", "a-.slice"]
)
def test_what_is_no_slice_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="slice"):
        checked_slice(name)


def test_names_that_could_be_files_get_an_underscore() -> None:
    assert [cgroup_name(name) for name in ("memory.slice", "cgroup.slice", "_x.slice", "web.slice", "tasks")] == [
        "_memory.slice", "_cgroup.slice", "__x.slice", "web.slice", "_tasks"
    ]  # fmt: skip
