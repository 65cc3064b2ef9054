from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contracts.observer import Event, Topic
from engine.events import journal
from engine.events.reading import read

WRITER = """
import sys
from time import time_ns
from engine.contracts.observer import Event, Topic
from engine.events import journal

journal.LIMIT = 40000
directory, who = sys.argv[1:]
number = 0
for line in sys.stdin:
    for _ in range(50):
        journal.append(directory, Event(time_ns(), "container", Topic.START, f"{who}-{number}", {"name": "x" * 50}))
        number += 1
"""
ROUNDS, WRITERS = 8, 4


def event(name: str, nanoseconds: int = 0, topic: Topic = Topic.START) -> Event:
    return Event(nanoseconds or time.time_ns(), "container", topic, name, {"name": name})


def ids(events: Iterator[Event]) -> list[str]:
    return [one.id for one in events]


def history(directory: Path) -> list[str]:
    return ids(read(str(directory), since=0, until=time.time_ns()))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    odd = Event(5, "image", Topic.TAG, 'a"b', {"label": "two\nlines \udcff", "é": ""}, "detail: x")
    journal.append(str(tmp_path / "events"), odd)
    (found,) = read(str(tmp_path / "events"), since=0, until=9)
    assert found.id == 'a"b'
    assert found.attributes["label"].startswith("two\nlines ")
    assert found.action == "tag: detail: x"


def test_writers_that_race_and_rotate_lose_nothing_of_a_reader_that_follows(tmp_path: Path) -> None:
    """Of what is written in a round no journal is full, so the reader is at most one behind; all fill several."""
    deadline = time.time_ns() + 60_000_000_000
    following = read(str(tmp_path), until=deadline, since=1)
    programs = [[sys.executable, "-c", WRITER, str(tmp_path), f"w{n}"] for n in range(WRITERS)]
    writers = [subprocess.Popen(program, stdin=subprocess.PIPE) for program in programs]
    seen: list[str] = []
    for _ in range(ROUNDS):
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write(b"\n")
            writer.stdin.flush()
        seen += [next(following).id for _ in range(WRITERS * 50)]
    for writer in writers:
        writer.communicate()
    assert Counter(seen) == Counter(f"w{n}-{number}" for n in range(WRITERS) for number in range(ROUNDS * 50))
    assert sorted(os.listdir(tmp_path)) == ["journal", "journal.1", "lock"]
    assert (tmp_path / "journal").stat().st_size < 42000
    following.close()


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    journal.append(str(tmp_path), event("before"))
    with (tmp_path / "journal").open("ab") as file:
        file.write(journal.encode(event("cut"))[:40])
    journal.append(str(tmp_path), event("after"))
    with (tmp_path / "journal").open("ab") as file:
        file.write(
            b"\n\0\0\0\n[1]\n" + json.dumps({**event("other")._asdict(), "topic": "unheard of"}).encode() + b"\n"
        )
    assert history(tmp_path) == ["before", "after"]
    assert ids(journal.newest_first(str(tmp_path))) == ["after", "before"]


def test_a_line_cut_at_the_end_waits_for_no_reader(tmp_path: Path) -> None:
    """One that follows reads the whole lines behind it as they come."""
    with (tmp_path / "journal").open("ab") as file:
        file.write(journal.encode(event("cut"))[:-5])
    following = read(str(tmp_path), since=0, until=time.time_ns() + 20_000_000_000)
    threading.Timer(0.2, lambda: journal.append(str(tmp_path), event("next"))).start()
    assert next(following).id == "next"
    following.close()


def test_who_writes_to_a_journal_that_is_gone_writes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.append(str(tmp_path), event("first"))
    opened = journal._open

    def slowly(directory: str) -> int:
        fd = opened(directory)
        monkeypatch.setattr(journal, "_open", opened)
        (tmp_path / "journal").unlink()
        return fd

    monkeypatch.setattr(journal, "_open", slowly)
    journal.append(str(tmp_path), event("late"))
    assert history(tmp_path) == ["late"]


def test_only_what_comes_is_shown_when_no_time_is_named(tmp_path: Path) -> None:
    journal.append(str(tmp_path), event("old"))
    following = read(str(tmp_path))
    threading.Timer(0.2, lambda: journal.append(str(tmp_path), event("new"))).start()
    assert next(following).id == "new"
    following.close()


def test_since_and_until_include_both_ends_and_sort(tmp_path: Path) -> None:
    journal.append(str(tmp_path), *(event(str(number), number) for number in (1, 3, 2, 4)))
    assert ids(read(str(tmp_path), since=2, until=3)) == ["2", "3"]
    assert ids(read(str(tmp_path), until=3)) == ["1", "2", "3"]


def test_it_ends_at_the_time_named_without_an_event(tmp_path: Path) -> None:
    began = time.monotonic()
    assert ids(read(str(tmp_path), until=time.time_ns() + 300_000_000)) == []
    assert 0.3 <= time.monotonic() - began < 20


def test_it_ends_when_nobody_reads(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    threading.Timer(0.2, lambda: os.close(reading)).start()
    assert ids(read(str(tmp_path), reader=writing)) == []
    os.close(writing)
