"""A shim that ends before it has got its plan: the command says why, and leaves nothing of the run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.machine.engine_root import EngineRoot

AS_SHIM = """\
from engine.shim import launch
launch._PROGRAM = {program!r}
from engine.cli.main import main
main()
"""
WITHOUT_A_WORD = "raise SystemExit(3)"
WITH_AN_ERROR = """\
import socket, sys
sys.path[:0] = {paths!r}
from engine.errors import EngineError
from engine.shim import main
main.refuse(socket.socket(fileno=3), EngineError("the stage is broken", fix="Mend it."))
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [(WITHOUT_A_WORD, "the container's shim ended before it answered"), (WITH_AN_ERROR, "the stage is broken")],
    ids=["without a word", "with an error"],
)
@pytest.mark.parametrize("flags", [(), ("--rm",), ("-d",)], ids=["kept", "removed", "detached"])
def test_a_shim_that_ends_before_its_plan(
    engine_root: EngineRoot, program: str, said: str, flags: tuple[str, ...]
) -> None:
    command = engine_root.command("run", *flags, "--name", "victim", "host:", "true")
    python = os.fspath(Path(command[0]).parent / "python")
    done = subprocess.run(
        [python, "-c", AS_SHIM.format(program=program), *command[1:]],
        env=engine_root.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    assert done.returncode == 125
    assert done.stderr.startswith(f"engine: {said}\n"), done.stderr
    assert os.listdir(engine_root.state / "containers") == []
    if "--rm" in flags:
        assert engine_root.run("ps", "-aq").stdout == ""
    else:
        (found,) = json.loads(engine_root.run("inspect", "victim").stdout)
        assert found["State"]["Error"].startswith(said)
