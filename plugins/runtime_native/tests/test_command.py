"""What a person is told when a command cannot be executed; the image has no say in how it looks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import CommandNotFound, CommandNotRunnable
from engine.testing.runtime_support import Box, make_spec, with_process


def script(box: Box, first_line: bytes) -> None:
    file = box.tree / "bin/script"
    file.write_bytes(b"#!" + first_line + b"\n")
    file.chmod(0o755)


def test_interpreter_cannot_write_to_the_terminal(box: Box) -> None:
    script(box, b"/opt/\x1b[2Jgone\xff")
    with pytest.raises(CommandNotFound) as caught:
        box.run(make_spec("script"))
    assert str(caught.value).isprintable()
    assert "x1b[2Jgone" in str(caught.value)


def test_interpreter_of_great_length_is_cut(box: Box) -> None:
    script(box, b"/" + b"x" * 200)
    with pytest.raises(CommandNotFound) as caught:
        box.run(make_spec("script"))
    assert len(str(caught.value)) < 400


def test_loader_of_a_program_is_named(box: Box) -> None:
    (box.tree / "bin/program").write_bytes(Path("/bin/sh").resolve().read_bytes())
    (box.tree / "bin/program").chmod(0o755)
    with pytest.raises(CommandNotFound, match=r"interpreter /lib\S*/ld-"):
        box.run(make_spec("program"))


def test_file_that_may_not_be_executed_does_not_hide_a_later_one(box: Box) -> None:
    for directory, mode, text in (("first", 0o644, "exit 1"), ("second", 0o755, "echo second")):
        (box.tree / directory).mkdir()
        (box.tree / directory / "tool").write_text(f"#!/bin/sh\n{text}\n")
        (box.tree / directory / "tool").chmod(mode)
    assert box.run(with_process(make_spec("tool"), env=["PATH=/first:/second"])).stdout == "second\n"


def test_file_that_may_not_be_executed_is_told_when_there_is_no_other(box: Box) -> None:
    (box.tree / "first").mkdir()
    (box.tree / "first/tool").write_text("text")
    with pytest.raises(CommandNotRunnable, match="/first/tool"):
        box.run(with_process(make_spec("tool"), env=["PATH=/first:/missing"]))


def test_default_path_is_searched_without_one(box: Box) -> None:
    assert box.run(with_process(make_spec("pwd"), env=[])).stdout == "/\n"


def test_empty_command_is_not_found(box: Box) -> None:
    with pytest.raises(CommandNotFound, match="empty"):
        box.run(make_spec(""))


def test_interpreter_that_is_a_directory_is_not_runnable(box: Box) -> None:
    script(box, b"/bin")
    with pytest.raises(CommandNotRunnable, match="/bin/script"):
        box.run(make_spec("script"))


def test_command_that_is_a_fifo_is_not_opened(box: Box) -> None:
    os.mkfifo(box.tree / "bin/pipe", 0o755)
    with pytest.raises(CommandNotRunnable, match="/bin/pipe"):
        box.run(make_spec("pipe"))
