"""`engine logs`: what was written, while it runs, after it has ended, and across that end."""

from __future__ import annotations

import re
import subprocess
import time

from tests.e2e.box import Box, Container


def test_output_and_errors_are_kept_apart_and_whole(box: Box) -> None:
    with box.to_be_removed() as name:
        script = "seq 3; echo bad >&2; printf 'no newline at its end'"
        box.done("run", "--name", name, box.image, "sh", "-c", script)
        done = box.done("logs", name)
        assert (done.stdout, done.stderr) == ("1\n2\n3\nno newline at its end", "bad\n")


def test_every_byte_is_kept(box: Box) -> None:
    with box.to_be_removed() as name:
        command = box.root.command("run", "--name", name, box.image, "printf", r"\377\0\r\n\033[1m\303\050")
        logs = box.root.command("logs", name)
        for typed in (command, logs):
            done = subprocess.run(typed, env=box.root.environment, capture_output=True, check=True)
            assert done.stdout == b"\xff\0\r\n\x1b[1m\xc3("


def test_tail_and_timestamps(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("run", "--name", name, box.image, "seq", "2000")
        assert box.done("logs", "--tail", "2", name).stdout == "1999\n2000\n"
        assert box.done("logs", "-n", "0", name).stdout == ""
        stamped = box.done("logs", "-t", "-n", "1", name).stdout
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z 2000\n", stamped)


def test_follow_shows_what_comes_and_ends_with_the_container(box: Box) -> None:
    script = "echo first; until test -e /now; do sleep 0.02; done; echo second; sleep 0.1; echo last"
    with box.container(script=script) as container:
        following = box.root.popen("logs", "-f", container.name, stdout=-1)
        assert following.stdout is not None
        assert following.stdout.readline() == "first\n"
        assert following.poll() is None
        container.sh("touch /now")
        assert following.communicate(timeout=20)[0] == "second\nlast\n"
        assert following.returncode == 0
        ended = time.monotonic()
        assert box.done("logs", "-f", container.name).stdout == "first\nsecond\nlast\n"
        assert time.monotonic() - ended < 10


def test_follow_of_one_that_is_killed_shows_all_of_it(box: Box) -> None:
    with box.container(script="seq 30000; exec sleep 600") as container:
        following = box.root.popen("logs", "--follow", container.name, stdout=-1)
        container.wait_for_log("30000\n")
        box.done("kill", container.name)
        shown = following.communicate(timeout=20)[0]
        assert shown.splitlines() == [str(n) for n in range(1, 30001)]


def test_a_detached_container_that_nobody_reads_is_not_held_up(box: Box) -> None:
    with box.container(script="seq 100000; echo done >&2") as container:
        assert container.wait() == 0
        assert box.done("logs", container.name).stdout.splitlines()[-1] == "100000"


def test_logs_of_a_container_that_wrote_nothing(box: Box) -> None:
    with box.to_be_removed() as name:
        box.done("create", "--name", name, box.image, "true")
        assert Container(box, name).logs() == ""
        assert box.done("logs", "--follow", name).stdout == ""
