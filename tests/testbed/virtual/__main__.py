"""``python -m tests.testbed.virtual``: run in virtual machines the tests that this machine's kernel cannot show.

Prints what pytest says as it goes. Fails when a test failed, when a machine did not get to its tests, and when what the
cgroup suites saw does not bear out the table in docs/cgroups.md. ``--report`` keeps the results as JSON: a list of
objects with ``machine``, ``kernel``, ``systemd``, ``hierarchy``, ``test``, ``outcome`` (passed, failed, skipped),
``seconds`` and ``text``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.testbed.virtual import image
from tests.testbed.virtual.machine import VirtualMachine
from tests.testbed.virtual.plans import PLANS, Plan
from tests.testbed.virtual.runner import run_tests
from tools import cgroup_table

Results = list[dict[str, Any]]


def main() -> int:
    """Run the plans that are asked for, or all."""
    asked = read_arguments()
    plans = [plan for plan in PLANS if not asked.machine or plan.name in asked.machine]
    build({plan.release for plan in plans})
    results: Results = []
    for plan in plans:
        runs = [f"{words} {choice_of(asked.selected)}" for words in asked.run or plan.runs]
        results.extend(run_plan(plan, runs))
    if asked.report:
        asked.report.write_text(json.dumps(results, indent=1))
    counts = Counter(result["outcome"] for result in results)
    wrong = contradictions(results)
    print(*wrong, ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped")), sep="\n")
    return 0 if results and not counts["failed"] and not wrong else 1


def read_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="./dev machines", description="Run tests in virtual machines.")
    names = [plan.name for plan in PLANS]
    parser.add_argument("machine", nargs="*", help=f"which: {', '.join(names)}; all when none is named")
    parser.add_argument("-k", dest="selected", default="", metavar="WORDS", help="only these tests, as pytest's -k")
    parser.add_argument("--run", action="append", metavar="WORDS", help="pytest's words, instead of the machine's own")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the results as JSON")
    asked = parser.parse_args()
    if unknown := set(asked.machine) - set(names):
        parser.error(f"there is no machine {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    return asked


def choice_of(selected: str) -> str:
    """Return pytest's words for these tests only."""
    return f"-k {shlex.quote(selected)}" if selected else ""


def build(releases: set[str]) -> None:
    """Build the images that are not in the cache, all at once: each keeps one processor busy for minutes."""
    print(f"images: {', '.join(sorted(releases))}", flush=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(image.build, releases))


def run_plan(plan: Plan, runs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Boot the plan's machine, run these tests and yield their results. Raises RuntimeError when the machine fails."""
    with VirtualMachine(plan.release, plan.hierarchy) as machine:
        kernel = machine.check("uname", "-r").strip()
        systemd = machine.check("systemctl", "--version").split()[1]
        print(f"{plan.name}: Linux {kernel}, systemd {systemd}, up in {machine.boot_seconds:.0f} s", flush=True)
        of_machine = {"machine": plan.name, "kernel": kernel, "systemd": systemd, "hierarchy": plan.hierarchy}
        for words in runs:
            began = time.monotonic()
            for outcome in run_tests(machine, words):
                yield of_machine | outcome._asdict()
            print(f"{plan.name}: {words} took {time.monotonic() - began:.0f} s", flush=True)


def contradictions(results: Results) -> list[str]:
    """Return a sentence for each cell of the table of cgroup drivers that a whole suite does not bear out."""
    known = cgroup_table.read(cgroup_table.PAGE.read_text())
    seen = cgroup_table.of_report(results)
    whole = [heading for heading in seen if heading in known and cgroup_table.complete(seen[heading])]
    return [sentence for heading in whole for sentence in cgroup_table.contradictions(heading, seen[heading])]


if __name__ == "__main__":
    sys.exit(main())
