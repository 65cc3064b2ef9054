"""The watch itself: a run that leaves something fails and says which test did it; a clean run passes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machine import marks, processes, snapshot

ROOT = Path(__file__).parent.parent.parent
Result = subprocess.CompletedProcess[str]


@pytest.fixture
def inner_run() -> Iterator[str]:
    """Return the digits of a run inside this one, of which nothing may be left once its reaper has ended."""
    digits = os.urandom(3).hex()
    yield digits
    assert not [thing for thing in snapshot.take() if marks.PREFIX + digits in thing.name]
    assert not list(marks.PLACE.glob(f"{marks.PREFIX}{digits}*"))
    everything = processes.everything().values()
    assert not [process for process in everything if f"{marks.RUN}={digits}" in process.environment]


def inner_command(directory: Path, digits: str, body: str, *arguments: str, ci: bool = False) -> dict[str, Any]:
    """Return what subprocess needs to run one test module in a pytest of its own, under a reaper of its own."""
    (directory / "test_inner.py").write_text(
        "import os, pathlib, subprocess, sys, time\nimport pytest\nfrom tests.machine import marks, snapshot\n" + body
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TESTRUN", "PYTEST_"))}
    environment |= {marks.RUN: digits, "CI": "true" if ci else "", "TESTRUN_PATIENCE": "0.5"}
    command = [sys.executable, "-m", "tests.machine.reaper", sys.executable, "-m", "pytest"]
    options = ["-q", "-p", "tests.machine.plugin", "-p", "no:cacheprovider", f"--rootdir={directory}"]
    options += [f"--basetemp={directory}/base", *arguments, str(directory / "test_inner.py")]
    return {"args": command + options, "cwd": ROOT, "env": environment, "text": True}


def run_pytest(directory: Path, digits: str, body: str, *arguments: str, ci: bool = False) -> Result:
    """Run one test module to its end."""
    command = inner_command(directory, digits, body, *arguments, ci=ci)
    return subprocess.run(**command, capture_output=True, timeout=90, check=False)


def test_a_clean_run_passes(tmp_path: Path, inner_run: str) -> None:
    result = run_pytest(tmp_path, inner_run, "def test_nothing(): subprocess.run(['true'], check=True)\n")
    assert result.returncode == 0, result.stdout + result.stderr


LEAVERS = {
    "mount": "    subprocess.run(['mount', '-t', 'tmpfs', 'x', str(place)], check=True)\n",
    "cgroup": "    os.mkdir(f'{snapshot.cgroup_hierarchies()[-1]}/{mark}')\n",
    "loop device": (
        "    (place / 'disk').write_bytes(bytes(1 << 20))\n"
        "    subprocess.run(['losetup', '--find', str(place / 'disk')], check=True)\n"
    ),
}


@pytest.mark.parametrize("kind", LEAVERS)
def test_a_leftover_fails_the_run_and_names_the_test(kind: str, tmp_path: Path, inner_run: str) -> None:
    body = "def test_leaver(tmp_path, request):\n    mark = marks.of(request.node.nodeid)\n"
    body += "    place = tmp_path / mark\n    place.mkdir()\n" + LEAVERS[kind]
    result = run_pytest(tmp_path, inner_run, body, "-n", "1")
    assert result.returncode == 1, result.stdout + result.stderr
    report = result.stdout.partition("left on the machine")[2]
    assert kind in report, result.stdout
    assert "test_inner.py::test_leaver" in report, result.stdout


ORPHAN = """
def test_leaver():
    script = "import os, time\\nif os.fork() == 0:\\n    os.setsid()\\n    time.sleep(300)\\n"
    subprocess.run([sys.executable, '-c', script], env={}, close_fds=True, stdout=subprocess.DEVNULL, check=True)
"""


def test_a_process_without_any_mark_is_known_by_descent_and_killed(tmp_path: Path, inner_run: str) -> None:
    started = time.time()
    result = run_pytest(tmp_path, inner_run, ORPHAN)
    assert result.returncode == 1, result.stdout + result.stderr
    line = next(line for line in result.stdout.splitlines() if line.startswith("process "))
    pid = int(line.split()[1].rstrip(":"))
    process = processes.read(pid)
    assert process is None or os.stat(f"/proc/{pid}").st_ctime > started + 60


KILLED = """
def test_killed(engine_root):
    place = engine_root.root / "mounted"
    place.mkdir()
    subprocess.run(['mount', '-t', 'tmpfs', 'x', place], check=True)
    os.mkdir(f'{snapshot.cgroup_hierarchies()[-1]}/{engine_root.mark}')
    print('ready', flush=True)
    time.sleep(300)
"""


def test_a_run_that_is_killed_leaves_nothing(tmp_path: Path, inner_run: str) -> None:
    command = inner_command(tmp_path, inner_run, KILLED, "--capture=no")
    with subprocess.Popen(**command, stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert any("ready" in line for line in run.stdout)
        run.terminate()
        assert run.wait(30) == 128 + signal.SIGTERM


def test_a_failed_run_keeps_its_status(tmp_path: Path, inner_run: str) -> None:
    result = run_pytest(tmp_path, inner_run, "def test_no(): assert 0\n")
    assert result.returncode == 1
    assert "1 failed" in result.stdout


SKIP = "def test_skip(): pytest.skip('a reason that nobody wrote down')\n"


@pytest.mark.parametrize(("ci", "status"), [(True, 1), (False, 0)])
def test_an_unknown_skip_is_named_and_fails_ci(ci: bool, status: int, tmp_path: Path, inner_run: str) -> None:
    result = run_pytest(tmp_path, inner_run, SKIP, ci=ci)
    assert "test_inner.py::test_skip: a reason that nobody wrote down" in result.stdout
    if not ci:
        assert result.returncode == status
    assert result.returncode in {status, 1}
