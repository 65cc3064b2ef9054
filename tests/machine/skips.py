"""Which tests may be skipped, and why: tests/expected_skips.txt."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest


class Expected(NamedTuple):
    """One line of the file: patterns for the node id and for the reason."""

    test: str
    reason: str


def read(file: Path) -> list[Expected]:
    """Return the file's lines: ``NODE-ID-PATTERN | REASON-PATTERN | why this is fine``; ``#`` begins a comment line."""
    lines = (line.strip() for line in file.read_text().splitlines())
    return [_parse(line, file) for line in lines if line and not line.startswith("#")]


def _parse(line: str, file: Path) -> Expected:
    fields = [field.strip() for field in line.split("|")]
    if len(fields) != 3 or not all(fields):
        raise pytest.UsageError(f"{file}: '{line}' is not TEST | REASON | WHY")
    return Expected(fields[0], fields[1])


def is_expected(nodeid: str, reason: str, expected: list[Expected]) -> bool:
    """Return whether a line of the file covers this skip."""
    return any(fnmatchcase(nodeid, line.test) and fnmatchcase(reason, line.reason) for line in expected)


def reason_of(report: pytest.TestReport) -> str | None:
    """Return why a test was skipped; None when it was not (an expected failure is no skip)."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return None
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)
