"""`engine events`: each deed once, from whichever process does it, as it happens and afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.box import Box, Container, refused, until


def happened(box: Box, *flags: str, since: float = 0) -> list[dict[str, Any]]:
    """Return what has happened until now."""
    shown = box.done(
        "events", "--since", f"{since:.6f}" if since else "1h", "--until", "0s", "--format", "json", *flags
    )
    return [json.loads(line) for line in shown.stdout.splitlines()]


def actions(box: Box, *flags: str) -> list[str]:
    return [event["Action"] for event in happened(box, *flags)]


def of(container: Container | str) -> str:
    return f"--filter=container={container if isinstance(container, str) else container.name}"


@contextmanager
def following(box: Box, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Give an `engine events` that waits for what comes."""
    running = box.root.popen("events", "--since", "0s", *flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def test_a_container_from_its_beginning_to_its_end(box: Box) -> None:
    with box.to_be_removed() as name:
        box("run", "--name", name, "--label", "team=x", box.image, "sh", "-c", "exit 3")
        box.done("rm", name)
        events = happened(box, of(name))
    assert [event["Action"] for event in events] == ["create", "attach", "start", "die", "destroy"]
    assert {event["Type"] for event in events} == {"container"}
    assert len({event["id"] for event in events}) == 1
    assert all(event["Actor"]["Attributes"].items() >= {"name": name, "image": box.image, "team": "x"}.items()
               for event in events)  # fmt: skip
    assert events[3]["Actor"]["Attributes"]["exitCode"] == "3"
    moments = [event["timeNano"] for event in events]
    assert moments == sorted(moments)
    assert all(event["time"] == event["timeNano"] // 10**9 for event in events)


def test_a_detached_one_that_removes_itself(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("run", "-d", "--rm", "--name", name, box.image, "true")
        until(lambda: actions(box, of(name))[-1] == "destroy", "the container's removal")
        assert actions(box, of(name)) == ["create", "start", "die", "destroy"]


def test_it_is_shown_as_it_happens(box: Box) -> None:
    with box.to_be_removed() as name, following(box, of(name), "--format", "{{.Action}}") as running:
        assert running.stdout is not None
        box.done("run", "-d", "--name", name, box.image, "sleep", "600")
        assert [running.stdout.readline() for _ in range(2)] == ["create\n", "start\n"]
        box.done("pause", name)
        assert running.stdout.readline() == "pause\n"
        box.done("unpause", name)
        assert running.stdout.readline() == "unpause\n"


def test_what_ends_a_container(box: Box) -> None:
    with box.container(
        script="trap '' TERM; trap 'echo hup' HUP; echo ready; while :; do sleep 0.02; done"
    ) as container:
        container.wait_for_log("ready")
        box.done("kill", "--signal", "HUP", container.name)
        box.done("stop", "-t", "0", container.name)
        events = happened(box, of(container))
        said = [(event["Action"], event["Actor"]["Attributes"].get("signal")) for event in events]
    assert said == [
        ("create", None), ("start", None), ("kill", "1"), ("kill", "15"), ("kill", "9"), ("die", "9"), ("stop", None),
    ]  # fmt: skip
    with box.container() as container:
        box.done("restart", "-t", "0", container.name)
        box.done("rm", "--force", container.name)
        assert actions(box, of(container.name)) == [
            "create", "start", "kill", "kill", "die", "stop", "start", "restart", "kill", "die", "destroy",
        ]  # fmt: skip


def test_it_bears_the_name_that_it_has_now(box: Box) -> None:
    with box.container() as container, box.to_be_removed() as other:
        container_id = container.inspect()["Id"]
        box.done("rename", container.name, other)
        box.done("kill", other)
        until(lambda: "die" in actions(box, of(container_id)), "its end")
        named = [(event["Action"], event["Actor"]["Attributes"]["name"]) for event in happened(box, of(container_id))]
        assert named == [
            ("create", container.name), ("start", container.name), ("rename", other), ("kill", other), ("die", other),
        ]  # fmt: skip
        assert (
            happened(box, of(other), "-f", "event=rename")[0]["Actor"]["Attributes"]["oldName"] == f"/{container.name}"
        )


def test_commands_in_it(box: Box) -> None:
    with box.container() as container:
        box("exec", container.name, "sh", "-c", "exit 4")
        refused(box("exec", container.name, "no-such-command"), "no-such-command", 127)
        found = happened(
            box, of(container), "-f", "event=exec_create", "-f", "event=exec_start", "-f", "event=exec_die"
        )
    assert [event["Action"] for event in found] == ["exec_create: sh -c exit 4", "exec_start: sh -c exit 4", "exec_die"]
    assert found[2]["Actor"]["Attributes"]["exitCode"] == "4"
    assert len({event["Actor"]["Attributes"]["execID"] for event in found}) == 1


def test_each_run_that_a_restart_policy_makes(box: Box) -> None:
    with box.container("--restart", "on-failure:1", script="sleep 0.1; exit 3") as container:
        expected = ["create", "start", "die", "start", "die"]
        until(lambda: actions(box, of(container)) == expected, "two runs")


def test_it_tells_of_memory_that_was_not_there(box: Box) -> None:
    with box.container("-m", "16m", script="exec tail /dev/zero") as container:
        assert container.wait() == 137
        assert actions(box, of(container)) == ["create", "start", "oom", "die"]


def test_it_tells_of_such_a_kill_while_the_container_runs_on(box: Box) -> None:
    with box.container("-m", "16m", script="tail /dev/zero; exec sleep 600") as container:
        until(lambda: "oom" in actions(box, of(container)), "the kill of a process that is not the first")
        assert container.state["Running"]
        box.done("stop", "-t", "0", container.name)
        assert actions(box, of(container)) == ["create", "start", "oom", "kill", "kill", "die", "stop"]


def test_limits_that_change(box: Box) -> None:
    with box.container() as container:
        box.done("update", "--pids-limit", "50", container.name)
        assert actions(box, of(container)) == ["create", "start", "update"]


def test_images(own_box: Box, tmp_path: Path) -> None:
    own_box.done("tag", "busybox", "busybox:2")
    own_box.done("save", "-o", tmp_path / "saved", "busybox:2")
    own_box.done("rmi", "busybox:2")
    own_box.done("rmi", "busybox")
    own_box.done("load", "-i", tmp_path / "saved")
    events = happened(own_box, "--filter", "type=image")
    assert [(event["Action"], event["Actor"]["Attributes"]["name"]) for event in events] == [
        ("import", "busybox:latest"), ("tag", "busybox:2"), ("untag", "busybox:2"), ("untag", "busybox:latest"),
        ("delete", events[0]["id"]), ("load", "busybox:2"),
    ]  # fmt: skip
    assert len({event["id"] for event in events}) == 1
    assert actions(own_box, "-f", "image=busybox") == ["import", "tag", "untag", "untag", "load"]


def test_a_shim_that_is_killed_leaves_one_end(box: Box) -> None:
    with box.container() as container:
        os.kill(container.state["ShimPid"], signal.SIGKILL)
        for _ in range(2):
            box.done("create", "--rm", "--name", f"{container.name}-next", box.image, "true")
            box.done("rm", f"{container.name}-next")
        assert actions(box, of(container)) == ["create", "start", "die"]
        assert happened(box, of(container), "-f", "event=die")[0]["Actor"]["Attributes"]["exitCode"] == "137"


def test_of_several_that_remove_it_one_says_so(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("run", "-d", "--rm", "--name", name, box.image, "sleep", "600")
        running = [box.root.popen("rm", "-f", name, stdout=subprocess.DEVNULL) for _ in range(3)]
        assert [one.wait(60) for one in running] == [0, 0, 0]
        assert actions(box, of(name)).count("destroy") == 1


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("{{.Type}} {{.Action}} {{.Actor.Attributes.team}}", "container create x\n"),
        ("{{.Status}} {{.From}}", "create busybox\n"),
    ],
)
def test_forms(form: str, shown: str, box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("create", "--name", name, "--label", "team=x", box.image, "true")
        window = ("events", "--since", "1m", "--until", "0s", of(name))
        assert box.done(*window, "--format", form).stdout == shown
        text = box.done(*window).stdout
        found = happened(box, of(name))[0]
        assert text.split(" ", 1)[1] == f"container create {found['id']} (image=busybox, name={name}, team=x)\n"
        whole = json.loads(box.done(*window, "--format", "{{json .}}").stdout)
        assert whole == found
        assert (whole["status"], whole["from"], whole["scope"]) == ("create", "busybox", "local")


def test_labels_cannot_steer_a_terminal(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("create", "--name", name, "--label", "a=\x1b[2J\nline", box.image, "true")
        shown = box.done("events", "--since", "1m", "--until", "0s", of(name)).stdout
        assert "(a=?[2J?line, " in shown
        assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--filter", "goat=1"], "goat"), (["--filter", "event=goat"], "goat"), (["--filter", "type"], "type"),
        (["--since", "soon"], "soon"), (["--until", "soon"], "soon"), (["goat"], "goat"),
    ],
)  # fmt: skip
def test_what_is_refused(words: list[str], what: str, box: Box) -> None:
    refused(box("events", *words), what)


def test_a_field_that_there_is_not(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("create", "--name", name, box.image, "true")
        refused(box("events", "--since", "1m", "--until", "0s", of(name), "--format", "{{.Goat}}"), "Goat")


def test_it_ends_with_who_reads_it_and_with_ctrl_c(box: Box) -> None:
    with following(box) as running:
        assert running.stdout is not None
        running.stdout.close()
        running.stdout = None
        assert running.wait(20) == -signal.SIGPIPE
    with following(box) as running:
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
