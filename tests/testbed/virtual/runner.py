"""Running pytest in a virtual machine: what it says as it goes, and what became of each test."""

from __future__ import annotations

import shlex
import xml.etree.ElementTree as ET
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from tests.testbed.virtual import image
from tests.testbed.virtual.machine import Done, VirtualMachine

TIMEOUT = 1200.0
"""Seconds for one run of pytest."""
RESULTS, SAID = "/run/results.xml", "/run/pytest.log"
PYTEST = (
    str(image.PYTHON), "-m", "pytest", "-p", "no:xdist", "--override-ini=timeout=300",
    "--override-ini=cache_dir=/run/pytest", "-v", "--tb=short", f"--junit-xml={RESULTS}",
)  # fmt: skip


class Outcome(NamedTuple):
    """What became of a test: passed, failed or skipped, after how many seconds, and what there is to say of it."""

    test: str
    outcome: str
    seconds: float
    text: str


def run_tests(machine: VirtualMachine, words: str) -> list[Outcome]:
    """Run pytest with these words in the machine, and once more what fails: some checks are in a hurry."""
    first = _run_once(machine, words)
    if not any(outcome.outcome == "failed" for outcome in first.values()):
        return list(first.values())
    print("once more what failed", flush=True)
    again = _run_once(machine, f"--last-failed --last-failed-no-failures none {words}")
    return list((first | again).values())


def _run_once(machine: VirtualMachine, words: str) -> dict[str, Outcome]:
    """Return the outcome of each test by its name, and of pytest itself when it failed and no test did."""
    machine.check("rm", "-f", RESULTS, SAID)
    command = f"cd {image.CHECKOUT} && exec {shlex.join(PYTEST)} {words} >{SAID} 2>&1"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(machine.run, ["sh", "-c", command], {"CI": "true"}, TIMEOUT)
        said = _follow(machine, running)
    status = running.result().status
    written = machine.run(["cat", RESULTS])
    cases = ET.fromstring(written.output).iter("testcase") if written.status == 0 else ()
    found = {outcome.test: outcome for outcome in map(_outcome_of, cases)}
    if status not in {0, 5} and not any(outcome.outcome == "failed" for outcome in found.values()):
        found[words] = Outcome(words, "failed", 0.0, said[-8000:])
    return found


def _follow(machine: VirtualMachine, running: Future[Done]) -> str:
    """Print what pytest says in the machine while it runs, and return it all."""
    said, ended = "", False
    while not ended:
        ended = bool(wait([running], 2.0).done)
        news = machine.run(["tail", "-c", f"+{len(said.encode()) + 1}", SAID]).output
        print(news, end="", flush=True)
        said += news
    return said


def _outcome_of(case: ET.Element) -> Outcome:
    """Read one test of JUnit's XML."""
    test = f"{case.get('classname', '')}.{case.get('name', '')}"
    outcome, text = "passed", ""
    for child in case:
        if child.tag in {"failure", "error"}:
            outcome, text = "failed", f"{child.get('message', '')}\n{child.text or ''}"
        elif child.tag == "skipped":
            outcome, text = "skipped", child.get("message", "")
    return Outcome(test, outcome, float(case.get("time", "0")), text)
