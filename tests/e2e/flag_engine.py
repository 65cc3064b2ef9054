"""Checks of the flags for what the engine itself does with a container: labels, drivers, logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.spec.descriptor import machine_platform
from tests.e2e.scene import Scene
from tests.testbed.registry import Registry, serve


def label(scene: Scene) -> None:
    """A label has no effect but to be found again."""
    with scene.box.container(*scene.typed) as container:
        labels = container.inspect()["Config"]["Labels"]
        assert labels == {"team": "storage = fast", "bare": ""}
        assert "team=storage = fast" in scene.box.done("ps", "--format", "{{.Labels}}").stdout


def label_file(scene: Scene) -> None:
    (scene.place / "labels").write_text("# a comment\nteam=storage = fast\nbare\ntyped=1\n")
    with scene.box.container(*scene.typed) as container:
        labels = container.inspect()["Config"]["Labels"]
        assert labels == {"team": "storage = fast", "bare": "", "typed": "2"}


def annotation(scene: Scene) -> None:
    with scene.box.container(*scene.typed, "--runtime", "runc") as container:
        found = container.inspect()
        assert found["Spec"]["annotations"]["org.example.team"] == "a=b"
        # What runc keeps of a container lies in the shim's own mount namespace.
        kept = f"{scene.box.root.root}/containers/{found['Id']}/oci-{found['Id']}/state/{found['Id']}/state.json"
        state = json.loads(Path(f"/proc/{found['State']['ShimPid']}/root{kept}").read_text())
        assert "org.example.team=a=b" in state["config"]["labels"]


def cidfile(scene: Scene) -> None:
    """It is written as the container is made, is never written over, and is gone when none could be made."""
    box, file = scene.box, Path(scene.typed[-1])
    refused = box("run", "--rm", "--pull", "never", *scene.typed, "no-such-image", "true")
    assert (refused.returncode, file.exists()) == (125, False)
    with box.container(*scene.typed) as container:
        assert file.read_text() == container.inspect()["Id"]
        again = box("run", "--rm", *scene.typed, box.image, "true")
        assert again.returncode == 125
        assert str(file) in again.stderr
        assert file.read_text() == container.inspect()["Id"]
    file.unlink()
    with box.to_be_removed() as name:
        assert box.done("create", *scene.typed, "--name", name, box.image, "true").stdout == f"{file.read_text()}\n"


def pull_never(scene: Scene) -> None:
    with serve(scene.place) as registry, pushed(scene, registry) as name:
        scene.box.done("rmi", name)
        done = scene.box("run", "--rm", *scene.typed, name, "true")
        assert (done.returncode, done.stderr.splitlines()[0]) == (125, f"engine: there is no image '{name}'")


def pull_missing(scene: Scene) -> None:
    with serve(scene.place) as registry, pushed(scene, registry) as name:
        scene.box.done("rmi", name)
        assert scene.run("echo pulled", image=name) == "pulled\n"
        registry.stop()
        assert scene.run("echo here", image=name) == "here\n"


def pull_always(scene: Scene) -> None:
    with serve(scene.place) as registry, pushed(scene, registry) as name:
        assert scene.run("echo pulled", image=name) == "pulled\n"
        registry.stop()
        done = scene.box("run", "--rm", *scene.typed, name, "true")
        assert done.returncode == 125
        assert "cannot be reached" in done.stderr


@contextmanager
def pushed(scene: Scene, registry: Registry) -> Iterator[str]:
    """Give the name of the scene's image in a registry; it loses the name at the block's end."""
    name = f"{registry.domain}/flag:1"
    scene.box.done("tag", scene.box.image, name)
    scene.box.done("push", name)
    try:
        yield name
    finally:
        scene.box.done("rmi", "--force", name)


def platform(scene: Scene) -> None:
    """Of the machine's own platform it runs; what is here for another is no such image."""
    assert scene.run("echo own", "--platform", str(machine_platform())) == "own\n"
    refused = scene.box("run", "--rm", "--pull", "never", *scene.typed, scene.box.image, "true")
    assert refused.returncode == 125
    assert f"is for {machine_platform()}, not for linux/s390x" in refused.stderr


def storage(scene: Scene) -> None:
    assert scene.run("grep ' / ' /proc/mounts | cut -d ' ' -f 3") == "overlay\n"
    with scene.box.container(*scene.typed) as container:
        assert container.inspect()["Driver"] == "overlay"


def cgroup_driver(scene: Scene) -> None:
    """The first process is in a directory of the engine's, in each hierarchy that limits."""
    with scene.box.container(*scene.typed) as container:
        found = container.inspect()
        assert found["CgroupDriver"] == "cgroupfs"
        groups = Path(f"/proc/{container.pid}/cgroup").read_text()
        assert f"/{scene.box.root.cgroups}/" in groups
        assert found["Id"] in groups


def cgroup_parent(scene: Scene) -> None:
    with scene.box.container(*scene.typed) as container:
        paths = [line.split(":", 2)[2] for line in Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()]
    parent = scene.typed[-1]
    assert sum(path.startswith(f"{parent}/") for path in paths) >= 1
    assert not any(scene.box.root.environment["ENGINE_CGROUP_PARENT"] == path for path in paths)


def runtime(scene: Scene) -> None:
    """The process's parent is the shim, which has the runtime's stage loaded."""
    with scene.box.container(*scene.typed) as container:
        assert container.inspect()["Runtime"] == "native"
        parent = Path(f"/proc/{container.pid}/stat").read_text().rpartition(")")[2].split()[1]
        assert int(parent) == container.state["ShimPid"]


def log_driver(scene: Scene) -> None:
    """Nothing of the output is kept; it is shown to whoever looks on."""
    assert scene.run("echo shown") == "shown\n"
    with scene.box.container(*scene.typed, script="echo kept; sleep 600") as container:
        refused = scene.box("logs", container.name)
        assert refused.returncode == 125
        assert "keeps no output" in refused.stderr
    with scene.box.container(script="echo kept; sleep 600") as container:
        container.wait_for_log("kept\n")


def log_opt(scene: Scene) -> None:
    """Of a long output the end is kept, and no more on the disk than was allowed."""
    with scene.box.container(*scene.typed, script="seq 20000") as container:
        container.wait()
        lines = container.logs().splitlines()
        directory = Path(container.inspect()["LogPath"])
        size = sum(file.stat().st_size for file in directory.glob("*log*"))
    assert lines[-1] == "20000"
    assert 10 < len(lines) < 1000
    assert 0 < size < 50_000, json.dumps(lines[:3])


def trace(scene: Scene) -> None:
    """The steps of the shim and of the container are there, each with its time, on the standard error."""
    done = scene.box("run", "--rm", *scene.typed, scene.box.image, "echo", "output")
    assert (done.returncode, done.stdout) == (0, "output\n")
    for step in ("overlay: make the snapshot", "linux: set the hostname to ", "native: mount proc at /proc"):
        assert re.search(rf"─ +[0-9]+\.[0-9][0-9] ms  {step}", done.stderr), done.stderr


def trace_file(scene: Scene) -> None:
    """Complete events of three processes, each with a name, a time and a duration."""
    scene.run("true")
    events = [event for event in json.loads(Path(scene.typed[-1]).read_text()) if event["ph"] == "X"]
    assert {event["tid"] for event in events} == {1, 2, 3}
    assert all(event["name"] and event["dur"] >= 0 and event["ts"] > 0 for event in events)
