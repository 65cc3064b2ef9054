"""The suite of log drivers, tried itself: a driver that is right passes, and each check catches one that is wrong.

The right one is what `engine plugins new` makes; the wrong ones differ from it in one place.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.contracts.common import Probe
from engine.contracts.logs import Entry, LogDriver
from engine.plugins.scaffold import scaffold
from engine.testing.log import LogContract, MakeDriver, SilentLogContract

MUTANTS = [
    ("test_probe_is_usable_and_says_why", "driver", "Probe(True,", "Probe(False,"),
    ("test_probe_is_usable_and_says_why", "driver", "\"writes a file below the engine's root\"", '""'),
    ("test_unknown_option_is_refused_by_name", "driver", "if key not in OPTIONS", "if key in OPTIONS"),
    ("test_unknown_option_is_refused_by_name", "driver", "no option '{key}'", "no such thing"),
    ("test_sink_is_lean", "sink", "import os\n", "import json\nimport os\n"),
    ("test_sink_is_lean", "sink", "import os\n", "import os\nimport pluggy\n"),
    ("test_lines_come_back_in_order", "sink", "{nanoseconds} ", "{nanoseconds // 1000} "),
    ("test_any_bytes_survive", "sink", 'decode("latin-1")', 'decode("utf-8", "replace")'),
    ("test_any_bytes_survive", "driver", "text[:-1].decode", "text[:-1].strip().decode"),
    ("test_streams_do_not_mix", "sink", " {stream} ", " stdout "),
    ("test_an_unfinished_line_is_kept", "sink", " + ([rest] if rest else [])", ""),
    ("test_a_very_long_line_survives", "driver", "(rest + block)", "(rest[:4096] + block)"),
    ("test_tail_gives_the_last_lines", "driver", "min(tail, len(there)) :", "min(tail, len(there)) - 1 :"),
    ("test_follow_gives_what_comes_until_the_end", "driver", "elif ended or", "elif ended is not None or"),
    ("test_follow_gives_what_comes_until_the_end", "driver", "                ended = follow.wait(0.1)\n",
     "                if follow.wait(0.1):\n                    return\n"),
    ("test_follow_after_tail_goes_on", "driver", "number >= len(there)", "number > len(there)"),
    ("test_follow_after_tail_goes_on", "driver", "number >= len(there)", "number >= 0"),
    ("test_a_restarted_container_goes_on", "sink", "os.O_APPEND", "os.O_TRUNC"),
    ("test_what_a_crash_cut_short_is_skipped", "sink", '!= b"\\n"', '== b"x"'),
    ("test_what_a_crash_cut_short_is_skipped", "driver", 'if space and text.endswith(b".")', "if space"),
    ("test_no_log_yet_is_no_error", "driver", "while not path.exists()", "while False"),
    ("test_descriptors_are_closed_and_never_inherited", "sink", "        os.close(self._file)", "        pass"),
    ("test_descriptors_are_closed_and_never_inherited", "sink", "        self._size = os.f",
     "        os.set_inheritable(self._file, True)\n        self._size = os.f"),
    ("test_a_full_disk_raises_and_loses_nothing_else", "sink", "            raise\n", "            return\n"),
    ("test_a_full_disk_raises_and_loses_nothing_else", "sink", "os.ftruncate(self._file, self._size)", "pass"),
]  # fmt: skip
"""A check, the module that is changed, what is replaced, and by what."""

CHECKS = sorted(name for name in dir(LogContract) if name.startswith("test_"))

_numbers = iter(range(1_000_000))


class Silent(LogDriver):
    """Keeps nothing and is right; the classes below are not."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.options = options

    def probe(self) -> Probe:
        return Probe(True, "keeps nothing")

    def sink_arguments(self) -> Mapping[str, str]:
        return {}

    def read(self, directory: Path, **_how: Any) -> Iterator[Entry]:
        return iter(())


class Writing(Silent):
    sink = "os"


def driver_of(
    directory: Path, monkeypatch: pytest.MonkeyPatch, module: str = "", old: str = "", new: str = ""
) -> MakeDriver:
    """Make a plugin with one change in it, and import its driver."""
    name = f"mutant{next(_numbers)}"
    package = f"engine_log_{name}"
    source = scaffold(name, "log", directory) / "src"
    if module:
        file = source / package / f"{module}.py"
        text = file.read_text()
        assert text.count(old) >= 1, f"{old!r} is not in {module}.py any more"
        file.write_text(text.replace(old, new))
    monkeypatch.syspath_prepend(source)
    driver: MakeDriver = getattr(importlib.import_module(f"{package}.driver"), f"{name.capitalize()}Driver")
    return driver


def run(check: str, driver: MakeDriver, container: Path, suite: type = LogContract) -> None:
    method = getattr(suite(), check)
    given = {"make_driver": driver, "container": container}
    method(**{name: given[name] for name in inspect.signature(method).parameters})


@pytest.fixture
def container(tmp_path: Path) -> Path:
    place = tmp_path / "container"
    place.mkdir()
    return place


@pytest.mark.parametrize("check", CHECKS)
def test_a_right_driver_passes(check: str, tmp_path: Path, container: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(check, driver_of(tmp_path, monkeypatch), container)


@pytest.mark.parametrize(("check", "module", "old", "new"), MUTANTS)
def test_a_wrong_driver_is_caught(
    check: str, module: str, old: str, new: str, tmp_path: Path, container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = driver_of(tmp_path, monkeypatch, module, old, new)
    with pytest.raises((Exception, pytest.fail.Exception)):
        run(check, driver, container)


def test_each_check_has_a_driver_that_it_catches() -> None:
    assert {check for check, *_change in MUTANTS} == set(CHECKS)


@pytest.mark.parametrize("wrong", [Silent, Writing])
def test_a_silent_driver_must_say_that_it_cannot_read(wrong: MakeDriver, container: Path) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run("test_reading_is_refused", wrong, container, SilentLogContract)
