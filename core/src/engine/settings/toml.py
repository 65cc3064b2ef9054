"""One settings file as a source of pydantic-settings: TOML, keys with hyphens, unknown ones refused by name."""

from __future__ import annotations

import difflib
import os
import stat
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from engine.errors import InvalidInput


class FileSource(PydanticBaseSettingsSource):
    """The settings of the file at ``path``; none when it does not exist.

    Raises `InvalidInput` when the file cannot be read, is no TOML, has a key that does not exist, or belongs to someone
    who is neither root nor this user: it decides what is run, as root perhaps.
    """

    def __init__(self, settings: type[BaseSettings], path: Path) -> None:
        super().__init__(settings)
        self.path = path
        self._values = {key.replace("-", "_"): value for key, value in self._checked().items()}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the file's value of one field, its key, and that it is not JSON to be parsed."""
        return self._values.get(field_name), key_of(field_name), False

    def __call__(self) -> dict[str, Any]:
        """Return what the file sets."""
        return dict(self._values)

    def _checked(self) -> dict[str, Any]:
        known = [key_of(name) for name in self.settings_cls.model_fields]
        table = _parse(self.path)
        for key in table:
            if key not in known:
                raise InvalidInput(f"{self.path}: there is no setting '{key}'", fix=nearest(key, known))
        return table


def key_of(field: str) -> str:
    """Return a field's key in a file: ``cgroup-driver``."""
    return field.replace("_", "-")


def nearest(key: str, known: Iterable[str]) -> str:
    """Return the advice for an unknown key: the nearest that exists, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(key.lower().replace("_", "-"), known, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"There are {', '.join(known)}."


def _parse(path: Path) -> dict[str, Any]:
    try:
        # A fifo in its place must not make every command wait for a writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            _check_owner(path, os.fstat(file.fileno()))
            return tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", fix="Make it readable, or remove it.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}", fix="Correct that line.") from error


def _check_owner(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(f"{path} is not a regular file", fix="Replace it with a file, or remove it.")
    if found.st_uid not in (0, os.geteuid()):
        raise InvalidInput(
            f"{path} belongs to user {found.st_uid}, who could choose what root runs",
            fix=f"Chown it to user {os.geteuid()}, or remove it.",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InvalidInput(
            f"{path} may be written by others (mode {stat.S_IMODE(found.st_mode):04o})", fix=f"Run: chmod go-w {path}"
        )
