"""The one form in which a flag's value is refused: what is wrong with it, and an example that is right."""

from __future__ import annotations

from engine.errors import InvalidInput

_LONGEST = 120


def refusal(flag: str, text: str, why: str, example: str) -> InvalidInput:
    """Return the error for ``flag`` with the value ``text``: ``why`` ends the sentence, ``example`` is a good value."""
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return InvalidInput(f"{flag} {shown!r} {why}", fix=f"Write for example `{flag} {example}`.")
