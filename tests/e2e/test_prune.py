"""`container prune` and `system prune`: what goes, what stays, and that somebody is asked."""

from __future__ import annotations

import fcntl
import signal
import time

import pytest

from tests.e2e.box import Box, Container, refused
from tests.e2e.terminal import Terminal


def names(box: Box) -> set[str]:
    """Return the names of all containers."""
    return set(box.done("ps", "--all", "--format", "{{.Names}}").stdout.split())


def test_container_prune_removes_what_has_ended_and_leaves_what_runs(own_box: Box) -> None:
    box = own_box
    with box.container() as running, box.container() as paused, box.to_be_removed() as made:
        box.done("pause", paused.name)
        box.done("create", "--name", made, box.image, "true")
        ended = box.name()
        box.done("run", "--name", ended, box.image, "sh", "-c", "head -c 3000000 /dev/zero >/big")
        known = Container(box, ended).inspect()["Id"]
        shown = box.done("container", "prune", "--force").stdout.splitlines()
        assert shown[0] == known
        assert shown[1].startswith("Total reclaimed space: 3")
        assert shown[1].endswith("MB")
        assert names(box) == {running.name, paused.name, made}, "one that was made just now may be about to start"
        assert not (box.root.root / "containers" / known).exists()
        assert box.done("container", "prune", "-f").stdout == "Total reclaimed space: 0B\n"


@pytest.mark.slow
def test_container_prune_removes_what_never_started(own_box: Box) -> None:
    name = own_box.name()
    own_box.done("create", "--name", name, own_box.image, "true")
    time.sleep(10.5)
    own_box.done("container", "prune", "--force")
    assert names(own_box) == set()
    assert own_box.left() == []


@pytest.mark.parametrize("group", ["container", "system"])
def test_nothing_goes_without_a_word_where_nobody_can_be_asked(group: str, own_box: Box) -> None:
    ended = own_box.name()
    own_box.done("run", "--name", ended, own_box.image, "true")
    refused(own_box(group, "prune"), "there is nobody to ask")
    assert names(own_box) == {ended}


@pytest.mark.parametrize("group", ["container", "system"])
def test_the_user_is_asked_on_a_terminal(group: str, own_box: Box) -> None:
    ended = own_box.name()
    own_box.done("run", "--name", ended, own_box.image, "true")
    for answer, status, left in (("\n", 1, {ended}), ("no\n", 1, {ended}), ("y\n", 0, set())):
        with Terminal(own_box.root.command(group, "prune"), own_box.root.environment) as terminal:
            terminal.wait_for("Continue? [y/N] ")
            terminal.type(answer)
            assert terminal.end() == status
        assert names(own_box) == left


def test_system_prune_takes_images_without_a_name_and_with_all_those_nobody_uses(own_box: Box) -> None:
    box = own_box
    with box.container() as used:
        with box.to_be_removed() as name:
            box.done("run", "--name", name, used.box.image, "sh", "-c", "echo x >/new")
            first = box.done("commit", name, "app").stdout.strip()
            box.done("exec", used.name, "true")
            box.done("start", "--attach", name)
            second = box.done("commit", "--change", "LABEL n=2", name, "app").stdout.strip()
        assert first != second
        dangling = box.done("images", "--quiet", "--no-trunc", "--filter", "dangling=true").stdout.split()
        assert dangling == [first]
        shown = box.done("system", "prune", "--force").stdout.splitlines()
        assert f"Deleted: {first}" in shown
        assert box.done("images", "--format", "{{.Repository}}").stdout.split() == ["app", "busybox"]
        box.done("tag", "app", "app:twin")
        shown = box.done("system", "prune", "--all", "--force").stdout.splitlines()
        assert {"Untagged: app:latest", "Untagged: app:twin", f"Deleted: {second}"} <= set(shown)
        assert shown[-1].startswith("Total reclaimed space: ")
        assert box.done("images", "--format", "{{.Repository}}").stdout.split() == ["busybox"]
        assert used.sh("echo works") == "works\n"
        assert box.run(script="echo works") == "works\n"


def test_a_container_that_starts_meanwhile_is_not_pruned(own_box: Box) -> None:
    """Both wait for the container, which another command works on; whichever comes first, it is whole or gone."""
    with own_box.to_be_removed() as name:
        own_box("run", "--name", name, own_box.image, "sh", "-c", "test -e /kept && exec sleep 600; echo x >/kept")
        container = Container(own_box, name)
        with (own_box.root.state / "locks" / container.inspect()["Id"]).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            starting = own_box.root.popen("start", name, stderr=-1)
            pruning = own_box.root.popen("container", "prune", "--force", stdout=-1)
            time.sleep(0.8)
        shown, errors = pruning.communicate(timeout=30)[0], starting.communicate(timeout=30)[1]
        assert pruning.returncode == 0
        if starting.returncode == 0:
            assert shown == "Total reclaimed space: 0B\n"
            assert container.sh("cat /kept") == "x\n"
        else:
            assert "there is no container" in errors
            assert names(own_box) == set()


def test_rm_looks_again_once_it_has_the_lock(own_box: Box) -> None:
    """A container that was started while `rm` waited for it runs on: `rm` is held still in between."""
    with own_box.to_be_removed() as name:
        own_box("run", "--name", name, own_box.image, "sh", "-c", "test -e /kept && exec sleep 600; echo x >/kept")
        container = Container(own_box, name)
        with (own_box.root.state / "locks" / container.inspect()["Id"]).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            removing = own_box.root.popen("rm", name, stderr=-1)
            time.sleep(1)  # it has seen that the container does not run, and waits
            removing.send_signal(signal.SIGSTOP)
        own_box.done("start", name)
        removing.send_signal(signal.SIGCONT)
        errors = removing.communicate(timeout=30)[1]
        assert removing.returncode != 0
        assert "is running" in errors
        assert container.sh("cat /kept") == "x\n"
