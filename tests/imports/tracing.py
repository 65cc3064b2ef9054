"""Which modules a Python process imports, in order, with the time of each (``-X importtime``)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Imported(NamedTuple):
    """One module: its name and the microseconds of itself alone, without what it imports in turn."""

    name: str
    microseconds: int

    @property
    def top(self) -> str:
        """The name of the package that it belongs to."""
        return self.name.partition(".")[0]


def by(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> list[Imported]:
    """Run Python with these arguments and return what it imported. Raises AssertionError when it fails."""
    command = [sys.executable, "-X", "importtime", *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    others = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("import time:"))
    assert done.returncode == 0, f"{' '.join(map(str, arguments))}: {others}"
    lines = (line.removeprefix("import time:") for line in done.stderr.splitlines() if line.startswith("import time:"))
    fields = [line.split("|") for line in lines if "self [us]" not in line]
    return [Imported(name.strip(), int(own)) for own, _, name in fields]
