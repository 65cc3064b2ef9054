"""`logs --since` and `--until`, in each form that a time may have."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.e2e.box import Box, Container, refused

SLOWLY = "for n in 1 2 3 4 5; do echo $n; sleep 0.4; done"


def stamped(container: Container) -> list[tuple[str, str]]:
    """Return each line of a container with the time before it."""
    lines = container.box.done("logs", "--timestamps", container.name).stdout.splitlines()
    return [(stamp, text) for stamp, _, text in (line.partition(" ") for line in lines)]


def test_since_and_until_by_the_times_that_are_shown(box: Box) -> None:
    with box.container(script=SLOWLY) as container:
        container.wait()
        lines = stamped(container)
        assert [text for _, text in lines] == list("12345")
        third, fourth = lines[2][0], lines[3][0]
        date, _, fraction = third.removesuffix("Z").partition(".")
        moment = datetime.fromisoformat(f"{date}Z")
        local = f"{moment.astimezone().replace(tzinfo=None).isoformat()}.{fraction}"
        unix = f"{int(moment.timestamp())}.{fraction}"
        for since in (third, local, unix, f"{date}.{fraction}+00:00"):
            assert box.done("logs", "--since", since, container.name).stdout == "3\n4\n5\n", since
        assert box.done("logs", "--since", third, "--tail", "2", container.name).stdout == "4\n5\n"
        assert box.done("logs", "--until", third, container.name).stdout == "1\n2\n3\n"
        assert box.done("logs", "--until", fourth, "--tail", "1", container.name).stdout == "4\n"
        assert box.done("logs", "--since", third, "--until", fourth, container.name).stdout == "3\n4\n"
        assert box.done("logs", "--until", third, "--tail", "0", container.name).stdout == ""


def test_a_time_ago_and_a_day(box: Box) -> None:
    with box.container(script="echo long ago; sleep 1.5; echo just now") as container:
        container.wait()
        ago = time.time() - datetime.fromisoformat(stamped(container)[1][0]).timestamp() + 0.5
        assert box.done("logs", "--since", f"{int(ago * 1000)}ms", container.name).stdout == "just now\n"
        assert box.done("logs", "--since", "1h30m", container.name).stdout == "long ago\njust now\n"
        assert box.done("logs", "--until", "1h", container.name).stdout == ""
        assert box.done("logs", "--since", "2001-02-03", container.name).stdout == "long ago\njust now\n"
        assert box.done("logs", "--until", "2001-02-03T04:05", container.name).stdout == ""
        assert box.done("logs", "--since", "2001-02-03Z", "--tail", "1", container.name).stdout == "just now\n"


def test_follow_ends_when_the_time_has_come(box: Box) -> None:
    with box.container(script="n=0; while :; do echo $n; n=$((n+1)); sleep 0.1; done") as container:
        container.wait_for_log("3\n")
        until = datetime.fromtimestamp(time.time() + 1.5, UTC)
        began = time.monotonic()
        done = box.done("logs", "--follow", "--until", until.isoformat(), container.name, timeout=20)
        assert 0.3 < time.monotonic() - began < 10
        assert container.state["Running"]
        assert done.stdout.startswith("0\n1\n2\n3\n")
        last = int(done.stdout.split()[-1])
        assert 8 < last < 40
        assert box.done("logs", "--follow", "--until", "1m", container.name, timeout=20).stdout == ""


def test_follow_since(box: Box) -> None:
    with box.container(script="echo before; until test -e /now; do sleep 0.02; done; echo after") as container:
        container.wait_for_log("before")
        following = box.root.popen("logs", "--follow", "--since", f"{time.time():.3f}", container.name, stdout=-1)
        container.sh("touch /now")
        assert following.communicate(timeout=20)[0] == "after\n"


@pytest.mark.parametrize("flag", ["--since", "--until"])
@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "2026-02-30T10:00", "10", "-5m", "10:30", "5 m"])
def test_what_is_no_time(flag: str, text: str, box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("create", "--name", name, box.image, "true")
        if text == "10":  # seconds since 1970
            assert box.done("logs", f"{flag}={text}", name).stdout == ""
        else:
            refused(box("logs", f"{flag}={text}", name), flag)
