"""Test suites run in containers: Python's own, which looks at everything a process may do, and one of this project."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.e2e.box import Box

pytestmark = pytest.mark.timeout(600)  # the image may have to be built first
ROOT = Path(__file__).parent.parent.parent
MODULES = (
    "test_os", "test_posix", "test_pty", "test_fork1", "test_wait3", "test_popen", "test_openpty", "test_fcntl",
    "test_select", "test_epoll", "test_resource", "test_pwd", "test_grp", "test_stat", "test_tempfile", "test_mmap",
    "test_socket", "test_threading",
)  # fmt: skip
"""Of Python's test suite: those that ask the kernel for something, and are quick about it."""
ABOUT_THE_MACHINE = (
    "test_this_machine",
    "test_they_fail_for_another_reason_without_the_filter",
    "test_sources_are_made_for_the_containers_root",
)
"""Tests of ours that want capabilities, or no filter."""


def test_pythons_own_tests_pass(box: Box) -> None:
    """A default container is a whole machine to them: terminals, signals, descriptors, sockets, shared memory."""
    limits = ("--memory", "1g", "--pids-limit", "256", "--shm-size", "128m", "--workdir", "/tmp")
    done = box("run", "--rm", *limits, box.image, "python3", "-m", "test", "-j2", *MODULES, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"All {len(MODULES)} tests OK." in done.stdout


def test_this_projects_tests_pass_in_a_locked_up_container(box: Box) -> None:
    """The checkout and its environment are mounted read-only; what is pure needs nothing more."""
    places = [ROOT, *(Path(place) for place in (sys.prefix, sys.base_prefix))]
    volumes = [f"--volume={place}:{place}:ro" for place in dict.fromkeys(places) if not place.is_relative_to("/usr")]
    locks = ("--read-only", "--tmpfs", "/tmp", "--network", "none", "--cap-drop", "ALL", "--memory", "512m")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "core/tests/spec", "-k"]
    pure = " and ".join(f"not {name}" for name in ABOUT_THE_MACHINE)
    done = box("run", "--rm", *locks, *volumes, "--workdir", ROOT, box.image, *command, pure, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) passed", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) > 100
