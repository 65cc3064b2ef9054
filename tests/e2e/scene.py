"""What a row of the table of flags is checked with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.box import Box


class Scene(NamedTuple):
    """An engine, the words of a row as typed, and a directory that ``{place}`` in them stands for."""

    box: Box
    typed: tuple[str, ...]
    place: Path

    def run(self, script: str, *more: str, **options: Any) -> str:
        """Return what a shell script prints in a container with the row's flag."""
        return self.box.run(*self.typed, *more, script=script, **options)

    def bare(self, script: str, *more: str, **options: Any) -> str:
        """Return what it prints without the row's flag."""
        return self.box.run(*more, script=script, **options)


@dataclass(frozen=True, slots=True)
class Inside:
    """A check by what a shell script prints inside: ``expected`` with the flag, and anything else without it.

    ``default``: the flag says what is so anyway, and the script prints the same without it.
    """

    script: str
    expected: str
    default: bool = False

    def __call__(self, scene: Scene) -> None:
        """Run the script with the flag and without it."""
        assert scene.run(self.script) == f"{self.expected}\n"
        assert (scene.bare(self.script) == f"{self.expected}\n") is self.default


Check = Callable[[Scene], None]


class Row(NamedTuple):
    """A flag, an example of it as typed, the effect that shows it works, and the check of that effect."""

    flag: str
    typed: str
    effect: str
    check: Check
