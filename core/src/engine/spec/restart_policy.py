"""``--restart``: whether a container is started again when it has ended, and after how long. Pure.

The shim imports this too, so it is lean.
"""

from __future__ import annotations

from engine.tuples import NamedTuple

FIRST_DELAY, LONGEST_DELAY, LONG_RUN = 0.1, 60.0, 10.0
"""Seconds, Docker's: the first delay, which doubles up to the longest, and a run so long that it begins anew."""
_LARGEST = 1_000_000_000


class RestartPolicy(NamedTuple):
    """``name`` is "no", "always", "unless-stopped" or "on-failure"; ``maximum`` counts restarts, 0 is without end."""

    name: str = "no"
    maximum: int = 0


NEVER = RestartPolicy()
_NAMES = ("no", "always", "unless-stopped", "on-failure")


def parse_restart(text: str, flag: str = "--restart") -> RestartPolicy:
    """Return the policy of "always" or "on-failure:3", as docker-run(1) has it. Raises `InvalidInput`."""
    from engine.spec.refusal import refusal  # not for the shim, which parses nothing

    name, colon, count = text.partition(":")
    if name not in _NAMES:
        raise refusal(flag, text, f"is no restart policy: there are {', '.join(_NAMES)}", "unless-stopped")
    if not colon:
        return RestartPolicy(name)
    if name != "on-failure":
        raise refusal(flag, text, "counts restarts, which on-failure alone does", "on-failure:3")
    if not (count.isascii() and count.isdecimal()) or int(count) > _LARGEST:
        raise refusal(flag, text, "has no number of restarts after the colon", "on-failure:3")
    return RestartPolicy(name, int(count))


def delay_after(policy: RestartPolicy, *, failed: bool, restarts: int, delay: float, ran: float) -> float | None:
    """Return the seconds until the next start, or None when there is none.

    ``restarts`` and ``delay`` are those before the run that ended, which lasted ``ran`` seconds.
    """
    if policy.name == "no":
        return None
    if policy.name == "on-failure" and (not failed or (policy.maximum and restarts >= policy.maximum)):
        return None
    return FIRST_DELAY if ran >= LONG_RUN or not delay else min(2 * delay, LONGEST_DELAY)
