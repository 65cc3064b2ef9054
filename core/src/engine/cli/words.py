"""Sizes and times as people read them: "12.3MB", "3 minutes". The words are Docker's, so that scripts read them too."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_ROUNDS_UP = 999.5
"""From here on three digits would say 1000."""
_STEPS = (
    (60, 1, "second"), (3600, 60, "minute"), (48 * 3600, 3600, "hour"), (14 * 86400, 86400, "day"),
    (60 * 86400, 7 * 86400, "week"), (730 * 86400, 30 * 86400, "month"),
)  # fmt: skip


def size(count: int) -> str:
    """Return a number of bytes with three digits and a decimal unit: 1234567 is "1.23MB"."""
    value = float(count)
    for unit in _UNITS:
        if value < _ROUNDS_UP or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.3g}{unit}" if value < _ROUNDS_UP else f"{value:.0f}{unit}"


def span(seconds: float) -> str:
    """Return how long something takes or took, to one unit: "Less than a second", "About a minute", "3 hours"."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if 60 <= whole < 120:
        return "About a minute"
    if 3600 <= whole < 5400:
        return "About an hour"
    for below, unit, name in _STEPS:
        if whole < below:
            count = whole // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{whole // (365 * 86400)} years"


def age(seconds: float) -> str:
    """Return how long ago something was."""
    return f"{span(seconds)} ago"


def clock(seconds: float) -> str:
    """Return a time as ps(1) shows it: "00:00:07", with days as in "2-03:04:05"."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}-{hour:02}:{minute:02}:{second:02}" if days else f"{hour:02}:{minute:02}:{second:02}"


def brief(seconds: float) -> str:
    """Return a span in as few characters as say it: "8s", "2m05s", "3h20m"."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minute:02}m"
    return f"{minute}m{second:02}s" if minute else f"{second}s"


def seconds_of(moment: str) -> float:
    """Return RFC 3339 as seconds since the epoch, 0 for "" and for what is none: images say what they like."""
    try:
        return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
