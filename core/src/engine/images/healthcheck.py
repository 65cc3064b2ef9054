"""The instruction HEALTHCHECK of a Dockerfile, as `commit --change` and `import --change` take it. Pure."""

from __future__ import annotations

import re
from typing import Any

from engine.errors import InvalidInput
from engine.spec.sizes import parse_duration, parse_whole

_OPTION = re.compile(r"--([a-z-]+)=(\S+)\s+")
_TIMES = {
    "interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod", "start-interval": "StartInterval",
}  # fmt: skip
_NANO = 1_000_000_000


def options_of(text: str) -> tuple[dict[str, Any], str]:
    """Return what the options at the head say, as an image's configuration has it, and what stands behind them.

    Raises `InvalidInput` for an unknown option or a value that makes no sense.
    """
    said: dict[str, Any] = {}
    while match := _OPTION.match(text):
        name, value = match.groups()
        if name in _TIMES:
            said[_TIMES[name]] = round(parse_duration(value, f"HEALTHCHECK --{name}") * _NANO)
        elif name == "retries":
            said["Retries"] = parse_whole(value, "HEALTHCHECK --retries", "3")
        else:
            raise InvalidInput(
                f"HEALTHCHECK has no option --{name}", fix=f"Use --retries, --{', --'.join(_TIMES)}, each with =VALUE."
            )
        text = text[match.end() :]
    return said, text
