"""`engine run --trace`: every step of the plan is measured where it ran; a run that is not traced measures nothing."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.box import Box, refused
from tests.explain.test_explain import FLAGS, explained


def traced(box: Box, place: Path, *flags: str, status: int = 0) -> list[dict[str, Any]]:
    """Return the complete events of a run, in order of time."""
    file = place / "trace.json"
    done = box("run", "--rm", "--trace-file", str(file), *flags, box.image, "sh", "-c", f"exit {status}")
    assert (done.returncode, done.stderr) == (status, "")
    return [event for event in json.loads(file.read_text()) if event["ph"] == "X"]


def test_each_step_of_the_plan_is_measured_in_its_process(box: Box, tmp_path: Path) -> None:
    said = explained(box, *FLAGS, "--hostname", "plain")
    events = traced(box, tmp_path, *FLAGS, "--hostname", "plain", status=3)
    names = {event["name"].split("/containers/")[0].split("/engine-")[0] for event in events}
    steps = [deed for phase in said["Phases"] for deed in phase["Actions"] if deed["Action"]]
    assert len(steps) == len([event for event in events if event["cat"] != "stage"])
    assert {deed["Sentence"].split("/containers/")[0].split("/engine-")[0] for deed in steps} <= names


def test_the_times_fit_into_each_other(box: Box, tmp_path: Path) -> None:
    events = traced(box, tmp_path)
    command, shim, container = ([event for event in events if event["tid"] == number] for number in (1, 2, 3))
    for own in (command, container):
        for before, after in pairwise(own):
            assert before["ts"] + before["dur"] <= after["ts"] + 1
    waiting = next(event for event in command if event["name"] == "wait for the shim to start it")
    begin, end = waiting["ts"], waiting["ts"] + waiting["dur"]
    assert all(begin <= event["ts"] and event["ts"] + event["dur"] <= end for event in container)
    assert sum(event["dur"] for event in shim) > 0


def test_a_runtime_that_does_it_all_is_traced_as_far_as_the_engine_goes(box: Box, tmp_path: Path) -> None:
    names = [event["name"] for event in traced(box, tmp_path, "--runtime", "runc")]
    assert "clone" in names
    assert any(name.startswith("make cgroup") for name in names)


def test_a_process_executed_beside_is_not_measured_and_works(box: Box, tmp_path: Path) -> None:
    with box.container("--trace-file", str(tmp_path / "trace")) as container:
        assert container.sh("echo beside") == "beside\n"
    assert json.loads((tmp_path / "trace").read_text())


def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(box: Box, tmp_path: Path) -> None:
    done = box("run", "--rm", "--trace-file", "/nowhere/trace", "-v", f"{tmp_path}/made:/x", box.image, "true")
    refused(done, "/nowhere/trace cannot be written")
    assert not (tmp_path / "made").exists()
