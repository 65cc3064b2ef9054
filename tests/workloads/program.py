"""A program that uses the engine as a library: ``python -m tests.workloads.program ROOT STATE RUNS IMAGE``.

Runs containers one after the other in this one process, and prints as JSON what it holds after the first tenth of them
and at the end.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from engine.containers.engine import Engine
from engine.containers.running import run
from engine.settings import load
from engine.spec.options import RunOptions


def held(root: str) -> dict[str, int]:
    """Return what this process holds: descriptors, children, mounts below the root, kibibytes of memory of its own."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "children": len(children),
        "mounts": Path("/proc/self/mountinfo").read_text().count(root),
        "memory": int(status["RssAnon"].split()[0]),
    }


def main(root: str, state: str, runs: str, image: str) -> None:
    """Run them all; an exit status that is not the container's own ends the program."""
    engine = Engine(load({"root": root, "state": state}))
    options = RunOptions(image=image, command=("sh", "-c", "exit 7"), rm=True)
    for number in range(int(runs)):
        status = run(engine, options, detach_keys=b"", created=lambda _record: None)
        if status != 7:
            sys.exit(f"run {number} ended with {status}")
        if number in {int(runs) // 10, int(runs) - 1}:
            print(json.dumps(held(root)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
