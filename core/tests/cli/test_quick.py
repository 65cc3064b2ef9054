"""What is read without typer means what typer makes of it, and what typer refuses is left to typer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from engine.cli import app, quick
from engine.cli.commands import QUICK
from engine.cli.main import run

EVERY = {name: quick.find(name) for name in QUICK}


class Called(Exception):
    """A command's function was called with these arguments."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the commands do nothing but say what they were called with."""

    for command, (module, function) in QUICK.items():
        first = [parameter for parameter, _, _ in EVERY[command].arguments]

        def say(_ctx: object, *words: object, _first: list[str] = first, **named: object) -> int:
            raise Called({**dict(zip(_first, words, strict=True)), **named})

        monkeypatch.setattr(f"{module}.{function}", say)


def by_typer(line: str) -> dict[str, Any]:
    try:
        status = app._run(shlex.split(line))
    except Called as called:
        return {name: tuple(value) if isinstance(value, list) else value for name, value in called.values.items()}
    raise AssertionError(f"{line}: {status}")


def by_us(line: str) -> dict[str, Any]:
    name, *words = shlex.split(line)
    return quick.read(EVERY[name], words)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    "line",
    [
        "run image",
        "run image sh -c 'exit 1' --rm -x",
        "run -- image -d",
        "run image -- -d",
        "run - x",
        "run --rm -d -it image",
        "run -itd image",
        "run -ditm512m image",
        "run -ditm=512m image",
        "run -e A=B -eC=D -e=E=F --env G --env=H=I -te J= image",
        "run -e= image",
        "run -e '' image",
        "run --name= image",
        "run --name one --name two image",
        "run -d=true image",
        "run -id=FALSE image",
        "run --rm=f --init=1 --sig-proxy=false image",
        "run --rm --rm=false image",
        "run --name --rm image",
        "run -m -1 image",
        "run --trace-file '' image '' ''",
        "create -v /a:/b -v /c:/d --label one image",
        "exec -it container sh",
        "exec -w / -u 1:2 container ls -w",
    ],
)
def test_a_line_means_what_typer_makes_of_it(line: str) -> None:
    assert by_us(line) == by_typer(line)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("name", EVERY)
def test_every_flag_of_a_command(name: str) -> None:
    for flag, (_, has_value, _) in EVERY[name].options.items():
        line = f"{name} {flag} 1 {flag}=2 one two" if has_value else f"{name} {flag} {flag}=false one two"
        assert by_us(line) == by_typer(line)


@pytest.mark.parametrize(
    "line",
    [
        "run",
        "run --help",
        "run --rm",
        "run --memry 1 image",
        "run --mem 1 image",
        "run --memory",
        "run -m",
        "run -Z image",
        "run -iZ image",
        "run -= image",
        "run --rm=perhaps image",
        "run -d= image",
        "run --=x image",
        "exec container",
        "exec -d",
    ],
)
def test_what_typer_refuses_is_left_to_it(line: str) -> None:
    with pytest.raises(quick.NotPlainError):
        by_us(line)


@pytest.mark.parametrize("line", ["", "ps", "--rot x run image", "--root", "--debug", "run", "--help", "rnu image"])
def test_other_lines_are_left_to_typer(line: str) -> None:
    assert quick.invoke(shlex.split(line)) is None


@pytest.mark.usefixtures("heard")
def test_what_stands_before_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr(quick, "taken", EVERY.__getitem__)
    monkeypatch.setattr("engine.cli.running.run", lambda line, *_, **__: found.append(line.obj) or 7)
    assert run(["--root", "/a", "--state=/b", "--debug", "run", "image"]) == 7
    assert found == [quick.Places("/a", "/b", debug=True)]
