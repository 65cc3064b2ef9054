"""Environment variables and labels: ``-e``, ``--env-file``, ``-l``, ``--label-file``, and how they are put together.

The files' rules are Docker's (docker-run(1), ``--env-file``): a line is KEY=VALUE, everything after the first ``=`` is
the value, quotes and all; a line that begins with ``#`` is a comment; a KEY alone takes the value it has where the
command was typed. A variable that has none there is taken out of the image's, as with ``-e KEY``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from engine.errors import InvalidInput
from engine.spec.refusal import refusal

LARGEST_FILE = 1 << 20
"""Bytes of the largest environment file; execve(2) takes no more than that anyway."""


def parse_env(text: str, surrounding: Mapping[str, str], flag: str = "--env") -> str:
    """Return "KEY=VALUE", or "KEY" alone for one that is to be taken out.

    ``surrounding``: the variables where the command was typed.
    """
    key, equals, _ = text.partition("=")
    if not key or any(character.isspace() for character in key) or "\0" in text:
        raise refusal(flag, text, "has no usable name before the '='", "LANG=C.UTF-8")
    if equals:
        return text
    return f"{key}={surrounding[key]}" if key in surrounding else key


def read_env_file(path: Path, surrounding: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables of one ``--env-file`` in the form of `parse_env`, in order. Reads the file."""
    found = []
    for number, line in read_lines(path, "--env-file"):
        key = line.partition("=")[0]
        if not key or any(character.isspace() for character in key):
            raise InvalidInput(
                f"--env-file {path}, line {number}: {key!r} cannot be a variable's name",
                fix="Write one KEY=VALUE on each line, and # before comments.",
            )
        found.append(parse_env(line, surrounding, "--env-file"))
    return tuple(found)


def read_lines(path: Path, flag: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that the user named, each with its number; empty ones and comments are left out."""
    try:
        text = read_small_file(path, flag, LARGEST_FILE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{flag} {path} is not UTF-8 text", fix="Save it as UTF-8.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.removesuffix("\r").lstrip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def variables(texts: Iterable[str], files: Iterable[str], surrounding: Mapping[str, str]) -> tuple[str, ...]:
    """Return ``--env-file`` and ``--env`` together: the files first, so that what is typed counts."""
    from_files = [text for name in files for text in read_env_file(Path(name), surrounding)]
    return (*from_files, *(parse_env(text, surrounding) for text in texts))


def passed_on(surrounding: Mapping[str, str]) -> tuple[str, ...]:
    """Return every variable that has a usable name, for ``--env-host``."""
    usable = (key for key in surrounding if key and not any(character.isspace() for character in key))
    return tuple(f"{key}={surrounding[key]}" for key in usable)


def read_small_file(path: Path, flag: str, largest: int) -> bytes:
    """Return the content of a file that the user named. Raises `InvalidInput` when it cannot be read or is too long."""
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise InvalidInput(f"{flag} {path}: {reason}", fix="Name a file that you may read.") from error
    if len(data) > largest:
        raise InvalidInput(f"{flag} {path} is longer than {largest} bytes", fix="Name the right file.")
    return data


def merge_env(*layers: Iterable[str]) -> list[str]:
    """Return the variables of all layers, a later one in the place of an earlier; a "KEY" alone takes KEY out."""
    merged: dict[str, str] = {}
    for text in (text for layer in layers for text in layer):
        key, equals, value = text.partition("=")
        if equals:
            merged[key] = value
        else:
            merged.pop(key, None)
    return [f"{key}={value}" for key, value in merged.items()]


def parse_pairs(texts: Sequence[str], flag: str, example: str, *, bare: bool = False) -> dict[str, str]:
    """Return KEY=VALUE texts as a mapping, the last of a name counting. ``bare``: a KEY alone has the value ""."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or "\0" in text or not (equals or bare):
            raise refusal(flag, text, "is not of the form KEY=VALUE", example)
        pairs[key] = value
    return pairs


def labels(texts: Sequence[str], files: Iterable[str]) -> dict[str, str]:
    """Return ``--label-file`` and ``--label KEY[=VALUE]`` as a mapping: what is typed counts. Reads the files."""
    found: dict[str, str] = {}
    for name in files:
        for number, line in read_lines(Path(name), "--label-file"):
            key, _, value = line.partition("=")
            if not key or "\0" in line:
                raise InvalidInput(
                    f"--label-file {name}, line {number}: {line!r} has no usable name before the '='",
                    fix="Write one KEY=VALUE on each line, and # before comments.",
                )
            found[key] = value
    return found | parse_pairs(texts, "--label", "team=storage", bare=True)
