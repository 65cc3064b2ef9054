"""The sink of ``json-file``: one JSON object a line, as Docker's driver of that name writes it, rotated by size.

    {"log":"hello\\n","stream":"stdout","time":"2026-11-24T07:00:00.123456789Z"}

What arrives is written at once: nothing waits in memory but the first bytes of a character that is cut in two. So a
``log`` without ``\\n`` at its end is a piece of a line, and the next of the same stream goes on with it. A line longer
than `LONGEST` bytes becomes several such pieces.

Files in the container's directory: ``json.log``, and older ones ``json.log.1`` (the youngest) and so on. A rotation
renames and then opens, and an old file is never written again, which is how a reader follows (see `reader`).

Imported by the shim's bare interpreter, called in its process as the host's root: standard library only.
"""

from __future__ import annotations

import os
import time

from engine_log_json_file import encoding

FILE = "json.log"
LONGEST = 16384
"""Bytes in one object, as in Docker."""

_HEAD = b'{"log":"'
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Sink:
    """Writes one container's log. ``max_size`` in bytes for each file (0: never rotated), ``max_files`` counts all."""

    def __init__(self, directory_fd: int, max_size: int, max_files: int) -> None:
        self._directory = os.dup(directory_fd)
        self._max_size = max_size
        self._max_files = max_files
        self._held = {"stdout": b"", "stderr": b""}
        self._second = (-1, "")
        self._file = -1
        self._size = 0
        try:
            self._open()
        except OSError:
            os.close(self._directory)
            raise

    def write(self, stream: str, data: bytes, nanoseconds: int) -> None:
        """Write a piece of ``stream`` ("stdout" or "stderr"). Raises `OSError`: the rest is lost, in
        whole objects; the file is sound."""
        data = self._held[stream] + data
        cut = len(data) - encoding.unfinished(data)
        self._held[stream] = data[cut:]
        if cut:
            self._write(self._objects(stream, data[:cut], nanoseconds))

    def close(self) -> None:
        """Write what was held back, and close."""
        try:
            for stream, data in self._held.items():
                if data:
                    self._write(self._objects(stream, data, time.time_ns()))
        finally:
            os.close(self._file)
            os.close(self._directory)

    def _objects(self, stream: str, data: bytes, nanoseconds: int) -> bytes:
        """Return an object for each line, or piece of a line longer than `LONGEST`."""
        tail = f'","stream":"{stream}","time":"{self._time(nanoseconds)}"}}\n'.encode()
        line_end = b"\\n" + tail + _HEAD
        objects = []
        start = 0
        while start < len(data):
            end = data.rfind(b"\n", start, start + LONGEST) + 1 or _cut(data, start)
            # Where a line ends the next object begins; behind the last one there is none.
            objects.append((_HEAD + encoding.escaped(data[start:end], line_end) + tail).removesuffix(_HEAD + tail))
            start = end
        return b"".join(objects)

    def _time(self, nanoseconds: int) -> str:
        """Return the time as RFC 3339 has it, in UTC."""
        second, rest = divmod(nanoseconds, 1_000_000_000)
        if self._second[0] != second:
            self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{self._second[1]}.{rest:09d}Z"

    def _write(self, objects: bytes) -> None:
        while self._max_size and self._size + len(objects) > self._max_size:
            end = objects.rfind(b"\n", 0, max(0, self._max_size - self._size)) + 1
            if self._size and not end:
                self._rotate()
                continue
            end = end or objects.index(b"\n") + 1  # one that is larger than a file may be has a file of its own
            self._append(objects[:end])
            objects = objects[end:]
        self._append(objects)

    def _append(self, data: bytes) -> None:
        """Append all of it, or leave the file as it was."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _rotate(self) -> None:
        names = [FILE, *(f"{FILE}.{number}" for number in range(1, self._max_files))]
        for place in range(self._max_files - 1, -1, -1):
            try:
                if place + 1 < self._max_files:
                    os.rename(names[place], names[place + 1], src_dir_fd=self._directory, dst_dir_fd=self._directory)
                else:
                    os.unlink(names[place], dir_fd=self._directory)
            except FileNotFoundError:
                # Not yet so many, or the last rotation went only half way.
                continue
        old = self._file
        self._open()
        os.close(old)

    def _open(self) -> None:
        file = os.open(FILE, _FLAGS, 0o600, dir_fd=self._directory)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                # A crash cut the last object short; what follows must not be lost with it.
                size += os.write(file, b"\n")
        except OSError:
            os.close(file)
            raise
        self._file, self._size = file, size


def open(directory_fd: int, arguments: dict[str, str]) -> Sink:  # noqa: A001  # the name is the contract's
    """Open the log in the container's directory; ``arguments`` are `JsonFileDriver.sink_arguments`."""
    return Sink(directory_fd, int(arguments["max-size"]), int(arguments["max-file"]))


def _cut(data: bytes, start: int) -> int:
    """Return where a piece of a line that is too long ends: not within a character."""
    piece = data[start : start + LONGEST]
    return start + len(piece) - (encoding.unfinished(piece) if len(piece) == LONGEST else 0)
