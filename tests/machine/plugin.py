"""The pytest plugin: marks each test, compares the machine before and after, and knows which skips are expected.

In a run with pytest-xdist the workers mark and run; the controller compares, and so sees what any of them left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machine import comparison, marks, skips, snapshot
from tests.machine.engine_root import EngineRoot, fresh_engine

SKIPS_FILE = Path(__file__).parent.parent / "expected_skips.txt"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give the run its digits and a temporary directory that bears them, and let the controller watch the machine.

    Pytest's own temporary directory is shared by all runs of a user, which clean up after each other.
    """
    marks.begin_run()
    if not hasattr(config, "workerinput"):
        _remove_old_directories()
        config.option.basetemp = config.option.basetemp or f"{tempfile.gettempdir()}/{marks.of_run()}"
        config.pluginmanager.register(Watch(config), "machine-watch")


def _remove_old_directories() -> None:
    """Remove what failed runs of other days kept in the temporary directory for a person to look at."""
    for directory in Path(tempfile.gettempdir()).glob(f"{marks.PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # another run removes them at the same moment
            if time.time() - directory.stat().st_mtime > 86400:
                shutil.rmtree(directory)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Put the node id into the environment that the test's processes inherit."""
    os.environ[marks.TEST] = item.nodeid
    try:
        return (yield)
    finally:
        del os.environ[marks.TEST]


@pytest.fixture
def engine_root(request: pytest.FixtureRequest) -> Iterator[EngineRoot]:
    """Return an engine of the test's own: root, state and cgroup parent, named after it and gone when it ends.

    The test fails when something is left after its containers were removed.
    """
    with fresh_engine(marks.of(request.node.nodeid)) as root:
        yield root


class Watch:
    """What the controlling process remembers of a run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.before = snapshot.take()
        self.tests: set[str] = set()
        self.unexpected: list[str] = []
        self.left: list[comparison.Leftover] = []
        self.expected = skips.read(SKIPS_FILE)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note each test's name, and a skip that nobody expects."""
        self.tests.add(report.nodeid)
        reason = skips.reason_of(report)
        if reason is not None and not skips.is_expected(report.nodeid, reason, self.expected):
            self.unexpected.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Compare, when every worker is gone; turn a passed run into a failed one."""
        self.left = comparison.find_patiently(self.before, self.tests, [str(self._base())])
        failed = any(comparison.is_failure(leftover) for leftover in self.left)
        failed = failed or (bool(self.unexpected) and bool(os.environ.get("CI")))
        if failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if session.exitstatus == pytest.ExitCode.OK:
            shutil.rmtree(self._base())
        shutil.rmtree(marks.cache(), ignore_errors=True)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print what was left, and the skips that nobody expects."""
        if self.unexpected:
            terminalreporter.section("skips that tests/expected_skips.txt does not know")
            terminalreporter.write("".join(f"{line}\n" for line in self.unexpected))
        failures = [leftover for leftover in self.left if comparison.is_failure(leftover)]
        if failures:
            terminalreporter.section("left on the machine by this run")
        for thing, test, is_ours in failures:
            maker = test or ("an unknown test of this run" if is_ours else "nobody of this run, as far as marks tell")
            terminalreporter.write(f"{thing.kind} {thing.name}\n    by {maker}\n")
        if forgiven := len(self.left) - len(failures):
            terminalreporter.write(
                f"{forgiven} new things on this machine bear no mark of the run (CI=true shows them)\n"
            )

    def _base(self) -> Path:
        """Return the directory that holds every tmp_path of the run."""
        factory = self.config._tmp_path_factory  # type: ignore[attr-defined]  # pytest has no public name for it
        base: Path = factory.getbasetemp()
        return base
