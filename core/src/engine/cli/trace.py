"""What `engine run --trace` shows: a tree for people, or a file for a trace viewer."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.cli.output import terminal_width, write_bytes
from engine.cli.tree import Branch, lines
from engine.errors import InvalidInput

if TYPE_CHECKING:
    from engine.containers.tracing import Span

_ID = re.compile(r"\b[0-9a-f]{64}\b")
_PROCESSES = ("command", "shim", "container")


def write_trace(spans: Sequence[Span], *, tree: bool, file: str) -> None:
    """Print the spans to standard error as a tree, and write them to a file. Raises `InvalidInput`."""
    if file:
        write_file(spans, file)
    if tree:
        width = terminal_width() if sys.stderr.isatty() else 0
        whole = max(span.ended for span in spans) - min(span.began for span in spans)
        for line in lines(f"traced {_milliseconds(whole)}", [*_branches(spans)], width):
            write_bytes(f"{line}\n".encode(), 2)


def check_file(file: str) -> None:
    """Refuse a file that cannot be written, before anything is done. Raises `InvalidInput`."""
    directory = os.path.dirname(os.path.abspath(file))
    if file and not (os.path.isdir(directory) and os.access(directory, os.W_OK) and not os.path.isdir(file)):
        raise InvalidInput(
            f"--trace-file: {file} cannot be written", fix="Name a file in a directory that exists and is yours."
        )


def write_file(spans: Sequence[Span], file: str) -> None:
    """Write complete events in Chrome's trace format, times in microseconds. Raises `InvalidInput`."""
    try:
        with open(file, "w", encoding="utf-8") as output:
            json.dump([*_names(), *map(_event, spans)], output, indent=0)
    except OSError as error:
        raise InvalidInput(
            f"--trace-file: {file} cannot be written: {error.strerror}", fix="Name a file that you may write."
        ) from error


def _names() -> list[dict[str, Any]]:
    return [
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": {"name": name}}
        for number, name in enumerate(_PROCESSES, 1)
    ]


def _event(span: Span) -> dict[str, Any]:
    return {
        "name": span.sentence,
        "cat": span.call or "stage",
        "ph": "X",
        "ts": span.began / 1000,
        "dur": (span.ended - span.began) / 1000,
        "pid": 1,
        "tid": _PROCESSES.index(span.process) + 1,
        "args": {"plugin": span.plugin or "engine"},
    }


def _branches(spans: Sequence[Span]) -> list[Branch]:
    branches = []
    for process in _PROCESSES:
        own = [span for span in spans if span.process == process]
        total = sum(span.ended - span.began for span in own)
        leaves = [(_milliseconds(span.ended - span.began), _text(span)) for span in own]
        if own:
            branches.append(Branch(f"{process} {_milliseconds(total).strip()}", leaves))
    return branches


def _text(span: Span) -> str:
    """Return a span for people, who need but the beginning of a container's ID."""
    sentence = _ID.sub(lambda match: f"{match[0][:12]}…", span.sentence)
    return f"{span.plugin}: {sentence}" if span.plugin else sentence


def _milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:7.2f} ms"
