"""Templates as people know them from Docker."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cli.templates import render
from engine.errors import InvalidInput

ROW: dict[str, Any] = {
    "Name": "web",
    "State": {"Pid": 7, "Running": True, "Error": ""},
    "Labels": {"team": "x", "a.b/c": "y"},
    "Mounts": [{"Source": "/srv"}, {"Source": "/home"}],
    "Ports": [],
    "None": None,
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.Name}}", "web"),
        ("{{ .State.Pid }}\\t{{.Name}}\\n", "7\tweb\n"),
        ("{{.State.Running}} {{.None}}", "true null"),
        ("{{json .Labels}}", '{"team": "x", "a.b/c": "y"}'),
        ("{{.Mounts}}", '[{"Source": "/srv"}, {"Source": "/home"}]'),
        ("{{range .Mounts}}{{.Source}} {{end}}", "/srv /home "),
        ("{{range .Ports}}x{{else}}none{{end}}", "none"),
        ("{{range $key, $value := .Labels}}{{$key}}={{$value}};{{end}}", "a.b/c=y;team=x;"),
        ("{{range $place, $one := .Mounts}}{{$place}}{{$one.Source}}{{end}}", "0/srv1/home"),
        ("{{range .Mounts}}{{$.Name}}:{{.Source}},{{end}}", "web:/srv,web:/home,"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .State.Error}}bad{{else if .State.Pid}}good{{else}}odd{{end}}", "good"),
        ("{{if not .State.Error}}fine{{end}}", "fine"),
        ("{{if and .State.Running (eq .State.Pid 7)}}both{{end}}", "both"),
        ("{{if or .State.Error (ne .Name `web`)}}x{{end}}", ""),
        ("{{with .State}}{{.Pid}} of {{$.Name}}{{end}}", "7 of web"),
        ("{{with .State.Error}}x{{else}}no error{{end}}", "no error"),
        ('{{index .Labels "a.b/c"}}{{index .Labels "none"}}', "y"),
        ("{{index .Mounts 1}}", '{"Source": "/home"}'),
        ("{{(index .Mounts 0).Source}}", None),
        ('{{join (split "a,b" ",") "+"}}', "a+b"),
        ("{{.Name | upper | printf}}", None),
        ("{{.Name | upper}}{{len .Mounts}}{{title .Name}}", "WEB2Web"),
        ('{{print .Name "-" .State.Pid}}{{println "x"}}', "web-7x\n"),
        ("a {{- .Name -}} b", "awebb"),
        ("{{/* nothing */}}{{.Name}}", "web"),
        ('{{"a \\"word\\""}}', 'a "word"'),
        ("plain", "plain"),
    ],
)
def test_what_a_template_says(template: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(InvalidInput):
            render(template, ROW)
    else:
        assert render(template, ROW) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{.Nope}}", "{{.Name.Deep}}", "{{nope .Name}}", "{{.Name", ".Name}}", "{{if .Name}}", "{{end}}", "{{else}}",
        "{{range .Name}}{{end}}", "{{.Name .Name}}", "{{join .Name}}", "{{upper 7}}", "{{index .Mounts 9}}", "{{}}",
        "{{$x}}", "{{(.Name}}", "{{.Name | }}", "{{range .Mounts}}{{else}}{{else}}{{end}}", "{{len 7}}", "{{%}}",
    ],
)  # fmt: skip
def test_what_is_no_template_is_an_error_of_two_lines(template: str) -> None:
    with pytest.raises(InvalidInput, match="--format") as raised:
        render(template, ROW)
    assert raised.value.fix
