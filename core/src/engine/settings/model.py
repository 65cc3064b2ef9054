"""Read and validate the settings with pydantic-settings. Imported only when nothing fitting is remembered."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from engine.errors import InvalidInput
from engine.settings.toml import FileSource, key_of, nearest
from engine.settings.value import DEFAULT, Settings

PREFIX = "ENGINE_"
_NEAR = 0.8
"""How alike a variable must be to a setting's to be taken for a slip: others have ENGINE_ variables too."""

Labelled = tuple[str, Mapping[str, Any]]


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _plugin_name(name: str) -> str:
    if not name or not name.isprintable() or " " in name or "/" in name:
        raise ValueError("must be the name of a plugin, or auto")
    return name


def _id_range(text: str) -> str:
    first, colon, count = text.partition(":")
    numbers = first.isascii() and first.isdecimal() and count.isascii() and count.isdecimal()
    if colon and not (numbers and int(first) > 0 and int(count) > 0 and int(first) + int(count) < 1 << 32):
        raise ValueError("must be FIRST:COUNT, ids of the host without 0, or the name of a user")
    return text


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Name = Annotated[str, AfterValidator(_plugin_name)]
Kind = Literal["cgroup", "log", "namespace", "runtime", "storage", "transport"]
Text = Annotated[str, BeforeValidator(_text)]
IdRange = Annotated[str, AfterValidator(_id_range)]
Seconds = Annotated[int, BeforeValidator(_no_boolean), Field(ge=0)]


class SettingsModel(BaseSettings):
    """What may be set, by whom it is; `engine.settings.value.Settings` says what each means.

    An option's number or boolean in a file is the text that the command line would have: ``quota = true`` is "true".
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    root: AbsolutePath
    state: AbsolutePath
    storage: Name
    cgroup_driver: Name
    runtime: Name
    namespace_driver: Name
    log_driver: Name
    cgroup_parent: str
    stop_timeout: Seconds
    userns_range: IdRange
    options: dict[Kind, dict[Name, dict[str, Text]]]


def read(*, system: Path, user: Path, base: Settings) -> Settings:
    """Return the settings from the environment, the two files and ``base`` (the defaults), in that order.

    Called in the command's process. Raises `InvalidInput` that names the file or variable and the key.
    """
    _refuse_slips(os.environ)
    named: dict[str, Any] = {name: getattr(base, name) for name in SettingsModel.model_fields}
    sources = (
        EnvSettingsSource(SettingsModel),
        FileSource(SettingsModel, user),
        FileSource(SettingsModel, system),
        InitSettingsSource(SettingsModel, named),
    )
    try:
        labelled = _labelled(sources)
        model = _validated(sources)
    except SettingsError as error:
        raise InvalidInput(
            f"the environment variable {PREFIX}OPTIONS is not valid JSON",
            fix='It should look like {"log": {"json-file": {"max-size": "10m"}}}.',
        ) from error
    except ValidationError as error:
        raise _invalid(error, _labelled(sources)) from error
    fields = {name: getattr(model, name) for name in SettingsModel.model_fields}
    return base._replace(
        **fields, origins={name: _origin((name,), labelled) for name in fields} | {"cache": _cache(base)}
    )


def _validated(sources: tuple[PydanticBaseSettingsSource, ...]) -> SettingsModel:
    class Sourced(SettingsModel):
        @classmethod
        def settings_customise_sources(cls, *_args: Any, **_kwargs: Any) -> tuple[PydanticBaseSettingsSource, ...]:
            return sources

    nothing: dict[str, Any] = {}
    return Sourced(**nothing)  # every field comes from the sources


def _labelled(sources: tuple[PydanticBaseSettingsSource, ...]) -> list[Labelled]:
    """Return what each source sets, with the name it has for people; the environment's is the empty string."""
    return [(_label(source), source()) for source in sources]


def _label(source: PydanticBaseSettingsSource) -> str:
    if isinstance(source, FileSource):
        return str(source.path)
    return "" if isinstance(source, EnvSettingsSource) else DEFAULT


def _origin(path: tuple[str, ...], labelled: list[Labelled]) -> str:
    """Return where the value at ``path`` came from: a file, a variable, or "default"."""
    for label, values in labelled:
        here: Any = values
        for part in path:
            here = here.get(part) if isinstance(here, Mapping) else None
        if here is not None:
            return label or PREFIX + path[0].upper()
    return DEFAULT


def _cache(base: Settings) -> str:
    chosen = os.environ.get(f"{PREFIX}CACHE", "")
    return f"{PREFIX}CACHE" if chosen == str(base.cache) else DEFAULT


def _invalid(error: ValidationError, labelled: list[Labelled]) -> InvalidInput:
    first = error.errors()[0]
    path = tuple(str(part) for part in first["loc"] if part != "[key]")
    origin = _origin(path, labelled)
    reason = first["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
    fix = nearest(path[1], get_args(Kind)) if first["type"] == "literal_error" else ""
    key = ".".join((key_of(path[0]), *path[1:]))
    if origin.startswith(PREFIX):
        inside = f" at '{key}'" if len(path) > 1 else ""
        return InvalidInput(
            f"the environment variable {origin} is not valid{inside}: {reason}", fix=fix or "Correct or unset it."
        )
    return InvalidInput(f"{origin}: '{key}' is not valid: {reason}", fix=fix or "Correct or remove that line.")


def _refuse_slips(environment: Mapping[str, str]) -> None:
    known = [PREFIX + name.upper() for name in (*SettingsModel.model_fields, "cache")]
    for variable in environment:
        name = variable.upper()
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(
                name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], 1, _NEAR
            )
            if close:
                raise InvalidInput(
                    f"there is no setting for the environment variable {variable}",
                    fix=f"Did you mean {PREFIX}{close[0]}?",
                )
