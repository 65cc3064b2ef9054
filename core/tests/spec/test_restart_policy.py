"""Whether a container is started again, and when: Docker's rules, as numbers."""

from __future__ import annotations

import itertools

import pytest

from engine.spec.restart_policy import NEVER, RestartPolicy, delay_after, parse_restart

ALWAYS = RestartPolicy("always")


def delays(policy: RestartPolicy, ran: float) -> list[float | None]:
    """Return the first twelve back-offs of a container that always fails after so long."""
    found: list[float | None] = []
    delay: float | None = 0.0
    for restarts in range(12):
        assert delay is not None
        delay = delay_after(policy, failed=True, restarts=restarts, delay=delay, ran=ran)
        found.append(delay)
        if delay is None:
            break
    return found


def test_the_back_off_doubles_from_a_tenth_of_a_second_to_a_minute() -> None:
    assert delays(ALWAYS, 0.5) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60])


def test_a_run_of_ten_seconds_begins_it_anew() -> None:
    assert delays(ALWAYS, 10) == [0.1] * 12
    assert delay_after(ALWAYS, failed=True, restarts=9, delay=51.2, ran=9.9) == 60


@pytest.mark.parametrize(
    ("policy", "failed", "again"),
    [
        (NEVER, True, False),
        (ALWAYS, False, True),
        (ALWAYS, True, True),
        (RestartPolicy("unless-stopped"), False, True),
        (RestartPolicy("on-failure"), False, False),
        (RestartPolicy("on-failure"), True, True),
    ],
)
def test_what_each_policy_does(policy: RestartPolicy, failed: bool, again: bool) -> None:
    assert (delay_after(policy, failed=failed, restarts=0, delay=0, ran=1) is not None) is again


def test_on_failure_counts() -> None:
    assert [delay is None for delay in delays(parse_restart("on-failure:3"), 1)] == [False, False, False, True]
    assert None not in itertools.islice(delays(parse_restart("on-failure:0"), 1), 12)
