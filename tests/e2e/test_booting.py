"""`system start` and `system stop`: what a service manager calls after a boot and before one."""

from __future__ import annotations

import time

from tests.e2e.box import Box, Container, until

POLITE = "trap 'echo asked; exit 0' TERM; echo run; while :; do sleep 0.02; done"


def test_what_was_to_run_runs_again_after_a_boot(own_box: Box) -> None:
    box = own_box
    wanted = {name: Container(box, name) for name in ("ever", "wanted", "stopped", "stopped-ever", "plain", "failing")}
    policies = ("always", "unless-stopped", "unless-stopped", "always", "no", "on-failure")
    for name, policy in zip(wanted, policies, strict=True):
        box.done("run", "-d", "--name", name, "--restart", policy, box.image, "/bin/sh", "-c", POLITE)
    box.done("create", "--name", "never", "--restart", "always", box.image, "true")
    for container in wanted.values():
        container.wait_for_log("run")
    box.done("stop", "stopped", "stopped-ever")
    began = time.monotonic()
    ended = box.done("system", "stop").stdout.split()
    assert time.monotonic() - began < 20
    assert set(ended) == {"ever", "wanted", "plain", "failing"}
    assert box.done("ps", "--quiet").stdout == ""
    assert all(container.logs() == "run\nasked\n" for container in wanted.values())
    assert box.done("system", "start").stdout.split() == ["ever", "wanted", "stopped-ever"]
    assert set(box.done("ps", "--format", "{{.Names}}").stdout.split()) == {"ever", "wanted", "stopped-ever"}
    assert box.done("system", "start").stdout == ""
    box.done("rm", "--force", "never", *wanted)
    assert box.done("system", "start").stdout == box.done("system", "stop").stdout == ""


def test_system_stop_ends_a_back_off_and_keeps_what_is_wanted(own_box: Box) -> None:
    box = own_box
    with box.container("--restart", "unless-stopped", script="echo run; exit 3") as container:
        until(lambda: container.inspect()["RestartCount"] >= 3, "some restarts")
        box.done("system", "stop")
        assert container.state["Status"] == "exited"
        time.sleep(1)
        assert container.state["Status"] == "exited"
        assert box.done("system", "start").stdout == f"{container.name}\n"
