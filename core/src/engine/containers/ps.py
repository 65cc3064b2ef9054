"""`engine top CONTAINER OPTIONS`: what the host's ps(1) shows with these options, of a container's processes."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Sequence

from engine.errors import InvalidInput, Unsupported


def ps(options: Sequence[str], pids: Collection[int]) -> list[str]:
    """Return the heading and the lines of these processes.

    Raises `InvalidInput` for options that ps refuses, or that choose processes and show no process IDs, `Unsupported`
    where there is no ps.
    """
    done = _run([*options, "-q", ",".join(map(str, sorted(pids)))])
    if not done.returncode:
        return done.stdout.splitlines()
    return _chosen(options, set(map(str, pids)))


def _chosen(options: Sequence[str], pids: Collection[str]) -> list[str]:
    """Return the same for options that choose processes themselves, which ps refuses beside a choice of ours.

    What is in front of a process ID may have spaces in it (a command), so one more is asked for as the last column. To
    formats of ps's own, as -f, none can be added; there it stands before all that may have any.
    """
    done = _run([*options, "-o", "pid="])
    if not done.returncode:
        heading, *lines = done.stdout.splitlines() or [""]
        split = [line.rstrip().rpartition(" ") for line in lines]
        return [heading.rstrip(), *(line.rstrip() for line, _space, pid in split if pid in pids)]
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
    return [heading, *(line for line in lines if set(line.split()[column : column + 1]) & set(pids))]


def _run(options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["ps", *options], capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise Unsupported(
            "this machine has no ps program", fix="Run `apt install procps`, or leave out its options."
        ) from error
