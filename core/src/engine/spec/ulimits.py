"""Resource limits of the container's processes: ``--ulimit`` (getrlimit(2)). Pure; raises `InvalidInput`."""

from __future__ import annotations

from engine.spec.refusal import refusal
from engine.tuples import NamedTuple

UNLIMITED = -1
NAMES = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
_EXAMPLE = "nofile=1024:2048"
_LARGEST = (1 << 63) - 1


class Ulimit(NamedTuple):
    """One limit by its short name ("nofile"), in the limit's own unit; `UNLIMITED` is -1."""

    name: str
    soft: int
    hard: int


def parse_ulimit(text: str) -> Ulimit:
    """Return ``--ulimit NAME=SOFT[:HARD]``; without HARD both are the same."""
    name, equals, values = text.partition("=")
    name = name.lower().removeprefix("rlimit_")
    if not equals:
        raise refusal("--ulimit", text, "is not of the form NAME=SOFT[:HARD]", _EXAMPLE)
    if name not in NAMES:
        raise refusal("--ulimit", text, f"names {name!r}, which is none of {', '.join(NAMES)}", _EXAMPLE)
    soft, colon, hard = values.partition(":")
    limit = Ulimit(name, _value(soft, text), _value(hard if colon else soft, text))
    if limit.hard != UNLIMITED and (limit.soft == UNLIMITED or limit.soft > limit.hard):
        raise refusal("--ulimit", text, "has a soft limit above the hard one", _EXAMPLE)
    return limit


def _value(text: str, whole: str) -> int:
    if text in {"-1", "unlimited"}:
        return UNLIMITED
    if not (text.isascii() and text.isdecimal()) or int(text) > _LARGEST:
        raise refusal("--ulimit", whole, f"has {text!r} where a number, or -1 for no limit, belongs", _EXAMPLE)
    return int(text)
