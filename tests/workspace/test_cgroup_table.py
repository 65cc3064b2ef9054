"""The table of docs/cgroups.md: written from results, and compared with later ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import cgroup_table
from tools.cgroup_table import BEGIN, END, REFUSED, ROWS, SHOWN, UNSHOWN

HEADING = "somefs, v2"
PIDS = next(row for row in ROWS if row.name == "pids")
REALTIME = next(row for row in ROWS if row.name == "cpu: realtime")


def outcomes(**changed: tuple[str, str]) -> dict[str, tuple[str, str]]:
    """Return outcomes of which all passed but these."""
    return {f"test_{check}": ("passed", "") for row in ROWS for check in row.checks} | changed


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return a page with a column of a machine that refuses realtime and shows the rest."""
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{BEGIN}{END}after\n")
    refused = {f"test_{REALTIME.checks[0]}": ("skipped", "the driver does not offer realtime here")}
    refused[f"test_what_is_not_declared_is_refused_by_name[{REALTIME.capability.value}]"] = ("passed", "")
    cgroup_table.write({HEADING: cgroup_table.column(outcomes(**refused))}, page)
    return page


def test_what_was_written_is_read_and_the_rest_of_the_page_stays(page: Path) -> None:
    cells = cgroup_table.read(page.read_text())[HEADING]
    assert cells == {row.name: SHOWN for row in ROWS} | {REALTIME.name: REFUSED}
    assert page.read_text().startswith("# Page\n")
    assert page.read_text().endswith(f"{END}after\n")


def test_a_second_column_leaves_the_first(page: Path) -> None:
    before = cgroup_table.read(page.read_text())[HEADING]
    cgroup_table.write({"other, v1": cgroup_table.column(outcomes())}, page)
    assert cgroup_table.read(page.read_text()).keys() == {HEADING, "other, v1"}
    assert cgroup_table.read(page.read_text())[HEADING] == before


def test_a_failure_and_what_was_not_refused_contradict(page: Path) -> None:
    wrong = cgroup_table.contradictions(HEADING, outcomes(**{f"test_{PIDS.checks[0]}": ("failed", "")}), page)
    assert [(PIDS.name in one, REALTIME.name in one) for one in wrong] == [(False, True), (True, False)]
    assert UNSHOWN in wrong[1]


def test_what_a_machine_could_not_show_contradicts_nothing(page: Path) -> None:
    skipped = dict.fromkeys((f"test_{PIDS.checks[0]}", f"test_{REALTIME.checks[0]}"), ("skipped", "too slow"))
    assert not cgroup_table.contradictions(HEADING, outcomes(**skipped), page)
