"""Progress of long work: shown on a terminal while it lasts, gone at its end, and nowhere else."""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.box import Box
from tests.e2e.terminal import Terminal
from tests.machine.engine_root import EngineRoot

ERASED = "\r\x1b[J"


def slowly(root: EngineRoot, archive: Path, *flags: str) -> list[str]:
    """Return a command that imports an archive from a pipe whose writer pauses now and then."""
    pieces = "head -c 600000; for _ in 1 2 3 4 5; do sleep 0.2; head -c 1200000; done; cat"
    importing = shlex.join(root.command("import", *flags, "-", "slow"))
    return ["bash", "-c", f"{{ {pieces}; }} <{shlex.quote(str(archive))} | {importing}"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A root filesystem of 20 MB."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "noise").write_bytes(b"0123456789abcdef" * 1_250_000)
    subprocess.run(["tar", "-C", tmp_path / "files", "-cf", tmp_path / "slow.tar", "."], check=True)
    return tmp_path / "slow.tar"


def test_progress_is_shown_and_gone_at_the_end(own_box: Box, archive: Path) -> None:
    with Terminal(slowly(own_box.root, archive), own_box.root.environment) as terminal:
        line = terminal.wait_for("standard input")
        assert "MB" in line
        assert "/s" in line
        assert terminal.end() == 0
    last = terminal.shown.rpartition("\x1b[J")
    assert last[0].endswith("\r")
    assert last[2].startswith("sha256:")


@pytest.mark.parametrize("way", ["--quiet", "dumb", "background"])
def test_no_progress_where_it_would_disturb(own_box: Box, archive: Path, way: str) -> None:
    environment = {**own_box.root.environment, **({"TERM": "dumb"} if way == "dumb" else {})}
    command = slowly(own_box.root, archive, *(["--quiet"] if way == "--quiet" else []))
    if way == "background":
        command = ["bash", "-c", f"set -m; {shlex.join(command)} & wait $!"]
    with Terminal(command, environment) as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.shown
        assert terminal.shown.strip().startswith("sha256:")


def test_no_progress_in_a_pipe(own_box: Box, archive: Path) -> None:
    done = subprocess.run(
        slowly(own_box.root, archive), env=own_box.root.environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_leaves_no_line(own_box: Box, archive: Path) -> None:
    with Terminal(slowly(own_box.root, archive), own_box.root.environment) as terminal:
        terminal.wait_for("standard input")
        terminal.type("\x03")
        assert terminal.end() in {130, -signal.SIGINT}
    assert terminal.shown.endswith(ERASED)
    assert own_box.done("images", "--quiet", "--filter", "reference=slow").stdout == ""


def test_an_error_stands_on_a_line_of_its_own(own_box: Box, archive: Path) -> None:
    with archive.open("r+b") as file:
        file.truncate(12_000_000)
    with Terminal(slowly(own_box.root, archive), {**own_box.root.environment, "NO_COLOR": "1"}) as terminal:
        terminal.wait_for("standard input")
        assert terminal.end() == 125
    assert f"{ERASED}engine: " in terminal.shown
