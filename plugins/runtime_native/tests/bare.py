"""Run a container as the shim does: from a bare interpreter that has imported the stage and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import engine
import engine_runtime_native
from engine.actions.task import Task
from engine.linux.interpreter import read_only

INTERPRETER = Path(sys.executable).resolve()
PROGRAM = """
import sys
sys.path[:0] = {paths!r}
import json
import os
from engine.actions import execute as steps_of
from engine.actions import rootfs
from engine.actions.base import Phase, from_plain, of_phase
from engine.actions.task import Streams, Task
from engine.errors import EngineError
from engine.linux import mounts, namespaces, processes
from engine_runtime_native import stage

request = json.load(sys.stdin)
if request["modules"]:
    print(json.dumps(sorted(getattr(module, "__file__", None) or "" for module in sys.modules.values())))
    sys.exit()
task = Task.of_plain(request["task"])
namespaces.unshare(namespaces.CLONE_NEWNS)
mounts.make_propagation("/", mounts.MS_SLAVE | mounts.MS_REC)
slots = {{}}
answer = {{"status": None, "stdout": "", "error": "", "executed": ""}}
steps_of.run(of_phase(task.steps, Phase.PARENT_BEFORE), slots)
output, writes = os.pipe()
null = os.open("/dev/null", os.O_RDONLY)
try:
    created = stage.create(task, Streams(null, writes, writes), slots)
    steps_of.run(of_phase(task.steps, Phase.PARENT_AFTER), slots)
    stage.start(created)
    if request["exec"]:
        steps = tuple(map(from_plain, request["exec"]["steps"]))
        try:
            made = stage.execute(
                task, request["exec"]["process"], steps, Streams(null, writes, writes), created.pidfd, {{}}
            )
            processes.wait(made.pidfd, pidfd=True)
        except EngineError as error:
            answer["executed"] = str(error)
        processes.pidfd_send_signal(created.pidfd, 9)
    os.close(writes)
    while chunk := os.read(output, 65536):
        answer["stdout"] += chunk.decode()
    answer["status"] = processes.wait(created.pidfd, pidfd=True).exit_status
except EngineError as error:
    answer["error"] = str(error)
print(json.dumps(answer))
"""


def paths() -> list[str]:
    """Return the directories that the shim's interpreter searches for the engine."""
    return [str(Path(module.__path__[0]).parent) for module in (engine, engine_runtime_native)]


def run(
    task: Task,
    executed: dict[str, Any] | None = None,
    program: str = PROGRAM,
    interpreter: Path = INTERPRETER,
    *,
    protected: bool = True,
) -> dict[str, Any]:
    """Run the container, and one more process in it; return what became of both."""
    request = {"modules": False, "task": task.to_plain(), "exec": executed}
    return dict(_interpret(request, program, interpreter, protected=protected))


def modules() -> list[str]:
    """Return the files of all modules that such an interpreter has loaded."""
    return [file for file in _interpret({"modules": True}, PROGRAM, INTERPRETER, protected=True) if file]


def _interpret(request: dict[str, Any], program: str, interpreter: Path, *, protected: bool) -> Any:
    # From a read-only mount of the interpreter, as the shim is started: see the plugin's README.
    mount = read_only(str(interpreter))
    with open(mount, "rb", buffering=0):
        done = subprocess.run(
            [str(interpreter), "-I", "-S", "-X", "utf8", "-c", program.format(paths=paths())],
            executable=f"/proc/self/fd/{mount}" if protected else str(interpreter),
            pass_fds=(mount,),
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
