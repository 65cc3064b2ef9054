"""`engine container`, `image` and `system` have Docker's commands, those from above among them."""

from __future__ import annotations

import pytest

from engine.cli.app import load
from engine.cli.commands import BORROWED, COMMANDS
from engine.cli.describing import describe
from engine.cli.main import run

DOCKERS = {
    "container": "attach commit cp create diff exec export inspect kill logs ls pause prune rename restart rm run "
    "start stats stop top unpause update wait",
    "image": "history import inspect load ls prune rm save tag",
    "system": "df events info prune",
}
"""Docker's commands in each group, but for those on ports, builds and registries."""


@pytest.mark.parametrize("name", DOCKERS)
def test_each_group_has_dockers_commands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    group = load(name)
    assert set(group.list_commands(None)) >= set(DOCKERS[name].split())
    for one in group.list_commands(None):
        assert group.get_command(None, one).help
    assert group.get_command(None, "paint") is None
    assert run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {one} " in shown for one in DOCKERS[name].split())


@pytest.mark.parametrize("name", BORROWED)
def test_what_is_borrowed_is_the_command_from_above(name: str) -> None:
    group, below = load(name), {one.name: one for one in describe(name).below}
    for one, above in BORROWED[name].items():
        assert above in COMMANDS
        assert [param.opts for param in group.get_command(None, one).params] == [p.opts for p in load(above).params]
        assert below[f"{name} {one}"].same == above
        assert below[f"{name} {one}"].flags == describe(above).flags


def test_an_error_names_the_command_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["container", "stop"]) == 125
    assert "`engine container stop --help`" in capsys.readouterr().err
