"""``--cidfile``: a file with the ID of the container that was made, for scripts (docker-run(1)).

It is made before the container, so that of two commands with the same file one makes none, and removed again where no
container was made. The ID stands in it without a new line, as in Docker.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.errors import EngineError, InvalidInput


@contextmanager
def cidfile(path: str) -> Iterator[Callable[[str], None]]:
    """Give a function that writes the ID.

    Raises `InvalidInput` for a file that exists or cannot be made, `EngineError` where the ID cannot be written.
    """
    fd = _new(path)
    written = False

    def write(container_id: str) -> None:
        nonlocal written
        written = True
        try:
            os.write(fd, container_id.encode())
        except OSError as error:
            raise EngineError(
                f"cannot write container {container_id[:12]} to --cidfile {path}: {error.strerror}",
                fix=f"Remove it with `engine rm {container_id[:12]}`, or find it with `engine ps -a`.",
            ) from error

    try:
        yield write
    finally:
        os.close(fd)
        if not written:
            os.unlink(path)


def _new(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError as error:
        raise InvalidInput(
            f"--cidfile {path} exists: another container may be known by it",
            fix="Remove the file, or name another one.",
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"--cidfile {path}: {(error.strerror or str(error)).lower()}", fix="Name a file in a directory that exists."
        ) from error
