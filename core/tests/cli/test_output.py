"""Tables, templates, JSON, sizes and ages."""

from __future__ import annotations

import json

import pytest

from engine.cli import output, tables, terminal, words
from engine.errors import InvalidInput

ROWS = [{"ID": "1", "Names": "web", "Extra": {"A": [1, 2]}}, {"ID": "22", "Names": "a very long name", "Extra": True}]
HEADINGS = {"ID": "ID", "Names": "NAMES"}


def shown(capfd: pytest.CaptureFixture[str], form: str) -> list[str]:
    output.write_rows(ROWS, HEADINGS, form)
    return capfd.readouterr().out.splitlines()


def test_a_table(capfd: pytest.CaptureFixture[str]) -> None:
    assert shown(capfd, "table") == ["ID   NAMES", "1    web", "22   a very long name"]


def test_json_has_every_field_on_a_line_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    assert [json.loads(line) for line in shown(capfd, "json")] == ROWS


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("{{.ID}}", ["1", "22"]),
        ("{{ .ID }} is {{.Names}}", ["1 is web", "22 is a very long name"]),
        ("{{.ID}}\\t{{json .Names}}", ['1\t"web"', '22\t"a very long name"']),
        ("{{json .Extra}}", ['{"A": [1, 2]}', "true"]),
        ("{{.Extra}}", ['{"A": [1, 2]}', "true"]),
        ("plain", ["plain", "plain"]),
        (
            "table {{upper .Names}}\\t{{.ID}}!",
            ["NAMES              ID", "WEB                1!", "A VERY LONG NAME   22!"],
        ),
        ("table {{.Names}}\\t{{.ID}}", ["NAMES              ID", "web                1", "a very long name   22"]),
    ],
)
def test_a_template(capfd: pytest.CaptureFixture[str], form: str, expected: list[str]) -> None:
    assert shown(capfd, form) == expected


@pytest.mark.parametrize(
    "form", ["{{.Nope}}", "{{.ID.Deep}}", "{{range .X}}", "{{.ID", "table {{.Nope}}", "table {{.ID}}\\t{{nope}}"]
)
def test_a_template_that_cannot_be(form: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        output.write_rows(ROWS, HEADINGS, form)
    assert raised.value.fix


def test_a_deep_field() -> None:
    assert output.render("{{.Extra.A}} {{json .}}", {"Extra": {"A": 1}}) == '1 {"Extra": {"A": 1}}'


def test_a_narrow_terminal_cuts_the_column_that_gives_way() -> None:
    lines = tables.table(ROWS, HEADINGS, width=16, flexible="Names")
    assert lines == ["ID   NAMES", "1    web", "22   a very lon…"]


def test_where_no_table_fits_each_row_is_a_paragraph() -> None:
    lines = tables.table(ROWS, HEADINGS, width=12, flexible="Names")
    assert lines == ["ID: 1", "NAMES: web", "", "ID: 22", "NAMES: a ve…"]
    assert tables.table([], HEADINGS, width=5) == []


def test_what_is_too_much_for_one_column_is_taken_off_the_widest() -> None:
    row = {"A": "a" * 30, "B": "b" * 20, "C": "c" * 10}
    headings = {name: name for name in row}
    for width in range(1, 70):
        for flexible in ("", "A", "C"):
            lines = tables.table([row], headings, width, flexible)
            assert max(map(len, lines)) <= width
    [_, line] = tables.table([row], headings, 46, "A")
    assert [len(cell) for cell in line.split()] == [10, 20, 10]
    [_, line] = tables.table([row], headings, 40, "C")
    assert [len(cell) for cell in line.split()] == [13, 13, 8]


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    rows = [{"ID": "東京", "Names": "x"}, {"ID": "e\u0301", "Names": "y"}, {"ID": "ab", "Names": "東京都庁"}]
    assert tables.table(rows, HEADINGS) == ["ID     NAMES", "東京   x", "e\u0301      y", "ab     東京都庁"]
    assert terminal.cut("東京都庁", 6) == "東京…"
    assert terminal.cut("東京都庁", 8) == "東京都庁"
    assert terminal.width(terminal.cut("e\u0301" * 20, 10)) == 10


def test_nothing_steers_the_terminal() -> None:
    [_, line] = tables.table([{"ID": "\x1b[2J", "Names": "a\nb"}], HEADINGS)
    assert line == "?[2J   a?b"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (1234567, "1.23MB"), (45_600_000_000, "45.6GB"), (999_999, "1MB")],
)
def test_sizes(count: int, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (47 * 3600, "47 hours"),
        (3 * 86400, "3 days"),
        (20 * 86400, "2 weeks"),
        (100 * 86400, "3 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert words.span(seconds) == text
    assert words.age(seconds) == f"{text} ago"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (59.6, "1m00s"), (125, "2m05s"), (12_000, "3h20m")])
def test_brief_spans(seconds: float, text: str) -> None:
    assert words.brief(seconds) == text
