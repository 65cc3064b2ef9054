"""The table of docs/cgroups.md: what each cgroup driver was seen to do on each kind of machine, from tests' results.

    python -m tools.cgroup_table REPORT… HEADING=JUNIT.xml…     write the columns that the reports have results for

A report is what ``./dev machines --report`` writes. Whoever runs the contract suite on a machine that has a column
compares with it (`contradictions`), so that a table which is stale or wrong fails.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.contracts.cgroup import Capability

PAGE = Path(__file__).resolve().parent.parent / "docs/cgroups.md"
BEGIN, END = "<!-- made by tools.cgroup_table from tests' results -->\n", "<!-- end -->\n"
SHOWN, REFUSED, UNSHOWN = "shown", "refused", "not shown"
LAYOUTS = ("v1", "hybrid", "v2")
DRIVERS = {"TestCgroupFs": "cgroupfs", "TestCgroupSystemd": "systemd"}

Outcomes = Mapping[str, tuple[str, str]]
"""Each check with its outcome (passed, failed, skipped) and, of a skipped one, the reason."""


class Row(NamedTuple):
    """A line of the table: what is limited or done, and the checks of the suite that show it."""

    name: str
    capability: Capability
    checks: tuple[str, ...]


ROWS = (
    Row("cpu: weight, idle", Capability.CPU, ("shares_divide_a_contended_processor", "idle_gets_what_is_left")),
    Row("cpu: quota", Capability.CPU, ("quota_is_the_processor_time_that_is_had", "update_of_quota_takes_effect")),
    Row("cpu: realtime", Capability.REALTIME, ("a_realtime_budget_lets_processes_be_realtime",)),
    Row("cpuset", Capability.CPUSET, ("cpuset_restricts_affinity", "update_of_cpuset_takes_effect")),
    Row(
        "memory: limit, swap",
        Capability.MEMORY,
        ("allocation_past_the_limit_is_killed_and_counted", "update_of_memory_goes_up_and_down"),
    ),
    Row("memory: killer off", Capability.OOM_CONTROL, ("without_the_killer_an_allocation_waits",)),
    Row("memory: reservation", Capability.MEMORY, ("a_reservation_is_kept_when_memory_is_short",)),
    Row("memory: swappiness", Capability.SWAPPINESS, ("swappiness_decides_what_is_swapped",)),
    Row("memory: TCP buffers", Capability.KERNEL_TCP, ("buffers_of_tcp_are_limited",)),
    Row("pids", Capability.PIDS, ("the_process_past_the_limit_is_refused", "update_of_pids_takes_effect")),
    Row(
        "io: rates",
        Capability.IO,
        ("a_transfer_is_slowed_to_its_rate[read]", "a_transfer_is_slowed_to_its_rate[write]",
         "operations_are_slowed_to_their_rate", "update_of_a_rate_takes_effect"),
    ),
    Row("io: weight", Capability.IO_WEIGHT, ("weights_divide_a_contended_disk",)),
    Row(
        "devices",
        Capability.DEVICES,
        ("devices_outside_the_rules_cannot_be_opened", "update_of_devices_takes_effect"),
    ),
    Row("hugetlb", Capability.HUGETLB, ("huge_pages_are_limited",)),
    Row("rdma", Capability.RDMA, ("handles_of_rdma_devices_are_limited",)),
    Row("net_cls", Capability.NET_CLS, ("packets_bear_their_class",)),
    Row("net_prio", Capability.NET_PRIO, ("packets_bear_their_priority",)),
    Row("any file of v2", Capability.UNIFIED, ("any_file_of_v2_can_be_written",)),
    Row("freezing", Capability.FREEZE, ("freezing_stops_all_progress",)),
    Row("killing a bomb", Capability.PIDS, ("kill_empties_a_fork_bomb_within_a_second",)),
    Row("pressure", Capability.STATISTICS, ("pressure_is_told",)),
)  # fmt: skip


def cell(row: Row, outcomes: Outcomes) -> str:
    """Return what the outcomes say of a row. A refusal counts when the driver said so by name."""
    found = [outcomes.get(f"test_{check}", ("missing", "")) for check in row.checks]
    if all(outcome == "passed" for outcome, _ in found):
        return SHOWN
    named = outcomes.get(f"test_what_is_not_declared_is_refused_by_name[{row.capability.value}]", ("", ""))[0]
    offered = any("does not offer" in reason for _, reason in found)
    if offered and named == "passed":
        return REFUSED
    return UNSHOWN


def column(outcomes: Outcomes) -> dict[str, str]:
    """Return the cells of a machine and driver, by the rows' names."""
    return {row.name: cell(row, outcomes) for row in ROWS}


