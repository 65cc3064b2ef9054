"""What `engine explain` says and what strace sees of the real run: each deed has its calls, and each call its deed."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.box import Box
from tests.explain.calls import TRACED, Calls, pattern

FLAGS = ("--rm", "--memory", "64m", "--tmpfs", "/scratch", "--ulimit", "nofile=100:100", "--hostname", "plain")


def unexplained(deeds: list[dict[str, Any]], calls: list[str]) -> str:
    """Return "" when the deeds' patterns match the calls one after the other; else the first place where not."""
    text, position = "".join(f"{call}\n" for call in calls), 0
    for deed in deeds:
        match = re.compile(pattern(deed)).match(text, position)
        if match is None:
            return f"{deed['Sentence']!r} wants\n{pattern(deed)}and there is\n{text[position : position + 400]}"
        position = match.end()
    return f"nobody explains\n{text[position : position + 400]}" if position < len(text) else ""


@pytest.mark.parametrize("flags", [FLAGS, (*FLAGS, "--network", "host"), (*FLAGS, "--user", "65534")])
def test_each_deed_has_its_calls_and_each_call_its_deed(box: Box, tmp_path: Path, flags: tuple[str, ...]) -> None:
    said = json.loads(box.done("explain", "run", "--format", "json", *flags, box.image, "true").stdout)
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-qq", "-s", "300", "-e", f"trace={TRACED}", "-o", str(trace)]
    arguments = box.root.command("run", *flags, box.image, "true")
    subprocess.run([*command, *arguments], env=box.root.environment, check=True, capture_output=True, timeout=60)
    own = re.search(rf"{box.root.root}/containers/([0-9a-f]{{64}})/rootfs", trace.read_text())
    assert own
    phases = json.loads(json.dumps(said["Phases"]).replace(said["Id"], own[1]))
    calls = Calls(trace, own[0])
    for process, made in (("shim", calls.shim), ("container", calls.container)):
        deeds = [deed for phase in phases if phase["Process"] == process for deed in phase["Actions"]]
        assert unexplained(deeds, made) == ""
        for number, deed in enumerate(deeds):
            if not re.fullmatch(pattern(deed), ""):
                assert unexplained(deeds[:number] + deeds[number + 1 :], made), f"nobody misses {deed['Sentence']!r}"
