"""Signals by the names and numbers that people and images use (signal(7)). Pure; raises `InvalidInput`."""

from __future__ import annotations

import re
import signal

from engine.spec.refusal import refusal

_REALTIME = r"RT(MIN|MAX)(?:([+-])(\d{1,2}))?"
_EXAMPLE = "SIGTERM"


def signal_number(text: str, flag: str = "--signal") -> int:
    """Return the number of "SIGTERM", "term", "15", "SIGRTMIN+3" or "rtmax-1"."""
    if text.isascii() and text.isdecimal():
        if 0 < int(text) <= signal.SIGRTMAX:
            return int(text)
        raise refusal(flag, text, f"is not a signal: they are numbered 1 to {int(signal.SIGRTMAX)}", _EXAMPLE)
    name = text.upper().removeprefix("SIG")
    match = re.fullmatch(_REALTIME, name)
    if match:
        return _realtime(match, flag, text)
    if name.startswith("_") or f"SIG{name}" not in signal.Signals.__members__:
        raise refusal(flag, text, "is not a signal's name or number", _EXAMPLE)
    return int(signal.Signals[f"SIG{name}"])


def _realtime(match: re.Match[str], flag: str, text: str) -> int:
    base = signal.SIGRTMIN if match[1] == "MIN" else signal.SIGRTMAX
    number = base + int(f"{match[2] or '+'}{match[3] or 0}")
    if not signal.SIGRTMIN <= number <= signal.SIGRTMAX:
        raise refusal(flag, text, "is beyond the real-time signals", "SIGRTMIN+3")
    return int(number)
