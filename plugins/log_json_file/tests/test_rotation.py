"""Rotation: how much is kept, and a reader that follows while the files move under it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from engine.contracts.logs import Entry, Follow
from engine_log_json_file import sink
from engine_log_json_file.driver import JsonFileDriver


class Until(Follow):
    """A writer that has ended when the event is set."""

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def wait(self, seconds: float) -> bool:
        return self.event.wait(seconds / 20)


def open_sink(directory: Path, driver: JsonFileDriver) -> sink.Sink:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return sink.open(descriptor, dict(driver.sink_arguments()))
    finally:
        os.close(descriptor)


def numbers(entries: list[Entry]) -> list[int]:
    return [int(entry.data) for entry in entries]


@pytest.mark.parametrize("files", [1, 2, 4])
def test_no_more_files_and_no_larger_ones_than_asked_for(tmp_path: Path, files: int) -> None:
    driver = JsonFileDriver({"max-size": "1k", "max-file": str(files)})
    log = open_sink(tmp_path, driver)
    for start in range(0, 1000, 50):
        log.write("stdout", b"".join(b"%d\n" % number for number in range(start, start + 50)), start)
    log.close()
    names = ["json.log", *(f"json.log.{number}" for number in range(1, files))]
    assert sorted(os.listdir(tmp_path)) == names
    assert all((tmp_path / name).stat().st_size <= 1024 for name in names)
    kept = numbers(list(driver.read(tmp_path)))
    assert kept == list(range(kept[0], 1000))
    assert len(kept) > 12 * (files - 1)


def test_an_object_larger_than_a_file_is_written_all_the_same(tmp_path: Path) -> None:
    driver = JsonFileDriver({"max-size": "1k", "max-file": "3"})
    log = open_sink(tmp_path, driver)
    log.write("stdout", b"first\n" + b"x" * 5000 + b"\nlast\n", 1)
    log.close()
    assert b"".join(entry.data for entry in driver.read(tmp_path)) == b"first\n" + b"x" * 5000 + b"\nlast\n"


def test_unlimited_never_rotates(tmp_path: Path) -> None:
    log = open_sink(tmp_path, JsonFileDriver({"max-size": "-1"}))
    log.write("stdout", b"line\n" * 100_000, 1)
    log.close()
    assert os.listdir(tmp_path) == ["json.log"]


@pytest.mark.parametrize("tail", [None, 1])
def test_a_follower_misses_nothing_through_many_rotations(tmp_path: Path, tail: int | None) -> None:
    """The writer waits for nobody; enough files are kept for a reader that is a little behind."""
    driver = JsonFileDriver({"max-size": "8k", "max-file": "500"})
    log = open_sink(tmp_path, driver)
    log.write("stdout", b"0\n", 0)
    done = threading.Event()

    def write() -> None:
        for number in range(1, 20_000):
            log.write("stdout", b"%d\n" % number, number)
        log.close()
        done.set()

    writer = threading.Thread(target=write)
    reader = driver.read(tmp_path, tail=tail, follow=Until(done))
    found = [int(next(reader).data)]
    writer.start()
    found += numbers(list(reader))
    writer.join()
    assert found == list(range(20_000))


def test_a_follower_that_is_left_behind_goes_on_with_the_oldest_there_is(tmp_path: Path) -> None:
    driver = JsonFileDriver({"max-size": "1k", "max-file": "2"})
    log = open_sink(tmp_path, driver)
    log.write("stdout", b"0\n", 0)
    done = threading.Event()
    reader = driver.read(tmp_path, follow=Until(done))
    assert int(next(reader).data) == 0
    for number in range(1, 500):
        log.write("stdout", b"%d\n" % number, number)
    log.close()
    done.set()
    found = numbers(list(reader))
    assert found == sorted(set(found))
    assert found[-1] == 499
    assert 500 not in found
    assert len(found) < 100


def test_a_rotation_cut_short_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL between the rename and the new file: what was renamed is read, and a new start goes on."""
    driver = JsonFileDriver({"max-size": "1k", "max-file": "3"})
    log = open_sink(tmp_path, driver)
    log.write("stdout", b"1\n", 1)
    log.close()
    (tmp_path / "json.log").rename(tmp_path / "json.log.1")
    done = threading.Event()
    reader = driver.read(tmp_path, follow=Until(done))
    assert int(next(reader).data) == 1
    log = open_sink(tmp_path, driver)
    log.write("stdout", b"2\n", 2)
    log.close()
    done.set()
    assert numbers(list(reader)) == [2]


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "json.log").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        open_sink(tmp_path, JsonFileDriver({}))
    assert not target.exists()
