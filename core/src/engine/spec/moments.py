"""Moments as Docker's ``--since`` and ``--until`` take them. Pure; raises `engine.errors.InvalidInput`."""

from __future__ import annotations

import re
from datetime import datetime

from engine.spec.refusal import refusal
from engine.spec.sizes import NANO, parse_duration

_UNIX = re.compile(r"(\d{1,11})(?:\.(\d{1,9}))?")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:\d\d)?")


def parse_moment(text: str, flag: str, now: int) -> int:
    """Return nanoseconds since the epoch.

    ``text`` is a time that long ago ("10m", "1h30m"; ``now`` is in nanoseconds too), seconds since the epoch with up to
    nine digits behind the point, or a date of RFC 3339, from the right of which parts may be left out: it begins with
    the day, and without a zone it is local time.
    """
    if match := _UNIX.fullmatch(text):
        return int(match[1]) * NANO + _fraction(match[2])
    if _DURATION.fullmatch(text):
        return now - round(parse_duration(text, flag) * NANO)
    if match := _DATE.fullmatch(text):
        date, minute, second, fraction, zone = match.groups()
        try:
            moment = datetime.fromisoformat(f"{date}T{minute or '00:00'}:{second or '00'}{zone or ''}")
            return int(moment.timestamp()) * NANO + _fraction(fraction)
        except (ValueError, OverflowError):
            raise refusal(flag, text, "is a date that does not exist", "2026-11-24T08:00:00Z") from None
    raise refusal(flag, text, "is no moment: a time ago, seconds since 1970, or a date", "2026-11-24T08:00:00Z")


def _fraction(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))
