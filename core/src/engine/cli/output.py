"""What commands print: tables that fit the terminal, JSON, templates, names alone.

Every list has ``--format table|json|TEMPLATE``. A template is text with fields in it, ``{{.Names}} is {{.Status}}``,
as in Docker; ``\\t`` and ``\\n`` are a tab and a new line, and ``{{json .Field}}`` is a field as JSON. There are no
other functions. With ``json``, each row is an object on a line of its own.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.cli import columns
from engine.errors import InvalidInput

TABLE, JSON = "table", "json"
_GAP = 3
_NARROWEST = 8
_FIELD = re.compile(r"{{\s*(json\s+)?\.([A-Za-z_.]*)\s*}}")


def write(text: str) -> None:
    """Print a line to standard output. Raises `BrokenPipeError` when nobody reads it any more."""
    write_bytes(f"{text}\n".encode(errors="surrogateescape"), 1)


def write_bytes(data: bytes, fd: int) -> None:
    """Write bytes as they are to descriptor 1 or 2. Raises `BrokenPipeError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_json(value: Any) -> None:
    """Print a value as indented JSON."""
    write(json.dumps(value, indent=4, ensure_ascii=False))


def write_rows(
    rows: Sequence[Mapping[str, Any]],
    headings: Mapping[str, str],
    form: str,
    *,
    flexible: str = "",
    whole: bool = False,
) -> None:
    """Print rows in the form that ``--format`` asks for.

    ``headings`` maps a row's fields to the table's headings, in order; other fields show in JSON and templates alone.
    ``flexible`` is the field that is cut when the terminal is too narrow; never with ``whole`` (``--no-trunc``), and
    never in a pipe.
    """
    if form == JSON:
        for row in rows:
            write(json.dumps(row, ensure_ascii=False))
    elif form == TABLE:
        _write_table(rows, headings, flexible, whole=whole)
    elif form.startswith("table "):
        _write_table(rows, _chosen(rows, headings, form.removeprefix("table ")), whole=whole)
    else:
        for row in rows:
            write(render(form, row))


def _write_table(
    rows: Sequence[Mapping[str, Any]], headings: Mapping[str, str], flexible: str = "", *, whole: bool = False
) -> None:
    for line in table(rows, headings, 0 if whole or not sys.stdout.isatty() else terminal_width(), flexible):
        write(line)


def _chosen(rows: Sequence[Mapping[str, Any]], headings: Mapping[str, str], form: str) -> Mapping[str, str]:
    """Return the headings for ``table {{.A}}\\t{{.B}}``: these fields, in columns. Raises `InvalidInput`."""
    names = [match[2] for match in _FIELD.finditer(form)]
    for row in rows:
        for name in names:
            _value(row, name)
    return {name: headings.get(name, name.upper()) for name in names}


def table(
    rows: Iterable[Mapping[str, Any]], headings: Mapping[str, str], width: int = 0, flexible: str = ""
) -> list[str]:
    """Return the lines of a table. ``width`` 0 is no limit; else the column ``flexible`` gives way, then the widest."""
    cells = [list(headings.values()), *([printable(str(row.get(name, ""))) for name in headings] for row in rows)]
    widths = [max(columns.width(line[column]) for line in cells) for column in range(len(headings))]
    if width:
        first = [*headings].index(flexible) if flexible in headings else -1
        _narrow(widths, sum(widths) + _GAP * (len(widths) - 1) - width, first)
    gap = " " * _GAP
    lines = (gap.join(columns.pad(columns.cut(cell, size), size) for cell, size in zip(line, widths, strict=True))
             for line in cells)  # fmt: skip
    return [columns.cut(line.rstrip(), width) if width else line.rstrip() for line in lines]


def _narrow(widths: list[int], excess: int, first: int) -> None:
    """Take what is too much off the column ``first`` (-1: none), then off whichever is the widest."""
    for _ in range(excess):
        narrowed = first if first >= 0 and widths[first] > _NARROWEST else widths.index(max(widths))
        if widths[narrowed] <= _NARROWEST:
            return
        widths[narrowed] -= 1


def printable(text: str) -> str:
    """Return text that cannot steer a terminal: names and commands come from images and other people."""
    return "".join(character if character.isprintable() else "?" for character in text)


def render(template: str, row: Any) -> str:
    """Return a template with the fields of ``row`` in it. Raises `InvalidInput` for a field that is not there."""
    text = template.replace("\\t", "\t").replace("\\n", "\n")
    left = _FIELD.sub("", text)
    if "{{" in left or "}}" in left:
        raise InvalidInput(
            f"--format {template!r} has more in it than fields", fix="Write fields as {{.Name}} or {{json .Name}}."
        )
    return _FIELD.sub(lambda match: _shown(_value(row, match[2]), as_json=bool(match[1])), text)


def _value(row: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        if not isinstance(row, Mapping) or name not in row:
            known = ", ".join(row) if isinstance(row, Mapping) else "none"
            raise InvalidInput(f"--format: there is no field {path!r}", fix=f"Choose among: {known}.")
        row = row[name]
    return row


def _shown(value: Any, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def terminal_width() -> int:
    """Return the columns of the terminal: ``COLUMNS``, what the terminal says, or 80."""
    try:
        return int(os.environ.get("COLUMNS", "")) or os.get_terminal_size(1).columns
    except (ValueError, OSError):
        return _columns()


def _columns() -> int:
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80
