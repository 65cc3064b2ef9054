"""What is remembered: only from this user's own file, only while every witness is as it was."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import cache

TICK = 0.06


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "cache"
    monkeypatch.setenv("ENGINE_CACHE", str(place))
    return place


def forget() -> None:
    """Be a new process."""
    cache._read.clear()


def recall(key: object = "key") -> cache.Plain:
    forget()
    return cache.recall("section", key)


def remember(value: cache.Plain, *paths: Path, key: object = "key") -> None:
    cache.remember("section", key, cache.witnesses(map(str, paths)), value)


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    file = tmp_path / "witness"
    file.write_text("one")
    time.sleep(TICK)
    return file


def test_what_was_remembered_is_recalled(witness: Path) -> None:
    value: cache.Plain = {"a": (1, "two", None, True), "b": {"c": b"\xff"}}
    remember(value, witness)
    assert recall() == value
    assert recall("another") is None


def test_the_newest_value_counts() -> None:
    remember(1)
    remember(2)
    assert recall() == 2


def test_sections_and_keys_live_side_by_side() -> None:
    for number in range(5):
        remember(number, key=("key", number))
    cache.remember("other", ("key", 1), (), "other")
    assert [recall(("key", number)) for number in range(5)] == [0, 1, 2, 3, 4]


def test_a_section_does_not_grow_without_end(place: Path) -> None:
    for number in range(200):
        remember(number, key=number)
    assert recall(199) == 199
    assert recall(0) is None
    assert (place / cache.FILE).stat().st_size < 10_000


def rewrite(file: Path) -> None:
    file.write_text("two")


def rewrite_and_restore_the_time(file: Path) -> None:
    found = file.stat()
    file.write_text("two")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def replace(file: Path) -> None:
    other = file.with_suffix(".new")
    other.write_text("two")
    other.rename(file)


def remove(file: Path) -> None:
    file.unlink()


def touch(file: Path) -> None:
    file.touch()


@pytest.mark.parametrize("change", [rewrite, rewrite_and_restore_the_time, replace, remove, touch])
def test_a_changed_witness_makes_it_forgotten(witness: Path, change: Callable[[Path], None]) -> None:
    remember("value", witness)
    assert recall() == "value"
    change(witness)
    assert recall() is None


def test_a_witness_that_appears_makes_it_forgotten(tmp_path: Path) -> None:
    remember("value", tmp_path / "absent")
    assert recall() == "value"
    (tmp_path / "absent").write_text("")
    assert recall() is None


def test_a_directorys_entries_are_its_witness(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    directory.mkdir()
    time.sleep(TICK)
    remember("value", directory)
    assert recall() == "value"
    (directory / "new").write_text("")
    assert recall() is None


def test_nothing_is_remembered_of_a_witness_that_has_just_changed(witness: Path) -> None:
    rewrite(witness)
    remember("value", witness)
    assert recall() is None


def test_a_file_system_of_whole_seconds_gets_more_time(witness: Path) -> None:
    second = time.time_ns() // 1_000_000_000 * 1_000_000_000
    cache.remember("section", "key", ((str(witness), (second, second, 3, 1, 1)),), "value")
    assert recall() is None


def test_a_time_in_the_future_does_not_keep_it_from_being_remembered(witness: Path) -> None:
    os.utime(witness, (time.time() + 10_000, time.time() + 10_000))
    time.sleep(TICK)
    remember("value", witness)
    assert recall() == "value"


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def let_others_write(file: Path) -> None:
    file.chmod(0o620)


def let_others_write_the_directory(file: Path) -> None:
    file.parent.chmod(0o770)


def link(file: Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


def make_a_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def give_away(file: Path) -> None:
    os.chown(file, 65534, 65534)


def give_the_directory_away(file: Path) -> None:
    os.chown(file.parent, 65534, 65534)


@pytest.mark.parametrize(
    "change",
    [
        damage,
        cut,
        empty,
        let_others_write,
        let_others_write_the_directory,
        link,
        make_a_fifo,
        give_away,
        give_the_directory_away,
    ],
)
def test_a_file_that_is_not_ours_alone_is_as_good_as_none(place: Path, change: Callable[[Path], None]) -> None:
    remember("value")
    assert recall() == "value"
    change(place / cache.FILE)
    assert recall() is None
    remember("again")
    forget()


def test_only_its_owner_may_read_it(place: Path) -> None:
    remember("value")
    assert place.stat().st_mode & 0o777 == 0o700
    assert (place / cache.FILE).stat().st_mode & 0o777 == 0o600
    assert os.listdir(place) == [cache.FILE]


def test_a_writer_that_was_killed_is_in_nobodys_way_for_long(place: Path) -> None:
    remember("value")
    half = place / f"{cache.FILE}.new"
    half.write_bytes(b"half")
    remember("meanwhile")
    assert recall() == "value"
    os.utime(half, (time.time() - 60, time.time() - 60))
    remember("later")
    assert recall() == "later"
    assert not half.exists()


def test_many_writers_at_once_leave_a_whole_file(place: Path) -> None:
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            for round_ in range(50):
                cache._read.clear()
                cache.remember("section", (number, round_), (), "x" * 100)
            os._exit(0)
        children.append(child)
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    remember("last")
    assert recall() == "last"
    assert os.listdir(place) == [cache.FILE]


def test_the_places_are_those_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.directory({}) == "/var/cache/engine"
    assert cache.directory({"ENGINE_CACHE": "/a"}) == "/a"
    assert cache.directory({"ENGINE_CACHE": "relative"}) == "/var/cache/engine"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cache.directory({"XDG_CACHE_HOME": "/x"}) == "/x/engine"
    assert cache.directory({"XDG_CACHE_HOME": "x"}) == os.path.expanduser("~/.cache/engine")
