"""Check resource limits before anything is started: what the kernel would refuse is said here, with advice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.errors import InvalidInput, Unsupported
from engine.linux import capabilities, rlimits
from engine.spec.runtime import Rlimit

_MAY_RAISE = 1 << capabilities.NUMBERS["CAP_SYS_RESOURCE"]


def checked(wanted: Sequence[Rlimit], *, user_namespace: bool) -> tuple[tuple[str, int, int], ...]:
    """Return (name, soft, hard) rows for the stage.

    Raises `InvalidInput` for an unknown limit or a soft one above the hard one, `Unsupported` for a hard limit above
    that of this process when it may not raise it.
    """
    may_raise = not user_namespace and bool(capabilities.get().effective & _MAY_RAISE)
    return tuple(_checked(row["type"], row["soft"], row["hard"], may_raise=may_raise) for row in wanted)


def _checked(name: str, soft: int, hard: int, *, may_raise: bool) -> tuple[str, int, int]:
    word = name.removeprefix("RLIMIT_").lower()
    if name not in rlimits.RLIMITS:
        raise InvalidInput(f"{word} is no resource limit", fix=f"Known are: {_known()}.")
    soft, hard = soft & rlimits.UNLIMITED, hard & rlimits.UNLIMITED
    if soft > hard:
        raise InvalidInput(f"the soft limit {word}={soft} is above the hard one, {hard}")
    if name == "RLIMIT_NOFILE" and hard > (most := int(Path("/proc/sys/fs/nr_open").read_text(encoding="ascii"))):
        raise InvalidInput(f"the limit nofile cannot pass fs.nr_open, which is {most}", fix=f"Ask for {most} or less.")
    _soft, own = rlimits.get_rlimit(name)
    if hard > own and not may_raise:
        raise Unsupported(
            f"the limit {word} cannot be raised to {_shown(hard)}: the engine runs with a hard limit of {_shown(own)},"
            " and without CAP_SYS_RESOURCE in the host's user namespace",
            fix=f"Ask for {_shown(own)} or less, or raise the limit of the shell or service that runs the engine.",
        )
    return name, soft, hard


def _shown(limit: int) -> str:
    return "unlimited" if limit == rlimits.UNLIMITED else str(limit)


def _known() -> str:
    return ", ".join(name.removeprefix("RLIMIT_").lower() for name in rlimits.RLIMITS)
