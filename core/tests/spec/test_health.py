"""The check of a container: the user's words over the image's, and nonsense of either refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidInput
from engine.images import changes
from engine.spec.health import Healthcheck, healthcheck_of
from engine.spec.image import RunConfig
from engine.spec.options import NO_WISH, HealthOptions, RunOptions, check

SECOND = 1_000_000_000
PLAIN = Healthcheck(("CMD-SHELL", "x"), ("/bin/sh", "-c", "x"), 30.0, 30.0, 3, 0.0, 5.0)


def image(test: list[str], **more: Any) -> RunConfig:
    return RunConfig(healthcheck={"Test": test, **more})


@pytest.mark.parametrize(
    ("options", "config", "expected"),
    [
        (NO_WISH, RunConfig(), None),
        (NO_WISH, image(["NONE"]), None),
        (NO_WISH, image([]), None),
        (NO_WISH, image(["CMD-SHELL", "x"]), PLAIN),
        (NO_WISH, image(["CMD", "a", "b"]), PLAIN._replace(test=("CMD", "a", "b"), args=("a", "b"))),
        (NO_WISH, image(["CMD-SHELL", "x"])._replace(shell=("/bin/bash", "-ec")),
         PLAIN._replace(args=("/bin/bash", "-ec", "x"))),
        (NO_WISH, image(["CMD-SHELL", "x"], Interval=2 * SECOND, Timeout=SECOND, Retries=7, StartPeriod=9 * SECOND,
                        StartInterval=SECOND // 2),
         PLAIN._replace(interval=2, timeout=1, retries=7, start_period=9, start_interval=0.5)),
        (NO_WISH, image(["CMD-SHELL", "x"], Interval=1), PLAIN._replace(interval=0.001)),
        (HealthOptions(command="x"), RunConfig(), PLAIN),
        (HealthOptions(command="x"), image(["NONE"]), PLAIN),
        (HealthOptions(command="x", interval=0, retries=0), image(["CMD", "a"], Interval=SECOND, Retries=2),
         PLAIN._replace(interval=1, retries=2)),
        (HealthOptions(interval=4), image(["CMD-SHELL", "x"], Interval=SECOND), PLAIN._replace(interval=4)),
        (HealthOptions(none=True), image(["CMD", "a"]), None),
    ],
)  # fmt: skip
def test_which_check(options: HealthOptions, config: RunConfig, expected: Healthcheck | None) -> None:
    check(RunOptions(image="x", health=options))
    found = healthcheck_of(options, config)
    assert found == expected
    assert found is None or Healthcheck.from_plain(found.to_plain()) == found


@pytest.mark.parametrize(
    ("options", "config"),
    [
        (HealthOptions(interval=1), RunConfig()),
        (NO_WISH, image(["CMD"])),
        (NO_WISH, image(["curl", "-f", "x"])),
        (NO_WISH, RunConfig(healthcheck={"Test": "x"})),
        (NO_WISH, RunConfig(healthcheck={"Test": ["CMD", 1]})),
        (NO_WISH, image(["CMD", "a\0"])),
        (NO_WISH, image(["CMD", "a"], Interval=-1)),
        (NO_WISH, image(["CMD", "a"], Timeout=1 << 70)),
        (NO_WISH, image(["CMD", "a"], Retries="3")),
    ],
)
def test_what_makes_no_sense(options: HealthOptions, config: RunConfig) -> None:
    with pytest.raises(InvalidInput, match="health"):
        healthcheck_of(options, config)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HEALTHCHECK NONE", {"Test": ["NONE"]}),
        ("HEALTHCHECK CMD curl -f x || exit 1", {"Test": ["CMD-SHELL", "curl -f x || exit 1"]}),
        ('HEALTHCHECK --retries=2  CMD ["a", "b"]', {"Test": ["CMD", "a", "b"], "Retries": 2}),
        ("HEALTHCHECK --interval=1m --start-period=2s CMD x",
         {"Test": ["CMD-SHELL", "x"], "Interval": 60 * SECOND, "StartPeriod": 2 * SECOND}),
    ],
)  # fmt: skip
def test_the_instruction(text: str, expected: dict[str, Any]) -> None:
    assert changes.apply(RunConfig(), [text]).healthcheck == expected


@pytest.mark.parametrize(
    "text",
    [
        "HEALTHCHECK curl x", "HEALTHCHECK CMD", "HEALTHCHECK CMD []", "HEALTHCHECK --goat=1 CMD x",
        "HEALTHCHECK --interval=soon CMD x", "HEALTHCHECK --retries=-1 CMD x", "HEALTHCHECK --interval=1s NONE",
    ],
)  # fmt: skip
def test_an_instruction_with_nonsense(text: str) -> None:
    with pytest.raises(InvalidInput):
        changes.apply(RunConfig(), [text])
