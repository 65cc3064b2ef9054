"""``python -m tests.testbed.virtual``: run in virtual machines the tests that this machine's kernel cannot show.

Prints what pytest says as it goes, and fails when a test failed, or when a machine did not get to its tests.
``--report`` keeps the results as JSON: a list of objects with ``machine``, ``kernel``, ``systemd``, ``hierarchy``,
``test``, ``outcome`` (passed, failed, skipped), ``seconds`` and ``text``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from tests.testbed.virtual import image
from tests.testbed.virtual.machine import Done, VirtualMachine
from tests.testbed.virtual.plans import PLANS, Plan

RUN_TIMEOUT = 1200.0
"""Seconds for one run of pytest."""
RESULTS, SAID = "/run/results.xml", "/run/pytest.log"
PYTEST = (
    str(image.PYTHON), "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--override-ini=timeout=300", "-v",
    "--tb=short", f"--junit-xml={RESULTS}",
)  # fmt: skip


class Result(NamedTuple):
    """What became of a test in a machine."""

    machine: str
    kernel: str
    systemd: str
    hierarchy: str
    test: str
    outcome: str
    seconds: float
    text: str


def run_plan(plan: Plan, selected: str) -> Iterator[Result]:
    """Boot the plan's machine, run its tests and yield their results. Raises RuntimeError when the machine fails."""
    with VirtualMachine(plan.release, plan.hierarchy) as machine:
        kernel = machine.check("uname", "-r").strip()
        systemd = machine.check("systemctl", "--version").split()[1]
        print(f"{plan.name}: Linux {kernel}, systemd {systemd}, up in {machine.boot_seconds:.0f} s", flush=True)
        for words in plan.runs:
            began = time.monotonic()
            for test, outcome, seconds, text in run_tests(machine, words, selected):
                yield Result(plan.name, kernel, systemd, plan.hierarchy, test, outcome, seconds, text)
            print(f"{plan.name}: {words} took {time.monotonic() - began:.0f} s", flush=True)


def run_tests(machine: VirtualMachine, words: str, selected: str) -> Iterator[tuple[str, str, float, str]]:
    """Run pytest in the machine; yield node, outcome, seconds and text of each test, or of pytest when it had none."""
    choice = f"-k {shlex.quote(selected)}" if selected else ""
    machine.check("rm", "-f", RESULTS, SAID)
    pytest = f"cd {image.CHECKOUT} && exec {shlex.join(PYTEST)} {choice} {words} >{SAID} 2>&1"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(machine.run, ["sh", "-c", pytest], {"CI": "true"}, RUN_TIMEOUT)
        said = follow(machine, running)
    status = running.result().status
    written = machine.run(["cat", RESULTS])
    cases = list(ET.fromstring(written.output).iter("testcase")) if written.status == 0 else []
    for case in cases:
        yield (*outcome_of(case),)
    if status not in {0, 5} and not any(outcome_of(case)[1] == "failed" for case in cases):
        yield words, "failed", 0.0, said[-8000:]


def follow(machine: VirtualMachine, running: Future[Done]) -> str:
    """Print what pytest says in the machine while it runs, and return it all."""
    said, ended = "", False
    while not ended:
        ended = bool(wait([running], 2.0).done)
        news = machine.run(["tail", "-c", f"+{len(said.encode()) + 1}", SAID]).output
        print(news, end="", flush=True)
        said += news
    return said


def outcome_of(case: ET.Element) -> tuple[str, str, float, str]:
    """Read one test of JUnit's XML."""
    test = f"{case.get('classname', '')}.{case.get('name', '')}"
    outcome, text = "passed", ""
    for child in case:
        if child.tag in {"failure", "error"}:
            outcome, text = "failed", f"{child.get('message', '')}\n{child.text or ''}"
        elif child.tag == "skipped":
            outcome, text = "skipped", child.get("message", "")
    return test, outcome, float(case.get("time", "0")), text


def main() -> int:
    """Run the plans that are asked for, or all."""
    parser = argparse.ArgumentParser(prog="./dev machines", description="Run tests in virtual machines.")
    names = [plan.name for plan in PLANS]
    parser.add_argument("machine", nargs="*", help=f"which: {', '.join(names)}; all when none is named")
    parser.add_argument("-k", dest="selected", default="", metavar="WORDS", help="only these tests, as pytest's -k")
    parser.add_argument("--run", action="append", metavar="WORDS", help="pytest's words, instead of the machine's own")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the results as JSON")
    asked = parser.parse_args()
    if unknown := set(asked.machine) - set(names):
        parser.error(f"there is no machine {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    results: list[Result] = []
    for plan in PLANS:
        if not asked.machine or plan.name in asked.machine:
            chosen = plan._replace(runs=tuple(asked.run)) if asked.run else plan
            results.extend(run_plan(chosen, asked.selected))
    if asked.report:
        asked.report.write_text(json.dumps([result._asdict() for result in results], indent=1))
    counts = Counter(result.outcome for result in results)
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped")))
    return 0 if results and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
