"""`restart` and `rename`."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tests.e2e.box import Box, Container, alive, refused

ASKED = "trap 'echo asked; exit 9' TERM; trap 'echo told; exit 3' HUP; echo ready; while :; do sleep 0.02; done"


@pytest.mark.parametrize(("flags", "said"), [([], "asked"), (["--signal", "HUP"], "told")])
def test_restart_stops_politely_and_starts_again(flags: list[str], said: str, box: Box) -> None:
    with box.container(script=ASKED) as container:
        container.wait_for_log("ready")
        before = container.pid
        assert box.done("restart", *flags, container.name).stdout == f"{container.name}\n"
        assert container.pid not in {0, before}
        assert not alive(before)
        container.wait_for_log(f"ready\n{said}\nready\n")


def test_restart_kills_what_does_not_end_in_time(box: Box) -> None:
    with box.container(script="trap '' TERM; echo ready; while :; do sleep 0.05; done") as container:
        container.wait_for_log("ready")
        before = container.pid
        box.done("restart", "--time", "0", container.name, timeout=15)
        assert not alive(before)
        assert alive(container.pid)


def test_restart_of_a_paused_one_and_of_one_that_has_ended(box: Box) -> None:
    with box.container(script=ASKED) as container:
        container.wait_for_log("ready")
        box.done("pause", container.name)
        box.done("restart", container.name)
        assert container.state["Status"] == "running"
        box.done("stop", container.name)
        box.done("restart", container.name)
        assert container.state["Status"] == "running"


def test_restart_holds_the_container_from_its_stop_to_its_start(box: Box) -> None:
    """Nobody can remove it in between: who removes needs the lock that the command holds already while it stops."""
    with box.container(
        script="trap 'echo asked; sleep 2; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    ) as container:
        container.wait_for_log("ready")
        lock = box.root.state / "locks" / container.inspect()["Id"]
        restarting = box.root.popen("restart", container.name, stdout=-3)
        container.wait_for_log("asked")
        assert is_locked(lock)
        assert box("container", "prune", "--force").returncode == 0
        assert box("rm", container.name).returncode == 125
        assert restarting.wait(timeout=30) == 0
        assert container.state["Status"] == "running"


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_restart_refuses_what_would_be_removed_and_what_is_not_there(box: Box) -> None:
    with box.container("--rm") as container:
        refused(box("restart", container.name), "was made with --rm")
        assert alive(container.pid)
    refused(box("restart", "no-such-container"), "no-such-container")
    with box.container() as container:
        refused(box("restart", "--time", "soon", container.name), "'soon'")
        refused(box("restart", "--signal", "NOPE", container.name), "NOPE")


def test_rename_gives_the_new_name_and_frees_the_old(box: Box) -> None:
    with box.container() as container, box.to_be_removed() as new:
        known = container.inspect()
        box.done("rename", container.name, new)
        assert (Container(box, new).inspect()["Id"], Container(box, new).inspect()["Name"]) == (known["Id"], f"/{new}")
        assert Container(box, new).inspect()["HostConfig"]["name"] == new
        refused(box("inspect", container.name), container.name)
        assert Container(box, new).sh("hostname") == f"{known['Config']['Hostname']}\n"
        box.done("create", "--name", container.name, box.image, "true")
        box.done("rename", known["Id"][:12], f"{new}-again")
        box.done("rename", f"{new}-again", new)


def test_rename_keeps_names_apart(box: Box) -> None:
    with box.container() as first, box.container() as second:
        refused(box("rename", first.name, second.name), "is in use by another container")
        refused(box("rename", first.name, first.name), "has that name already")
        refused(box("rename", first.name, "no/name"), "is no container name")
        refused(box("rename", "no-such-container", "other"), "no-such-container")
        assert (first.state["Status"], second.state["Status"]) == ("running", "running")
