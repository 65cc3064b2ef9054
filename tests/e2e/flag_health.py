"""Checks of the flags for health checks."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from tests.e2e.box import Container, until
from tests.e2e.scene import Scene

OFTEN = ("--health-interval", "100ms")
FAILING = ("--health-cmd", "exit 7")


def status(container: Container) -> str:
    """Return the health that `inspect` shows."""
    return str(container.state["Health"]["Status"])


def results(container: Container) -> list[dict[str, Any]]:
    """Return the last results of the checks."""
    found: list[dict[str, Any]] = container.state["Health"]["Log"]
    return found


def becomes(container: Container, wanted: str) -> None:
    """Wait until the health is that."""
    until(lambda: status(container) == wanted, f"the health {wanted} of {container.name}: {container.state}")


def command(scene: Scene) -> None:
    with scene.box.container(*scene.typed, *OFTEN, "--health-retries", "1") as container:
        becomes(container, "unhealthy")
        container.sh("touch /well")
        becomes(container, "healthy")
    with scene.box.container() as container:
        assert "Health" not in container.state


def interval(scene: Scene) -> None:
    with scene.box.container("--health-cmd", "true", *scene.typed) as container:
        until(lambda: len(results(container)) == 5, "five checks")
        ends = [(row["Start"], row["End"]) for row in results(container)]
        seconds = [(_seconds(begin) - _seconds(end)) for (_, end), (begin, _) in pairwise(ends)]
        assert all(0.19 < pause < 5 for pause in seconds), seconds


def _seconds(moment: str) -> float:
    hours, minutes, seconds = moment.removesuffix("Z").split("T")[1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def timeout(scene: Scene) -> None:
    with scene.box.container("--health-cmd", "sleep 600", *OFTEN, *scene.typed) as container:
        until(lambda: results(container), "a result")
        assert results(container)[0]["ExitCode"] == -1
        assert "exceeded timeout (0.3s)" in results(container)[0]["Output"]


def retries(scene: Scene) -> None:
    with scene.box.container(*FAILING, *OFTEN, *scene.typed) as container:
        becomes(container, "unhealthy")
        health = container.state["Health"]
        assert len(health["Log"]) == health["FailingStreak"] == 2 or health["FailingStreak"] > 2
        assert {row["ExitCode"] for row in health["Log"]} == {7}


def start_period(scene: Scene) -> None:
    often = (*FAILING, "--health-start-interval", "100ms", "--health-interval", "100ms", "--health-retries", "1")
    with scene.box.container(*often, *scene.typed) as container, scene.box.container(*often) as other:
        becomes(other, "unhealthy")
        until(lambda: len(results(container)) >= 3, "three checks")
        assert (status(container), container.state["Health"]["FailingStreak"]) == ("starting", 0)


def start_interval(scene: Scene) -> None:
    once = ("--health-cmd", "exit 1", "--health-interval", "1h", "--health-start-period", "1h")
    began = time.monotonic()
    with scene.box.container(*once, *scene.typed) as container:
        until(lambda: len(results(container)) >= 3, "three checks")
        assert time.monotonic() - began < 15, "the default is five seconds"


def none(scene: Scene) -> None:
    box = scene.box
    image = f"{box.root.mark}-checked"
    with box.container() as container:
        box.done("commit", "--change", "HEALTHCHECK --interval=100ms --retries=1 CMD exit 3", container.name, image)
    try:
        with box.container(image=image) as container:
            becomes(container, "unhealthy")
        with box.container(*scene.typed, image=image) as container:
            assert "Health" not in container.state
    finally:
        box.done("rmi", image)
