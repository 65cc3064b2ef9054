"""The command line as people meet it: versions, help, typing errors, errors, exit statuses, closed pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from engine import __version__
from engine.cli import app as command_line
from engine.cli import run_flags
from engine.cli.commands import COMMANDS, overview
from engine.cli.failures import report
from engine.cli.main import run
from engine.errors import CommandNotFound, InvalidInput

Capture = pytest.CaptureFixture[str]


def lines(text: str) -> list[str]:
    return text.splitlines()


@pytest.mark.parametrize("arguments", [["--version"], ["-v"], ["--debug", "--version"]])
def test_version(arguments: list[str]) -> None:
    program = [sys.executable, "-c", "from engine.cli.main import main; main()", *arguments]
    assert subprocess.run(program, capture_output=True, text=True, check=True).stdout == f"engine {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"], ["--debug", "--help"], ["--debug"]])
def test_overview_names_every_command(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    out = capfd.readouterr().out
    assert out.strip() == overview()
    for name in COMMANDS:
        assert f"\n  {name} " in out
    assert max(map(len, lines(out))) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_a_line_of_help(name: str) -> None:
    from typer.core import TyperArgument, TyperOption

    command = command_line.load(name)
    for one in (command, *getattr(command, "commands", {}).values()):
        assert one.help
        for param in one.params:
            assert isinstance(param, TyperOption | TyperArgument)
            assert param.help, f"{one.name} {param.name}"
            assert "\n" not in param.help


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (["rnu"], "there is no command 'rnu'", "run"),
        (["xyzzy"], "there is no command 'xyzzy'", "engine --help"),
        (["--rot", "/x", "ps"], "no such option: --rot", "engine --help"),
        (["--root"], "option '--root' requires an argument", "engine --help"),
        (["run"], "missing argument 'IMAGE'", "engine run --help"),
        (["run", "--memry", "1", "host:"], "no such option: --memry", "engine run --help"),
        (["run", "--memory"], "option '--memory' requires an argument", "engine run --help"),
        (["run", "--memory", "much", "host:"], "--memory 'much' is not a size", "`--memory 512m`"),
        (["run", "--rm=perhaps", "host:"], "invalid value for --rm: 'perhaps' is neither", "engine run --help"),
        (["run", "-id=", "host:"], "invalid value for -d: '' is neither", "engine run --help"),
        (["run", "-=", "host:"], "no such option: -=", "engine run --help"),
        (["ps", "-Z=1"], "no such option: -Z", "engine ps --help"),
        (["stop"], "missing argument 'CONTAINER'", "engine stop --help"),
        (["image", "paint"], "no such command 'paint'", "engine image --help"),
    ],
)
def test_what_is_typed_wrong_takes_two_lines(arguments: list[str], what: str, fix: str, capsys: Capture) -> None:
    assert run(arguments) == 125
    out, err = capsys.readouterr()
    first, second = lines(err)
    assert out == ""
    assert first.startswith(f"engine: {what}")
    assert second.startswith("  ")
    assert fix in second


def test_words_after_the_image_are_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str], bool]] = []

    def note(image: str, command: Sequence[str], flags: dict[str, bool]) -> None:
        seen.append((image, list(command), flags["rm"]))
        raise InvalidInput("enough")

    monkeypatch.setattr("engine.cli.running.options_of", note)
    assert run(["run", "--rm", "host:", "sh", "-c", "x", "--rm", "--", "-i"]) == 125
    assert run(["run", "host:", "--rm"]) == 125
    assert seen == [("host:", ["sh", "-c", "x", "--rm", "--", "-i"], True), ("host:", ["--rm"], False)]


@pytest.mark.parametrize(
    ("typed", "flags"),
    [
        ("--rm=true --init=1 --tty=T", {"rm": True, "init": True, "tty": True}),
        ("--rm --rm=false --read-only=0 --init=False", {"rm": False, "read_only": False, "init": False}),
        ("-d=false -it=true", {"detach": False, "interactive": True, "tty": True}),
        ("-dt=f", {"detach": True, "tty": False}),
        ("-e=A=b -m=64m --name=x", {"env": ["A=b"], "memory": "64m", "name": "x"}),
        ("-eA=b -w/x=y", {"env": ["A=b"], "workdir": "/x=y"}),
        ("-e -d=true -te -d=true", {"env": ["-d=true", "-d=true"], "detach": False, "tty": True}),
    ],
)
def test_flags_with_values(typed: str, flags: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def note(_image: str, _command: Sequence[str], given: dict[str, object]) -> None:
        seen.update({name: list(value) if isinstance(value, tuple) else value for name, value in given.items()})
        raise InvalidInput("enough")

    monkeypatch.setattr("engine.cli.running.options_of", note)
    assert run(["run", *typed.split(), "host:"]) == 125
    assert {name: seen[name] for name in flags} == flags


def failing(error: BaseException) -> Callable[..., int]:
    def act(*_: object) -> int:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InvalidInput("it is wrong", fix="Mend it."), 125, ["engine: it is wrong", "  Mend it."]),
        (InvalidInput("it is wrong"), 125, ["engine: it is wrong"]),
        (InvalidInput("wrong", plugin="btrfs"), 125, ["engine: wrong (plugin btrfs)"]),
        (InvalidInput("an\nodd\x1b[1m name"), 125, ["engine: an odd [1m name"]),
        (CommandNotFound("no such program"), 127, ["engine: no such program"]),
        (
            OSError(28, "No space left on device", "/v/x"),
            125,
            ["engine: No space left on device: /v/x", "  Free"],
        ),
        (KeyError("x"), 125, ["engine: unexpected KeyError: 'x'", "  This is a defect"]),
        (KeyboardInterrupt(), 130, []),
    ],
)
def test_errors(
    error: BaseException, status: int, words: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "_run", failing(error))
    assert run(["ps"]) == status
    err = lines(capsys.readouterr().err)
    assert len(err) == len(words)
    assert all(line.startswith(word) for line, word in zip(err, words, strict=True))


def test_a_traceback_only_on_request(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "_run", failing(InvalidInput("wrong", fix="Mend it.")))
    assert run(["--root", "/x", "--debug", "ps"]) == 125
    assert "Traceback" in capsys.readouterr().err
    assert run(["ps", "--debug"]) == 125
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_is_never_more_than_two_lines(capsys: Capture) -> None:
    report(InvalidInput("one\ntwo\r\nthree", fix="four\nfive"))
    assert lines(capsys.readouterr().err) == ["engine: one two three", "  four five"]


@pytest.mark.parametrize("closed", ["stdin", "stdout", "stderr"])
def test_a_closed_standard_stream_is_replaced_before_anything_is_opened(closed: str) -> None:
    number = ("stdin", "stdout", "stderr").index(closed)
    script = f"""
import os, sys
os.close({number})
sys.{closed} = None
seen = []
os._exit = lambda status: seen.append([status, os.readlink("/proc/self/fd/{number}")])
from engine.cli.main import main
main(["version"])
sys.exit(seen != [[0, "/dev/null"]])
"""
    ended = subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, check=False)
    assert ended.returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["version"]])
def test_a_reader_that_goes_away_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = [sys.executable, "-c", "from engine.cli.main import main; main()", *arguments]
    try:
        ended = subprocess.run(program, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert ended.returncode == -signal.SIGPIPE
    assert ended.stderr == b""


def test_the_flags_of_run_stand_in_sections(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--help"]) == 0
    shown = capfd.readouterr().out
    limits = shown.index("\nLimits:\n")
    assert shown.index("\nOptions:\n") < shown.index("\nFiles:\n") < limits < shown.index("  -m, --memory SIZE")
    assert shown.index("  --network") > shown.index("\nIsolation:\n") > limits
    assert set(run_flags.SECTIONS) <= set(run_flags.RunFlags.__annotations__)
