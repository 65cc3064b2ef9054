"""Settings: command line over environment over the user's file over the system's file over defaults.

Commands call `load` and get a `Settings`: a plain value. Reading and validating is `engine.settings.model`'s, with
pydantic-settings, which takes longer than everything else a short command does; so the result is remembered
(`engine.cache`), and read again only when a file or a variable that it came from has changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import __version__, cache
from engine.settings.value import COMMAND_LINE, DEFAULT, DRIVERS, Options, Settings, defaults, files

__all__ = ["DEFAULT", "DRIVERS", "Options", "Settings", "load"]

PREFIX = "ENGINE_"
_SECTION = "settings"
_PLACES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")
_PATHS = ("root", "state", "cache")


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings of this process.

    ``overrides`` are the command line's, by field name; None means not given. They are typed by the command line's own
    parser, so they are laid over what was validated, not validated again. Raises `InvalidInput` that names the file or
    the variable, the key, and the nearest key that exists.
    """
    found = _recalled() or _read()
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    for name in _PATHS:
        if name in given:
            given[name] = Path(os.path.abspath(given[name]))
    if not given:
        return found
    return found._replace(**given, origins={**found.origins, **dict.fromkeys(given, COMMAND_LINE)})


def _key() -> tuple[Any, ...]:
    relevant = [
        (name, value) for name, value in os.environ.items() if name.upper().startswith(PREFIX) or name in _PLACES
    ]
    return (__version__, os.geteuid(), tuple(sorted(relevant)))


def _recalled() -> Settings | None:
    fields: Any = cache.recall(_SECTION, _key())
    return None if fields is None else Settings(**{**fields, **{name: Path(fields[name]) for name in _PATHS}})


def _read() -> Settings:
    from engine.settings import model

    system, user = files(os.environ)
    seen = cache.witnesses((str(system), str(user)))
    found = model.read(system=system, user=user, base=defaults(os.environ))
    plain = {**found._asdict(), **{name: str(getattr(found, name)) for name in _PATHS}}
    cache.remember(_SECTION, _key(), seen, plain)
    return found
