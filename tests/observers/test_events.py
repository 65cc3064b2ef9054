"""Observer plugins: installed for real, told of everything, and powerless to hurt a container."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.machine.engine_root import EngineRoot

WATCHER = """\
import json
from engine.hookspecs import hookimpl

contract = 1


@hookimpl
def event_published(event):
    with open({diary!r}, "a") as file:
        file.write(json.dumps([event.subject, event.topic, event.id, dict(event.attributes)]) + "\\n")
"""
GRUMBLER = """\
from engine.hookspecs import hookimpl

contract = 1


@hookimpl
def event_published(event):
    raise RuntimeError("no")
"""


@pytest.fixture
def diary(engine_root: EngineRoot, tmp_path: Path) -> Path:
    """Install two observers, one that writes down what it is told and one that raises; return the file."""
    diary = tmp_path / "diary"
    for name, source in (("acme_grumbler", GRUMBLER), ("acme_watcher", WATCHER.format(diary=str(diary)))):
        (tmp_path / f"{name}.py").write_text(source)
        metadata = tmp_path / f"{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[engine.observer]\n{name} = {name}\n")
    engine_root.environment["PYTHONPATH"] = str(tmp_path)
    return diary


def told(diary: Path) -> list[tuple[str, dict[str, str]]]:
    return [(row[1], row[3]) for row in map(json.loads, diary.read_text().splitlines())]


def test_an_observer_is_told_of_a_container_from_its_beginning_to_its_end(engine_root: EngineRoot, diary: Path) -> None:
    done = engine_root.run("run", "--rm", "--name", "seen", "host:", "sh", "-c", "exit 3")
    assert done.returncode == 3, "an observer that raises changes nothing"
    assert "acme_grumbler 1.0" in done.stderr
    assert "event_published" in done.stderr
    events = told(diary)
    assert [topic for topic, _attributes in events] == ["create", "start", "die", "destroy"]
    assert all(attributes["name"] == "seen" for _topic, attributes in events)
    assert events[2][1]["exitCode"] == "3"


def test_it_is_told_of_an_end_that_nobody_waited_for(engine_root: EngineRoot, diary: Path) -> None:
    assert engine_root.run("run", "-d", "--name", "alone", "host:", "sh", "-c", "exit 4").returncode == 0
    deadline = time.monotonic() + 20
    while "die" not in dict(told(diary)):
        assert time.monotonic() < deadline, told(diary)
        time.sleep(0.05)
    assert dict(told(diary))["die"]["exitCode"] == "4"


def test_it_is_told_of_a_stop_and_a_signal(engine_root: EngineRoot, diary: Path) -> None:
    engine_root.run("run", "-d", "--name", "long", "host:", "sleep", "60")
    engine_root.run("kill", "--signal", "URG", "long")
    engine_root.run("stop", "-t", "0", "long")
    topics = [topic for topic, _attributes in told(diary)]
    assert topics[:3] == ["create", "start", "kill"]
    assert "stop" in topics
