"""The contract suite of log drivers.

A plugin's whole test module::

    class TestMine(LogContract):
        @pytest.fixture
        def make_driver(self):
            return MyDriver

``make_driver`` takes the user's options and returns a driver. The suite writes through the sink as the shim does and
reads through the driver as `engine logs` does, in a temporary directory. Root is needed by the check with a full disk
alone. A driver that keeps nothing (``sink = ""``) passes `SilentLogContract` instead.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.contracts.common import Probe
from engine.contracts.logs import Entry, Follow, LogDriver
from engine.errors import InvalidInput, Unsupported
from engine.linux.mounts import attach, new_mount
from engine.plugins.installed import core_directory
from engine.testing.processes import in_private_mounts

MakeDriver = Callable[[Mapping[str, str]], LogDriver]

EVERY_BYTE = bytes(range(256))
UMLAUT = "\u00fc".encode()
HEAVY = ("asyncio", "dataclasses", "json", "logging", "pathlib", "re", "subprocess", "threading", "typing")
"""What a sink must not import: the shim stays in memory as long as its container."""


class Ended(Follow):
    """A writer that has ended, once ``before_end`` has run: what it writes must still be read."""

    def __init__(self, *before_end: Callable[[], object]) -> None:
        self._steps = list(before_end)

    def wait(self, seconds: float) -> bool:
        """Do one step; the last one ends."""
        if self._steps:
            self._steps.pop(0)()
        return not self._steps


class _AnyLogContract:
    """What holds for drivers that keep something and for those that do not."""

    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        """Return a function from options to a driver: each plugin's own."""
        raise NotImplementedError("a subclass says how its driver is made")

    @pytest.fixture
    def container(self, tmp_path: Path) -> Path:
        """Return a container's directory."""
        place = tmp_path / "container"
        place.mkdir()
        return place

    def test_probe_is_usable_and_says_why(self, make_driver: MakeDriver) -> None:
        """The driver was installed to be used here."""
        answer = make_driver({}).probe()
        assert isinstance(answer, Probe)
        assert answer.usable, answer.reason
        assert answer.reason

    def test_unknown_option_is_refused_by_name(self, make_driver: MakeDriver) -> None:
        """A slip in an option must not pass in silence."""
        with pytest.raises(InvalidInput, match="no-such-option"):
            make_driver({"no-such-option": "1"}).sink_arguments()


class SilentLogContract(_AnyLogContract):
    """What a driver that keeps nothing must do."""

    def test_reading_is_refused(self, make_driver: MakeDriver, container: Path) -> None:
        """An empty answer would look as if the container had said nothing."""
        driver = make_driver({})
        assert driver.sink == ""
        with pytest.raises(Unsupported):
            list(driver.read(container))


