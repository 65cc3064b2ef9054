"""Every flag that `engine run` and `engine create` offer has a row in the table, and does what its row says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.e2e.box import Box
from tests.e2e.flags import FILES, LIMITS, PRIVILEGES, PROCESS, RUN_ALONE, TABLE
from tests.e2e.scene import Inside, Row, Scene


def offered(command: str, box: Box) -> set[str]:
    """Return the long names of the flags that a command's help shows."""
    lines = box.done(command, "--help").stdout.splitlines()
    names = (re.match(r" +(?:-\w, )?(--[a-z][-a-z]*)", line) for line in lines)
    return {name.group(1) for name in names if name} - {"--help"}


@pytest.mark.parametrize("command", ["run", "create"])
def test_each_flag_that_is_offered_has_a_row(command: str, box: Box) -> None:
    rows = {row.flag for row in TABLE}
    assert offered(command, box) == (rows if command == "run" else rows - RUN_ALONE)


def words(row: Row, place: Path, box: Box) -> tuple[str, ...]:
    """Return a row's words as a shell reads them."""
    return tuple(shlex.split(row.typed.replace("{place}", str(place)).replace("PARENT", f"/{box.root.mark}")))


def test_words_name_the_flag_of_their_row(box: Box) -> None:
    short = {"-a", "-d", "-i", "-t", "-e", "-w", "-u", "-v", "-m", "-c", "-h", "-l", "--net"}
    for row in TABLE:
        typed = [word.partition("=")[0] for word in words(row, Path("/"), box)]
        assert row.flag in typed or short & set(typed), row


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.typed}: {row.effect}")
def test_run(row: Row, box: Box, tmp_path: Path) -> None:
    row.check(Scene(box, words(row, tmp_path, box), tmp_path))


@pytest.mark.parametrize("row", [row for row in TABLE if isinstance(row.check, Inside)], ids=lambda row: row.typed)
def test_create(row: Row, box: Box, tmp_path: Path) -> None:
    assert isinstance(row.check, Inside)
    with box.to_be_removed() as name:
        command = ("/bin/sh", "-c", row.check.script)
        box.done("create", "--name", name, *words(row, tmp_path, box), box.image, *command)
        assert box.done("start", "--attach", name).stdout == f"{row.check.expected}\n"


@pytest.mark.parametrize("row", [*PROCESS, *FILES, *LIMITS, *PRIVILEGES], ids=lambda row: f"{row.typed}: {row.effect}")
def test_run_with_runc(row: Row, box: Box, tmp_path: Path) -> None:
    """What another runtime makes of the flags that are the runtime's to fulfil."""
    row.check(Scene(box, (*words(row, tmp_path, box), "--runtime", "runc"), tmp_path))
