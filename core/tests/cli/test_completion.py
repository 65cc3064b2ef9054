"""What could stand for the last word of a command line, and that finding out is quick and quiet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import cache
from engine.cli.commands import COMMANDS
from engine.cli.completion import table
from engine.cli.completion.answering import offered
from engine.cli.completion.values import DIRECTORIES, FILES, NOSPACE
from engine.cli.describing import describe


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the engine's places be this test's own, with nothing in them."""
    for name in ("ROOT", "STATE", "CACHE"):
        monkeypatch.setenv(f"ENGINE_{name}", str(tmp_path / name))


def words(line: str) -> set[str]:
    """Return what is offered for the last word of a line."""
    return {*offered(line.split(" ")).words}


@pytest.mark.parametrize(
    ("line", "some", "none"),
    [
        ("", {"run", "image"}, {"--root"}),
        ("-", {"--root", "--debug", "--help"}, {"run"}),
        ("--root /x --", {"--state"}, {"--root"}),
        ("--root", {"--root"}, set()),
        ("run -", {"-d", "--detach", "--rm"}, set()),
        ("run --", {"--detach"}, {"-d"}),
        ("run -d --", {"--env", "--rm"}, {"--detach"}),
        ("run -e A=1 --", {"--env"}, set()),
        ("run -itd --name web --", {"--rm"}, {"--interactive", "--tty", "--detach", "--name"}),
        ("run image --", set(), {"--rm"}),
        ("run image -- ", set(), {"--rm"}),
        ("stop web --", {"--time"}, set()),
        ("stop -- -", set(), {"--time"}),
        ("image ", {"ls", "rm", "inspect"}, {"run"}),
        ("image ls --", {"--filter"}, set()),
        ("image nonsense ", set(), {"ls"}),
        ("nonsense ", set(), {"run"}),
        ("run --network ", {"none", "host", "container:"}, {"private"}),
        ("run --restart ", {"no", "always", "on-failure", "unless-stopped"}, set()),
        ("load --platform ", {"linux/arm64"}, set()),
        ("run -e PAT", {"PATH"}, set()),
        ("run -e PATH=", set(), {"PATH"}),
        ("plugins --format ", {"table", "json"}, set()),
        ("run -a ", {"stdin", "stdout", "stderr"}, set()),
        ("pull --tls-verify ", {"true", "false"}, set()),
        ("run --memory-swap ", set(), {"no"}),
        ("run --pid=", {"--pid=private", "--pid=host"}, set()),
        ("run --namespace ", {"net=", "user="}, set()),
        ("run --namespace net=", {"net=new", "net=host", "net=container:"}, set()),
        ("run --security-opt ", {"no-new-privileges", "seccomp="}, set()),
        ("run --cap-add ", {"ALL", "NET_ADMIN"}, set()),
        ("run --ulimit ", {"nofile="}, set()),
        ("run --stop-signal ", {"TERM", "HUP"}, set()),
        ("run ", {"host:"}, set()),
        ("container run ", {"host:"}, set()),
        ("container ", {"exec", "ls", "prune"}, {"ps"}),
        ("rmi ", set(), {"host:"}),
        ("kill -s ", {"KILL"}, set()),
        ("kill -sK", set(), {"KILL"}),
        ("ps --format ", {"table", "json"}, set()),
        ("explain run --format ", {"tree", "json"}, set()),
        ("ps --filter ", {"name=", "status="}, set()),
        ("ps -f status=", {"status=running", "status=exited", "status=restarting"}, set()),
        ("images -f dangling=", {"dangling=true"}, set()),
        ("inspect --type ", {"container", "image"}, set()),
        ("run --attach ", {"stdin", "stdout", "stderr"}, set()),
        ("run -a stdout -a ", {"stdin", "stderr"}, set()),
        ("plugins new --kind ", {"storage", "log"}, set()),
        ("completion ", {"bash", "zsh", "fish"}, set()),
    ],
)
def test_what_is_offered(line: str, some: set[str], none: set[str]) -> None:
    found = words(line)
    assert some <= found
    assert not none & found
    assert found or not some


@pytest.mark.parametrize(
    ("line", "marks"),
    [
        ("run --env-file ", {FILES}),
        ("run --env-file=", {FILES}),
        ("run -w ", {DIRECTORIES}),
        ("run -v ", {FILES}),
        ("run -v /srv:", set()),
        ("run --device-read-bps ", {FILES}),
        ("run --cgroup-parent ", set()),
        ("run -v /srv ", set()),
        ("load ", {FILES}),
        ("cp ", {FILES, NOSPACE}),
        ("cp web:", set()),
        ("run --namespace ", {NOSPACE}),
        ("run --network c", {NOSPACE}),
        ("run --network ", set()),
        ("run --name ", set()),
    ],
)
def test_what_the_shell_is_to_add(line: str, marks: set[str]) -> None:
    assert {*offered(line.split(" ")).marks} == marks


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_remembered_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_TICK", 0)
    assert table.command(name) == describe(name)
    monkeypatch.setattr(table, "describe", lambda _name: pytest.fail("it was not remembered"))
    assert table.command(name) == describe(name)


def test_it_is_found_out_anew_when_the_command_line_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cache, "_TICK", 0)
    module = tmp_path / "module.py"
    module.write_text("")
    monkeypatch.setattr(table, "sources", lambda: [str(module)])
    table.command("stop")
    module.write_text("# changed")
    monkeypatch.setattr(table, "describe", lambda _name: describe("start"))
    assert table.command("stop") == describe("start")


@pytest.mark.parametrize("line", ["exec ", "rmi ", "run --storage ", "cp ", "run --network container:", "stop --"])
def test_nothing_is_made_and_nothing_is_said_of_what_is_wrong(line: str, tmp_path: Path) -> None:
    """As a user without rights, a home, or a valid setting."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "ENGINE_ROOT": str(tmp_path / "there" / "root"),
        "ENGINE_STATE": "not absolute",
        "ENGINE_STORGE": "overlay",
    }
    program = (
        "import os, engine.cli.completion.answering, engine.containers.listing, engine.settings.model;"
        "from engine.cli.main import main; os.setuid(65534); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "__complete", *line.split(" ")], env=environment, capture_output=True, cwd="/"
    )
    assert done.stderr == b""
    assert not (tmp_path / "there").exists()


def test_what_is_offered_cannot_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    from engine.cli.completion.answering import _printed

    assert _printed("a\x1b[2J\n", "b\tc") == "a?[2J?\tb?c"