class LogContract(_AnyLogContract):
    """What every log driver that keeps something must do. See the module's text."""

    def test_sink_is_lean(self, make_driver: MakeDriver) -> None:
        """The shim imports it with nothing but the standard library and its own directory in sight."""
        sink = make_driver({}).sink
        place = _directory(sink)
        program = f"import sys; sys.path += {[core_directory(), place]!r}; import {sink}; print(*sys.modules)"
        result = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        assert not set(HEAVY) & set(result.stdout.split())

    def test_lines_come_back_in_order(self, make_driver: MakeDriver, container: Path) -> None:
        """Time, stream and bytes are what the shim gave."""
        written = [Entry(10**18 + number, _stream(number), b"line %d\n" % number) for number in range(100)]
        driver = make_driver({})
        _write(driver, container, written)
        assert list(driver.read(container)) == written

    def test_any_bytes_survive(self, make_driver: MakeDriver, container: Path) -> None:
        """Output is bytes: controls, quotes, zeros, what is no UTF-8, characters cut in two by the shim's read(2)."""
        pieces = [
            EVERY_BYTE,
            b"\n",
            UMLAUT[:1],
            UMLAUT[1:],
            b'"\\\n',
            UMLAUT[:1],
            b"\n\xed\xa0\x80\\ud800\n",
            b"  \t ",
            UMLAUT[:1],
        ]
        driver = make_driver({})
        _write(driver, container, [Entry(1, "stdout", piece) for piece in pieces])
        assert _data(driver.read(container)) == b"".join(pieces)

    def test_streams_do_not_mix(self, make_driver: MakeDriver, container: Path) -> None:
        """A line cut in two stays one, whatever the other stream says meanwhile."""
        driver = make_driver({})
        pieces = [("stdout", b"a" + UMLAUT[:1]), ("stderr", b"b\n"), ("stdout", UMLAUT[1:] + b"\n")]
        _write(driver, container, [Entry(1, stream, data) for stream, data in pieces])
        entries = list(driver.read(container))
        assert _data(entry for entry in entries if entry.stream == "stdout") == b"a" + UMLAUT + b"\n"
        assert _data(entry for entry in entries if entry.stream == "stderr") == b"b\n"

    def test_an_unfinished_line_is_kept(self, make_driver: MakeDriver, container: Path) -> None:
        """A prompt, or the last words of a process that was killed."""
        driver = make_driver({})
        _write(driver, container, [Entry(1, "stdout", b"done\npassword: ")])
        assert _data(driver.read(container)) == b"done\npassword: "

    def test_a_very_long_line_survives(self, make_driver: MakeDriver, container: Path) -> None:
        """A megabyte without a line end, as a minified file is."""
        driver = make_driver({})
        line = b"0123456789abcdef" * 65536 + b"\n"
        _write(
            driver, container, [Entry(1, "stdout", line[start : start + 65536]) for start in range(0, len(line), 65536)]
        )
        found = _data(driver.read(container))
        # Not side by side: pytest would be busy for minutes with the difference of two megabytes.
        assert (len(found), found == line) == (len(line), True)

    def test_tail_gives_the_last_lines(self, make_driver: MakeDriver, container: Path) -> None:
        """As many as asked for, or all there are; 0 is none."""
        written = [Entry(number, _stream(number), b"line %d\n" % number) for number in range(1, 5001)]
        driver = make_driver({})
        _write(driver, container, written)
        for tail in (0, 1, 17, 4999, 5000, 6000):
            assert list(driver.read(container, tail=tail)) == written[max(0, 5000 - tail) :]

    def test_follow_gives_what_comes_until_the_end(self, make_driver: MakeDriver, container: Path) -> None:
        """Entries written while the reader waits, the last ones before the end included, each once."""
        driver = make_driver({})
        sink = _open(driver, container)
        sink.write("stdout", b"first\n", 1)
        more = [lambda: None, lambda: sink.write("stdout", b"second\n", 2), lambda: _finish(sink, b"third\n", 3)]
        found = list(driver.read(container, follow=Ended(*more)))
        assert found == [
            Entry(1, "stdout", b"first\n"),
            Entry(2, "stdout", b"second\n"),
            Entry(3, "stdout", b"third\n"),
        ]

    def test_follow_after_tail_goes_on(self, make_driver: MakeDriver, container: Path) -> None:
        """``logs --tail 1 -f``: the last line, then the new ones."""
        driver = make_driver({})
        sink = _open(driver, container)
        sink.write("stdout", b"first\nsecond\n", 1)
        found = driver.read(container, tail=1, follow=Ended(lambda: None, lambda: _finish(sink, b"third\n", 3)))
        assert _data(found) == b"second\nthird\n"

    def test_a_restarted_container_goes_on(self, make_driver: MakeDriver, container: Path) -> None:
        """A second start keeps what the first one said."""
        driver = make_driver({})
        _write(driver, container, [Entry(1, "stdout", b"first\n")])
        _write(driver, container, [Entry(2, "stdout", b"second\n")])
        assert _data(driver.read(container)) == b"first\nsecond\n"

    def test_what_a_crash_cut_short_is_skipped(self, make_driver: MakeDriver, container: Path) -> None:
        """Power was lost in the middle of an entry: the ones before and after are whole, and none is invented."""
        driver = make_driver({})
        _write(driver, container, [Entry(1, "stdout", b"before\n"), Entry(2, "stdout", b"torn\n")])
        newest = max(_files(container), key=lambda file: file.stat().st_mtime_ns)
        os.truncate(newest, newest.stat().st_size - 3)
        assert _data(driver.read(container)) == b"before\n"
        _write(driver, container, [Entry(3, "stdout", b"after\n")])
        assert _data(driver.read(container)) == b"before\nafter\n"
        assert _data(driver.read(container, tail=1)) == b"after\n"

    def test_no_log_yet_is_no_error(self, make_driver: MakeDriver, container: Path) -> None:
        """A container that said nothing, or was never started."""
        driver = make_driver({})
        assert list(driver.read(container)) == []
        assert list(driver.read(container, tail=3, follow=Ended())) == []

    def test_descriptors_are_closed_and_never_inherited(self, make_driver: MakeDriver, container: Path) -> None:
        """The shim starts the container's processes: no descriptor of the log may reach them, or stay after `close`."""
        driver = make_driver({})
        before = set(os.listdir("/proc/self/fd"))
        sink = _open(driver, container)
        sink.write("stdout", b"line\n", 1)
        for name in set(os.listdir("/proc/self/fd")) - before:
            assert not os.path.exists(f"/proc/self/fd/{name}") or not os.get_inheritable(int(name))
        sink.close()
        assert len(os.listdir("/proc/self/fd")) == len(before)

    def test_a_full_disk_raises_and_loses_nothing_else(self, make_driver: MakeDriver, container: Path) -> None:
        """`OSError` for what could not be written; what was written before stays, and room again means logs again."""
        driver = make_driver({})
        if os.geteuid() != 0:
            pytest.skip("a small tmpfs needs root")
        in_private_mounts(lambda: _fill_the_disk(driver, container))


