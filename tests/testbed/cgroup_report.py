"""A run of the cgroup suite on this machine that does not bear out the table in docs/cgroups.md fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.linux import hierarchies
from tools import cgroup_table

_SUITE = "plugins/cgroup_fs/tests/test_contract.py::"


class Report:
    """A pytest plugin that keeps the outcomes of the suite, and compares them when all are there."""

    def __init__(self) -> None:
        self.outcomes: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note an outcome; of a test that did not get to its call, that of its setup."""
        if _SUITE in report.nodeid and (report.when == "call" or report.outcome != "passed"):
            reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
            self.outcomes[report.nodeid.rpartition("::")[2]] = (report.outcome, reason)

    def wrong(self) -> list[str]:
        """Return what the table says otherwise; nothing when not the whole suite was run, or has no column."""
        heading = f"cgroupfs, {hierarchies.discover().mode}"
        known = heading in cgroup_table.read(cgroup_table.PAGE.read_text())
        if not known or not cgroup_table.complete(self.outcomes):
            return []
        return cgroup_table.contradictions(heading, self.outcomes)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Make the run a failed one when the table is wrong."""
        if self.wrong():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is wrong with the table."""
        for sentence in self.wrong():
            terminalreporter.write_line(sentence, red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Report where results come together, and not in a worker."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(), "cgroup-report")
