"""What a shim does at the end of a container that is to be started again, with a script in the place of that start."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.shim.test_shim import Kept, kept, read_all
from engine.shim import desired, protocol
from engine.shim.protocol import Exit
from engine.spec.restart_policy import RestartPolicy

__all__ = ["kept"]

ALWAYS = RestartPolicy("always")
FAILS = ("/bin/sh", "-c", "exit 3")


class Scene:
    """A container that is wanted, and what its shim would execute to start it again."""

    def __init__(self, kept: Kept, policy: RestartPolicy = ALWAYS) -> None:
        self.kept = kept
        self.told = kept.directory / "told"
        self.again = ("/bin/sh", "-c", f'echo "$1 $2 $3" >{self.told}.new && mv {self.told}.new {self.told}', "again")
        self.directory_fd = os.open(kept.directory, os.O_RDONLY | os.O_DIRECTORY)
        desired.begin(self.directory_fd, policy)

    def run(self, *, again: tuple[str, ...] = (), **plan: object) -> Exit:
        """Run the container to its end, as an attached launcher that settles it; return what that was told."""
        connection = self.kept.start(*FAILS, again=again or self.again, **plan)
        ended = read_all(connection)[2]
        assert ended is not None
        connection.sendall(protocol.control({"op": "settled"}))
        connection.close()
        return ended

    def is_gone(self) -> None:
        """Wait until the state directory is; nothing was executed."""
        deadline = time.monotonic() + 20
        while self.kept.state.exists():
            assert time.monotonic() < deadline, "the state directory is still there"
            time.sleep(0.01)
        assert not self.told.exists()

    def close(self) -> None:
        os.close(self.directory_fd)


@pytest.fixture
def scene(kept: Kept) -> Iterator[Scene]:
    made = Scene(kept)
    yield made
    made.close()


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} is not there"
        time.sleep(0.01)
    return path.read_text()


def test_the_shim_becomes_the_command_that_starts_it_again(scene: Scene) -> None:
    ended = scene.run(restarts=4, delay=0.1)
    assert (ended.code, ended.again) == (3, True)
    assert wait_for(scene.told) == "5 0.2 settled\n"
    assert scene.kept.exit_record() == ended._replace(again=False)
    assert json.loads((scene.kept.state / "shim").read_text())[0] == scene.kept.launched[0].pid


def test_a_stop_in_the_back_off_ends_it_at_once(scene: Scene) -> None:
    assert scene.run(delay=30.0).again
    wait_for(scene.kept.state / "restarting")
    began = time.monotonic()
    ended = read_all(scene.kept.connect({"op": "stop", "signal": 15, "timeout": 10}))[2]
    assert ended is not None
    assert (ended.code, ended.again) == (3, False)
    assert time.monotonic() - began < 5
    scene.is_gone()


def test_what_nobody_wants_any_more_is_not_started(scene: Scene) -> None:
    assert scene.run(delay=0.3).again
    desired.withdraw(scene.directory_fd)
    scene.is_gone()
    desired.change(scene.directory_fd, ALWAYS)
    assert desired.read(scene.directory_fd) is None


def test_a_container_that_was_withdrawn_while_it_ran_just_ends(scene: Scene) -> None:
    desired.withdraw(scene.directory_fd)
    assert not scene.run().again
    scene.is_gone()


def test_a_policy_that_was_changed_while_it_ran_counts(scene: Scene) -> None:
    desired.change(scene.directory_fd, RestartPolicy("on-failure", 2))
    assert not scene.run(restarts=2).again
    scene.is_gone()


def test_a_start_that_cannot_be_executed_is_on_record(scene: Scene) -> None:
    assert scene.run(again=("/no/such/interpreter",)).again
    scene.is_gone()
    ended = scene.kept.exit_record()
    assert ended is not None
    assert "could not be started again" in ended.reason


def test_a_signal_waits_for_a_process(scene: Scene) -> None:
    assert scene.run(delay=30.0).again
    wait_for(scene.kept.state / "restarting")
    peer = scene.kept.connect({"op": "signal", "signal": 1})
    kind, payload = protocol.receive(peer) or (None, b"")
    assert kind == protocol.ERROR
    assert "about to be restarted" in json.loads(payload)["what"]
    peer = scene.kept.connect({"op": "signal", "signal": 9, "final": True})
    assert protocol.receive(peer) is not None
    scene.is_gone()