def _fill_the_disk(driver: LogDriver, directory: Path) -> None:
    attach(new_mount("tmpfs", {"size": "256k"}), -100, str(directory))
    sink = _open(driver, directory)
    sink.write("stdout", b"before\n", 1)
    filler = directory / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * (1 << 20))
    with pytest.raises(OSError, match="No space left"):
        sink.write("stdout", b"lost\n" * 20000, 2)
    filler.unlink()
    sink.write("stdout", b"after\n", 3)
    sink.close()
    first, *between, last = _data(driver.read(directory)).splitlines()
    assert (first, last) == (b"before", b"after")
    assert set(between) <= {b"lost"}


def _write(driver: LogDriver, directory: Path, entries: Iterable[Entry]) -> None:
    sink = _open(driver, directory)
    for entry in entries:
        sink.write(entry.stream, entry.data, entry.nanoseconds)
    sink.close()


def _open(driver: LogDriver, directory: Path) -> Any:
    module = importlib.import_module(driver.sink)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return module.open(descriptor, driver.sink_arguments())
    finally:
        os.close(descriptor)


def _directory(module: str) -> str:
    """Return what must be on sys.path to import the module."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    assert spec is not None, f"{module} cannot be found"
    assert spec.origin is not None, f"{module} has no file"
    origin = Path(spec.origin)
    return str(origin.parent.parent if spec.submodule_search_locations else origin.parent)


def _finish(sink: Any, data: bytes, nanoseconds: int) -> None:
    sink.write("stdout", data, nanoseconds)
    sink.close()


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def _data(entries: Iterable[Entry]) -> bytes:
    return b"".join(entry.data for entry in entries)


def _stream(number: int) -> str:
    return "stderr" if number % 3 == 0 else "stdout"
