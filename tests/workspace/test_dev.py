"""./dev: a call that has nothing to set up costs nothing, and a wrong one says what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DEV = ROOT / "dev"


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEV, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_a_warm_call_starts_no_process(tmp_path: Path) -> None:
    dev("setup", "engine")
    trace = tmp_path / "trace"
    calls = "trace=execve,fork,vfork,clone,clone3"
    subprocess.run(["strace", "-f", "-qq", "-e", calls, "-o", trace, DEV, "engine", "--version"], check=True, stdout=-3)
    lines = [line for line in trace.read_text().splitlines() if "ENOENT" not in line and "+++" not in line]
    programs = [line.split('"')[1] for line in lines if "execve" in line]
    assert programs == [str(DEV), str(Path(sys.executable).parent / "engine")]
    assert len(lines) == len(programs), lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "there is no command 'nonsense'"),
        (["--python"], "--python wants a version"),
        (["--python", "2.5", "which"], "there is no Python '2.5'"),
        (["--python", "/bin/true", "which"], "/bin/true is"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments: list[str], words: str) -> None:
    done = dev(*arguments)
    assert done.returncode == 125
    assert words in done.stderr


def test_help_names_every_command() -> None:
    done = dev("help")
    assert done.returncode == 0
    for command in ("engine", "test", "lint", "bench", "docs", "lock"):
        assert f" {command}" in done.stdout
