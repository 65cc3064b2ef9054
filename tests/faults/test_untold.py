"""A command killed after its commit to the store: the next one tells its events, each of them once.

The death is strace's, on the journal's descriptor: on entering the call that opens it (the line is not written yet),
or the one that closes it (the line is there, and the row in the store still says that it is not).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.machine.engine_root import EngineRoot

VICTIM = ("create", "--name", "victim", "host:", "true")
SHOWN = ("events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}")


def killed(engine: EngineRoot, call: str, *arguments: str | Path) -> None:
    """Run a command that dies at that call on the journal."""
    options = ["-o", "/dev/null", "-P", str(engine.root / "events" / "journal"), "-e", f"trace={call}"]
    inject = ["-e", f"inject={call}:signal=KILL:when=1"]
    command = ["strace", *options, *inject, *engine.command(*map(str, arguments))]
    done = subprocess.run(command, env=engine.environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode in (-9, 137), (done.returncode, done.stderr)


def told(engine: EngineRoot) -> list[str]:
    """Return the events in the journal, as types, actions and names."""
    done = engine.run(*SHOWN)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("prepared", "arguments", "event", "call"),
    [
        ((), VICTIM, "container create victim", "openat"),
        ((), VICTIM, "container create victim", "close"),
        (VICTIM, ("rename", "victim", "other"), "container rename other", "openat"),
        (VICTIM, ("update", "--pids-limit", "50", "victim"), "container update victim", "openat"),
        (VICTIM, ("rm", "victim"), "container destroy victim", "openat"),
        (VICTIM, ("rm", "victim"), "container destroy victim", "close"),
        ((), ("import", "ARCHIVE", "mine"), "image import mine:latest", "openat"),
        (("import", "ARCHIVE", "mine"), ("tag", "mine", "yours"), "image tag yours:latest", "openat"),
        (("import", "ARCHIVE", "mine"), ("rmi", "mine"), "image untag mine:latest", "openat"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) and value else "",
)
def test_what_a_killed_command_did_is_told_once(
    engine_root: EngineRoot, archive: Path, prepared: tuple[str, ...], arguments: tuple[str, ...], event: str, call: str
) -> None:
    """The command after next finds nothing more to tell."""
    if prepared:
        assert engine_root.run(*(archive if word == "ARCHIVE" else word for word in prepared)).returncode == 0
    before = [*told(engine_root), event] if call == "close" else told(engine_root)
    killed(engine_root, call, *(archive if word == "ARCHIVE" else word for word in arguments))
    assert sorted(told(engine_root)) == sorted(before)
    for _ in range(2):
        assert engine_root.run("container", "prune", "--force").returncode == 0
        assert told(engine_root).count(event) == 1


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A root filesystem of one file, packed."""
    (tmp_path / "file").write_text("x")
    subprocess.run(["tar", "-C", tmp_path, "-cf", tmp_path / "rootfs.tar", "file"], check=True)
    return tmp_path / "rootfs.tar"
