"""Health checks: what the user typed, over what the image says (Dockerfile reference, "HEALTHCHECK"). Pure.

Raises `engine.errors.InvalidInput`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidInput
from engine.spec.options import NO_WISH, SHORTEST, HealthOptions
from engine.tuples import NamedTuple

if TYPE_CHECKING:
    from engine.spec.image import RunConfig

INTERVAL, TIMEOUT, RETRIES, START_PERIOD, START_INTERVAL = 30.0, 30.0, 3, 0.0, 5.0
"""Docker's defaults, in seconds (Dockerfile reference, "HEALTHCHECK")."""
_SHELL = ("/bin/sh", "-c")
_NANO = 1_000_000_000
_MOST = (1 << 63) - 1


class Healthcheck(NamedTuple):
    """A check: ``test`` as images have it ("CMD" or "CMD-SHELL" first), ``args`` what is executed, times in seconds."""

    test: tuple[str, ...]
    args: tuple[str, ...]
    interval: float
    timeout: float
    retries: int
    start_period: float
    start_interval: float

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready data."""
        return {**self._asdict(), "test": list(self.test), "args": list(self.args)}

    @staticmethod
    def from_plain(data: Mapping[str, Any]) -> Healthcheck:
        """Return the check that `to_plain` described."""
        return Healthcheck(**{**data, "test": tuple(data["test"]), "args": tuple(data["args"])})

    def shown(self) -> dict[str, Any]:
        """Return it as the image configuration has it, times in nanoseconds."""
        return {
            "Test": list(self.test),
            "Interval": round(self.interval * _NANO),
            "Timeout": round(self.timeout * _NANO),
            "Retries": self.retries,
            "StartPeriod": round(self.start_period * _NANO),
            "StartInterval": round(self.start_interval * _NANO),
        }


def healthcheck_of(options: HealthOptions, image: RunConfig) -> Healthcheck | None:
    """Return the check of a container, or None when neither says one, or either says that there is none.

    Raises `InvalidInput` when only its times are said, and for an image's that makes no sense.
    """
    if options.none:
        return None
    said = {} if options.command is not None and not image.healthcheck else dict(image.healthcheck or {})
    test = ("CMD-SHELL", options.command) if options.command is not None else _test(said)
    if not test:
        if options != NO_WISH:
            raise InvalidInput(
                "--health-* say how to check, and neither they nor the image say what to check",
                fix="Add --health-cmd.",
            )
        return None
    if test[0] == "NONE":
        return None
    return Healthcheck(
        test=test,
        args=test[1:] if test[0] == "CMD" else (*(image.shell or _SHELL), *test[1:]),
        interval=options.interval or _seconds(said, "Interval") or INTERVAL,
        timeout=options.timeout or _seconds(said, "Timeout") or TIMEOUT,
        retries=options.retries or _whole(said, "Retries") or RETRIES,
        start_period=options.start_period or _seconds(said, "StartPeriod") or START_PERIOD,
        start_interval=options.start_interval or _seconds(said, "StartInterval") or START_INTERVAL,
    )


def _test(said: Mapping[str, Any]) -> tuple[str, ...]:
    test = said.get("Test") or []
    if not isinstance(test, list) or not all(isinstance(word, str) and "\0" not in word for word in test):
        raise _broken("Test is no list of words")
    if test and (test[0] not in {"NONE", "CMD", "CMD-SHELL"} or (test[0] != "NONE" and len(test) < 2)):
        raise _broken("Test is none of NONE, CMD and CMD-SHELL with a command")
    return tuple(test)


def _seconds(said: Mapping[str, Any], name: str) -> float:
    value = _whole(said, name) / _NANO
    return max(value, SHORTEST) if value else 0.0


def _whole(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name) or 0
    if not isinstance(value, int) or not 0 <= value <= _MOST:
        raise _broken(f"{name} is out of range")
    return value


def _broken(why: str) -> InvalidInput:
    return InvalidInput(
        f"the image's health check makes no sense: {why}",
        fix="Give another with --health-cmd, or leave it out with --no-healthcheck.",
    )
