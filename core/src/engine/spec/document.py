"""JSON documents of strangers, read into typed values: size, depth, types and encodings are checked before use.

Called by whoever reads an index, a manifest or an image configuration: the command's process and transport plugins.
Standard library only. Everything raises `engine.errors.ImageError` with the document's name and the field at fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import ImageError

MAX_DOCUMENT = 4 * 1024 * 1024
"""Bytes of the largest JSON document: what registries must take (distribution-spec, "Pushing Manifests")."""
MAX_DEPTH = 32
"""Nesting of objects and arrays. The deepest document of the image-spec needs six levels."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REFUSED = "Get the image again, or ask whoever built it."


def is_digest(text: str) -> bool:
    """Return whether the text is a SHA-256 digest, written as the image-spec's descriptor.md says."""
    return _DIGEST.fullmatch(text) is not None


class Fields:
    """One JSON object with its name in the document. Each getter checks the type and names the field at fault."""

    __slots__ = ("data", "what")

    def __init__(self, data: Mapping[str, Any], what: str) -> None:
        self.data = data
        self.what = what

    def broken(self, reason: str) -> ImageError:
        """Return the error that says what is wrong with this object."""
        return ImageError(f"{self.what} {reason}", fix=REFUSED)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string without NUL; mandatory unless ``default`` stands for a field that is absent or null."""
        value = self.data.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or "\0" in value:
            raise self.broken(f"has no usable text in {key!r}")
        return value

    def digest(self, key: str) -> str:
        """Return a mandatory SHA-256 digest."""
        value = self.text(key)
        if not is_digest(value):
            raise self.broken(f"has {_short(value)} in {key!r}, which is not a sha256 digest")
        return value

    def count(self, key: str) -> int:
        """Return a mandatory size or count: an integer from 0 to 2^63-1."""
        value = self.data.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise self.broken(f"has no usable number in {key!r}")
        return value

    def flag(self, key: str) -> bool:
        """Return a boolean; absent means False."""
        value = self.data.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.broken(f"has neither true nor false in {key!r}")
        return bool(value)

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return a list of strings, or None when the field is absent or null (an empty list is something else)."""
        value = self.data.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(one, str) and "\0" not in one for one in value):
            raise self.broken(f"has no list of texts in {key!r}")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, str]:
        """Return an object whose values are strings; absent means empty."""
        value = self.fields(key).data
        if not all(isinstance(one, str) and "\0" not in one and "\0" not in name for name, one in value.items()):
            raise self.broken(f"has something other than texts in {key!r}")
        return dict(value)

    def fields(self, key: str) -> Fields:
        """Return an object; absent means empty."""
        value = self.data.get(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.broken(f"has no object in {key!r}")
        return Fields(value, f"{self.what}, {key}")

    def each(self, key: str, most: int) -> Iterator[Fields]:
        """Yield the objects of a list of at most ``most``; absent means empty."""
        value = self.data.get(key)
        if value is None:
            return
        if not isinstance(value, list) or len(value) > most:
            raise self.broken(f"has no list of at most {most} objects in {key!r}")
        for number, one in enumerate(value):
            if not isinstance(one, dict):
                raise self.broken(f"has something other than objects in {key!r}")
            yield Fields(one, f"{self.what}, {key}[{number}]")


def read_json(data: bytes, what: str) -> Any:
    """Return the parsed document ``data``; ``what`` names it in errors ("the manifest sha256:1234…").

    Raises `ImageError` when it is larger than `MAX_DOCUMENT`, not UTF-8, not JSON, or nested deeper than `MAX_DEPTH`.
    """
    if len(data) > MAX_DOCUMENT:
        raise ImageError(f"{what} is larger than {MAX_DOCUMENT} bytes", fix=REFUSED)
    try:
        parsed = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what} is not a JSON document: {_short(str(error))}", fix=REFUSED) from None
    if _deeper_than(parsed, MAX_DEPTH):
        raise ImageError(f"{what} is nested deeper than {MAX_DEPTH} levels", fix=REFUSED)
    return parsed


def read_object(data: bytes, what: str) -> Fields:
    """Return the document's object; raises `ImageError` as `read_json` does, and when it is not an object."""
    parsed = read_json(data, what)
    if not isinstance(parsed, dict):
        raise ImageError(f"{what} is not a JSON object", fix=REFUSED)
    return Fields(parsed, what)


def write_json(data: Any) -> bytes:
    """Return the one canonical serialisation the engine writes, so that equal values have equal digests."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _deeper_than(value: Any, levels: int) -> bool:
    inner: list[Any] = [value]
    while inner and levels >= 0:
        inner = [
            one for outer in inner
            for one in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(one, dict | list)
        ]  # fmt: skip
        levels -= 1
    return bool(inner)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
