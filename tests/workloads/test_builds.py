"""A C project built, checked, built again and shipped in a container, as a build farm does it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.box import Box

pytestmark = pytest.mark.timeout(600)  # the image may have to be built first
PROJECT = Path(__file__).parent / "project"
MAKE = ("make", "-f", "/src/Makefile", "-j2", "check")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout of the project, to be changed."""
    return Path(shutil.copytree(PROJECT, tmp_path / "source"))


def test_a_project_is_built_checked_and_shipped(box: Box, source: Path, tmp_path: Path) -> None:
    sandbox = ("--network", "none", "--memory", "256m", "--cpus", "2", "--pids-limit", "64", "--cap-drop", "ALL")
    with box.to_be_removed() as name:
        done = box.done(
            "run", "--name", name, *sandbox, "--volume", f"{source}:/src:ro", "--workdir", "/build", box.image, *MAKE
        )
        assert "table: ok" in done.stdout
        assert _compiled(done.stdout) == {"main.c", "words.c", "table.c", "table-test.c"}
        (source / "table.c").touch()
        assert _compiled(box.done("start", "--attach", name).stdout) == {"table.c"}, "the layer kept the times"
        box.done("cp", f"{name}:/build/wordcount", tmp_path)
        assert os.access(tmp_path / "wordcount", os.X_OK)
        box.done("commit", "--change", 'CMD ["/build/wordcount"]', name, "wordcount:1")
    try:
        counted = box.done("run", "--rm", "--interactive", "wordcount:1", input="to be or not to be\n").stdout
        assert counted == "2 be\n2 to\n1 not\n1 or\n"
    finally:
        box.done("rmi", "wordcount:1")


def _compiled(output: str) -> set[str]:
    """Return the sources that make(1) compiled."""
    return {line.rpartition("/")[2] for line in output.splitlines() if " -c " in line}


def test_a_project_that_fails_its_checks_fails_the_build(box: Box, source: Path) -> None:
    (source / "expected").write_text("3 the\n")
    done = box("run", "--rm", "--volume", f"{source}:/src:ro", "--workdir", "/build", box.image, *MAKE)
    assert done.returncode == 2, "make's own status"
    assert "< 3 the" in done.stdout or "> 3 the" in done.stdout
    assert "Error 1" in done.stderr
