"""The page of settings: what each means, its type, default, key in a file and environment variable."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Any

from engine.settings.model import PREFIX, SettingsModel
from engine.settings.toml import key_of
from engine.settings.value import Settings, defaults
from tools.reference import markdown

_FIELD = re.compile(r"^((?:``\w+``(?:, )?)+)\s{2,}(.*(?:\n\s{4,}.*)*)", re.MULTILINE)
_PLACES = ("XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME")
_ROOT, _OTHER = 0, 1000


def page() -> str:
    """Return the page."""
    schema = SettingsModel.model_json_schema(mode="validation")["properties"]
    rows = [_row(name, _type(schema[name])) for name in SettingsModel.model_fields]
    headings = ["key in a file", "environment variable", "type", "default", "meaning"]
    return (
        "# Settings\n\n"
        "How they are read, and which source wins: [Settings](../settings.md).\n\n"
        f"{markdown.table(headings, [*rows, _cache_row()])}"
    )


def _row(name: str, kind: str) -> list[str]:
    variable = f"`{PREFIX}{name.upper()}`" + (" (JSON)" if kind == "table" else "")
    return [f"`{key_of(name)}`", variable, kind, _default(name), _meanings()[name]]


def _cache_row() -> list[str]:
    return ["", "`ENGINE_CACHE`", "path", _default("cache"), _meanings()["cache"]]


def _type(schema: dict[str, Any]) -> str:
    if schema.get("format") == "path":
        return "path"
    if schema["type"] == "object":
        return "table"
    least = f", at least {schema['minimum']}" if "minimum" in schema else ""
    return {"string": "text", "integer": "number", "boolean": "true or false"}[schema["type"]] + least


def _meanings() -> dict[str, str]:
    """Return what the value's own docstring says of each field."""
    found = _FIELD.finditer(cleandoc(Settings.__doc__ or ""))
    return {
        name: markdown.inline(" ".join(match[2].split())) for match in found for name in re.findall(r"\w+", match[1])
    }


def _default(name: str) -> str:
    places = {place: f"/${place}" for place in _PLACES}
    root, other = (getattr(defaults(places, uid), name) for uid in (_ROOT, _OTHER))
    if root == other:
        return "none" if root in ("", {}) else f"`{root}`"
    return f"`{root}`; for others than root `{str(other).removeprefix('/')}`"
