"""The lines as other programs see them, and the options."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InvalidInput
from engine_log_json_file import sink
from engine_log_json_file.driver import JsonFileDriver
from engine_log_json_file.entries import parse


def written(directory: Path, *pieces: bytes, nanoseconds: int = 0) -> list[dict[str, Any]]:
    """Write the pieces to stdout and return the file's objects, each line read by the json module."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    log = sink.open(descriptor, dict(JsonFileDriver({}).sink_arguments()))
    os.close(descriptor)
    for piece in pieces:
        log.write("stdout", piece, nanoseconds)
    log.close()
    return [json.loads(line) for line in (directory / "json.log").read_bytes().splitlines()]


def test_a_line_is_dockers(tmp_path: Path) -> None:
    written(tmp_path, b"hello\n", nanoseconds=1_795_000_000_123_456_789)
    line = (tmp_path / "json.log").read_text()
    assert line == '{"log":"hello\\n","stream":"stdout","time":"2026-11-18T11:06:40.123456789Z"}\n'


def test_characters_stay_readable(tmp_path: Path) -> None:
    text = 'grün "quoted" back\\slash tab\t\x1b[31mred\x1b[0m \x00\x07 \u2028 \U0001f40b\r\n'
    assert [one["log"] for one in written(tmp_path, text.encode())] == [text]
    assert "grün" in (tmp_path / "json.log").read_text()


def test_a_character_cut_in_two_is_not_torn(tmp_path: Path) -> None:
    whale = "\U0001f40b".encode()
    assert "".join(one["log"] for one in written(tmp_path, whale[:3], whale[3:] + b"\n")) == "\U0001f40b\n"


@pytest.mark.parametrize(
    "end", [b"\xff", b"\xc0", b"\xf5\x80", b"a", b"\x80\x80", "\u00fc".encode(), "\u20ac".encode()]
)
def test_what_no_character_begins_with_waits_for_nothing(tmp_path: Path, end: bytes) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    log = sink.open(descriptor, dict(JsonFileDriver({}).sink_arguments()))
    os.close(descriptor)
    log.write("stdout", b"text" + end, 1)
    assert [entry.data for entry in JsonFileDriver({}).read(tmp_path)] == [b"text" + end]
    log.close()


def test_bytes_that_are_no_text_are_lone_surrogates(tmp_path: Path) -> None:
    assert [one["log"] for one in written(tmp_path, b"\xff\xfe\n")] == ["\udcff\udcfe\n"]
    assert r"\udcff\udcfe" in (tmp_path / "json.log").read_text()


def test_other_programs_read_every_line(tmp_path: Path) -> None:
    """A strict UTF-8 decoder of its own accord: the C library's iconv."""
    written(tmp_path, bytes(range(256)), os.urandom(100_000), b"\n")
    result = subprocess.run(["iconv", "-f", "UTF-8", "-t", "UTF-16", tmp_path / "json.log"], capture_output=True)
    assert result.returncode == 0, result.stderr


def test_long_lines_are_pieces_of_a_bounded_length(tmp_path: Path) -> None:
    pieces = written(tmp_path, b"x" * 40_000 + b"\nshort\n")
    assert [len(one["log"]) for one in pieces] == [16384, 16384, 40_000 - 2 * 16384 + 1, 6]


def test_no_piece_of_a_long_line_ends_within_a_character(tmp_path: Path) -> None:
    whales = "x" + "\U0001f40b" * 10_000
    pieces = [one["log"] for one in written(tmp_path, whales.encode())]
    assert "".join(pieces) == whales
    assert {len(piece.encode()) for piece in pieces[:-1]} <= set(range(16381, 16385))


def test_names_that_end_in_zeros_stay_readable(tmp_path: Path) -> None:
    assert [one["log"] for one in written(tmp_path, "grün\0straße\0".encode())] == ["grün\0straße\0"]


@pytest.mark.parametrize("binary", [b"", b"\0\xff"], ids=["text", "binary"])
def test_what_looks_like_the_format_is_only_text(tmp_path: Path, binary: bytes) -> None:
    """Objects are made by replacing line ends: nothing in a line may pass for the end of one, or for the next."""
    hostile = [b'{"log":"\n', b'\\n","stream":"stderr"}\n', b"\\\\n\n", b'","time":"', binary + b"\x7f\x1b\x01\n"]
    written(tmp_path, b"".join(hostile))
    entries = list(JsonFileDriver({}).read(tmp_path))
    assert [entry.data for entry in entries] == [*hostile[:3], b"".join(hostile[3:])]
    assert {entry.stream for entry in entries} == {"stdout"}


def test_dockers_own_lines_are_read() -> None:
    entry = parse(b'{"log":"a\\u0026b\\n","stream":"stderr","time":"2024-02-29T23:59:59.5Z"}')
    assert entry is not None
    assert entry == (1_709_251_199_500_000_000, "stderr", b"a&b\n")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"log":1,"stream":"stdout","time":"2024-02-29T23:59:59Z"}',
        b'{"log":"a","stream":"stdin","time":"2024-02-29T23:59:59Z"}',
        b'{"log":"a","stream":"stdout","time":"yesterday"}',
        b'{"log":"a","stream":"stdout"}',
        b'\xff{"log":"a"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_entry_is_skipped(line: bytes) -> None:
    assert parse(line) is None


def test_a_surrogate_that_stands_for_no_byte_is_replaced() -> None:
    entry = parse(b'{"log":"\\ud800","stream":"stdout","time":"2024-02-29T23:59:59Z"}')
    assert entry is not None
    assert entry.data == b"?"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max-size", ""),
        ("max-size", "0"),
        ("max-size", "ten"),
        ("max-size", "-2"),
        ("max-size", "1t"),
        ("max-size", "1 m"),
        ("max-file", "0"),
        ("max-file", "-1"),
        ("max-file", "two"),
        ("max-file", "²"),
        ("max-filee", "2"),
    ],
)
def test_nonsense_is_refused_by_name(option: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=option) as caught:
        JsonFileDriver({option: value}).sink_arguments()
    assert caught.value.fix


def test_sizes_are_dockers() -> None:
    sizes = {"10": 10, "1b": 1, "2k": 2048, "3M": 3 << 20, "1g": 1 << 30, "-1": 0}
    for text, size in sizes.items():
        assert JsonFileDriver({"max-size": text}).sink_arguments()["max-size"] == str(size)
