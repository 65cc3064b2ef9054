"""A tab completes commands, flags, containers that fit, images, plugins, signals and files, and fails in silence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.completion.shells import SHELLS, Shell
from tests.e2e.box import BUSYBOX, Box
from tests.machine import marks
from tests.machine.engine_root import ENGINE, EngineRoot, fresh_engine

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def engine(busybox_rootfs_tar: Path) -> Iterator[EngineRoot]:
    """An engine with an image, a container that runs, one that is paused, and one that has ended."""
    with fresh_engine(marks.of_worker("completion")) as root:
        box = Box(root)
        box.done("import", busybox_rootfs_tar, BUSYBOX)
        for name in ("it-runs", "it-stands-still"):
            box.done("run", "-d", "--name", name, BUSYBOX, "sleep", "1000")
        box.done("pause", "it-stands-still")
        box.done("create", "--name", "it-has-ended", BUSYBOX, "true")
        yield root


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, engine: EngineRoot, tmp_path: Path) -> Iterator[Shell]:
    """Each shell, in a directory with a file in it."""
    (tmp_path / "settings.env").write_text("A=1\n")
    (tmp_path / "settled").mkdir()
    environment = engine.environment | {
        "PATH": f"{ENGINE.parent}:{os.environ['PATH']}",
        "ENGINE_ROOT": str(engine.root),
        "ENGINE_STATE": str(engine.state),
    }
    with Shell(request.param, environment, tmp_path) as shell:
        yield shell


def test_what_a_tab_makes_of_a_line(shell: Shell) -> None:
    for typed, expected in {
        "engine hist": "engine history",
        "engine image ins": "engine image inspect",
        "engine --debug rena": "engine --debug rename",
        "engine run --privil": "engine run --privileged",
        "engine exec it-": "engine exec it-runs",
        "engine container exec it-": "engine container exec it-runs",
        "engine unpause it-": "engine unpause it-stands-still",
        "engine start it-": "engine start it-has-ended",
        "engine exec -itu root it-": "engine exec -itu root it-runs",
        "engine rmi bus": "engine rmi busybox:latest",
        "engine run --rm bus": "engine run --rm busybox:latest",
        "engine run --storage ov": "engine run --storage overlay",
        "engine run --storage=ov": "engine run --storage=overlay",
        "engine run --cgroup-driver cg": "engine run --cgroup-driver cgroupfs",
        "engine run --runtime nat": "engine run --runtime native",
        "engine run --log-driver js": "engine run --log-driver json-file",
        "engine run --network container:it-r": "engine run --network container:it-runs",
        "engine run --namespace cg": "engine run --namespace cgroup=",
        "engine kill --signal WIN": "engine kill --signal WINCH",
        "engine run --env-file setti": "engine run --env-file settings.env",
        "engine run --env-file=setti": "engine run --env-file=settings.env",
        "engine load -i settings.e": "engine load -i settings.env",
        "engine plugins new --directory sett": "engine plugins new --directory settled",
        "engine cp it-r": "engine cp it-runs:",
        "engine cp settings.e": "engine cp settings.env",
        "engine completion ba": "engine completion bash",
    }.items():
        assert shell.completed(typed).removesuffix("/") == expected


def test_lists_say_what_each_thing_is(shell: Shell) -> None:
    tells = shell.name != "bash"
    assert "pause" in shell.listed("engine p", until="List containers" if tells else "ps")
    shell.listed("engine rm -f it-", until="paused, busybox" if tells else "it-stands-still")


def test_what_goes_wrong_is_not_shown(shell: Shell, engine: EngineRoot, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "engine.db").write_bytes(b"no database at all" * 500)
    for line in (
        f"engine --root {tmp_path}/broken exec it-",
        "engine --root /dev/null exec it-",
        f"engine --root {tmp_path}/none exec it-",
        "engine nonsense it-",
        "engine run --nonsense= it-",
    ):
        assert shell.completed(line) == line
        assert "engine: " not in shell.noise
        assert "rror" not in shell.noise
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", SHELLS)
def test_the_checkout_is_completed_too(name: str, engine: EngineRoot, tmp_path: Path) -> None:
    places = {"ENGINE_ROOT": str(engine.root), "ENGINE_STATE": str(engine.state)}
    with Shell(name, engine.environment | places, tmp_path, program=str(ROOT / "dev")) as shell:
        shell.run(f"cd {ROOT}")
        assert shell.completed("./dev engine exec it-") == "./dev engine exec it-runs"
        assert shell.completed("./dev engine run --storage=ov") == "./dev engine run --storage=overlay"
        assert shell.completed("./dev ben") == "./dev bench"