def read(text: str) -> dict[str, dict[str, str]]:
    """Return the table's columns by their headings. An empty dictionary where there is none yet."""
    lines = [line for line in text.partition(BEGIN)[2].partition(END)[0].splitlines() if line.startswith("|")]
    rows = [[word.strip() for word in line.strip("|").split("|")] for line in lines]
    if len(rows) < 3:
        return {}
    heading, _, *body = rows
    return {name: {row[0]: row[place] for row in body} for place, name in enumerate(heading) if place}


def contradictions(heading: str, outcomes: Outcomes, page: Path = PAGE) -> list[str]:
    """Return a sentence for each cell of a column that the outcomes contradict; what was skipped contradicts none."""
    written, seen = read(page.read_text()).get(heading, {}), column(outcomes)
    return [
        f"docs/cgroups.md says {written.get(name)!r} of {name} on {heading}; the checks say {found!r}"
        for name, found in seen.items()
        if written.get(name) != found and not (found == UNSHOWN and _was_skipped(name, outcomes))
    ]


def _was_skipped(name: str, outcomes: Outcomes) -> bool:
    """Return whether the machine could not show it this time: a check was skipped, and none failed."""
    found = {outcomes[f"test_{check}"][0] for row in ROWS if row.name == name for check in row.checks}
    return "skipped" in found and "failed" not in found


def write(columns: Mapping[str, Mapping[str, str]], page: Path = PAGE) -> None:
    """Write columns into the table, beside those that it has."""
    text = page.read_text()
    table = dict(sorted((read(text) | {name: dict(cells) for name, cells in columns.items()}).items(), key=_place))
    lines = [["", *table], ["---"] * (len(table) + 1)]
    lines += [[row.name, *(cells.get(row.name, UNSHOWN) for cells in table.values())] for row in ROWS]
    made = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    before, _, rest = text.partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}")


def _place(column: tuple[str, object]) -> tuple[str, int, str]:
    """Sort columns by driver, layout, and version."""
    driver, _, layout = column[0].partition(", ")
    return driver.split()[0], LAYOUTS.index(layout), driver


def of_report(rows: Sequence[Mapping[str, str]]) -> dict[str, dict[str, tuple[str, str]]]:
    """Return the outcomes in a report of virtual machines, by the headings of their columns."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for row in rows:
        place, _, check = row["test"].rpartition(".test_")
        driver = DRIVERS.get(place.rpartition(".")[2])
        if driver:
            version = f" {row['systemd']}" if driver == "systemd" else ""
            heading = f"{driver}{version}, {row['hierarchy']}"
            found.setdefault(heading, {})[f"test_{check}"] = (row["outcome"], row["text"])
    return found


def of_junit(text: str) -> dict[str, tuple[str, str]]:
    """Return the outcomes in what pytest's ``--junit-xml`` writes."""
    found = {}
    for case in ET.fromstring(text).iter("testcase"):
        outcome, reason = "passed", ""
        for child in case:
            if child.tag in ("failure", "error", "skipped"):
                outcome, reason = "skipped" if child.tag == "skipped" else "failed", child.get("message", "")
        found[case.get("name", "")] = (outcome, reason)
    return found


def complete(outcomes: Outcomes) -> bool:
    """Return whether every check that the table goes by has an outcome."""
    return all(f"test_{check}" in outcomes for row in ROWS for check in row.checks)


def main(reports: Sequence[str]) -> None:
    """Write the columns of the reports. ``HEADING=FILE`` is one column, from what pytest's ``--junit-xml`` wrote."""
    for name in reports:
        heading, equals, file = name.rpartition("=")
        text = Path(file).read_text()
        outcomes = {heading: of_junit(text)} if equals else of_report(json.loads(text))
        write({heading: column(found) for heading, found in outcomes.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
