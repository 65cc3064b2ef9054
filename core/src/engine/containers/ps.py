"""`engine top CONTAINER OPTIONS`: what the host's ps(1) shows with these options, of a container's processes."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Sequence

from engine.errors import InvalidInput, Unsupported


def ps(options: Sequence[str], pids: Collection[int]) -> list[str]:
    """Return the heading and the lines of these processes.

    Raises `InvalidInput` for options that ps refuses or that show no process IDs, `Unsupported` where there is no ps.
    """
    listed = ",".join(map(str, sorted(pids)))
    done = _run([*options, "-q", listed])
    if done.returncode:  # some options cannot be combined with a choice of processes
        done = _run(options)
    if done.returncode:
        reason = next(iter(done.stderr.strip().splitlines()), "it failed").removeprefix("error: ")
        raise InvalidInput(f"ps {' '.join(options)}: {reason}", fix="See ps(1) for its options.")
    heading, *lines = done.stdout.splitlines() or [""]
    if "PID" not in heading.split():
        raise InvalidInput(
            f"ps {' '.join(options)} shows no process IDs, by which a container's are known",
            fix="Add them: -o pid,comm.",
        )
    column = heading.split().index("PID")
    wanted = set(map(str, pids))
    return [heading, *(line for line in lines if line.split()[column : column + 1] and line.split()[column] in wanted)]


def _run(options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["ps", *options], capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise Unsupported(
            "this machine has no ps program", fix="Run `apt install procps`, or leave out its options."
        ) from error
