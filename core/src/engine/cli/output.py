"""What commands print: tables that fit the terminal, JSON, templates, names alone.

Every list has ``--format table|json|TEMPLATE``. A template (see `engine.cli.templates`) is text with fields in it,
``{{.Names}} is {{.Status}}``, as in Docker; ``table {{.Names}}\\t{{.Status}}`` makes a table of them. With ``json``,
each row is an object on a line of its own.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.cli.tables import Colours

TABLE, JSON = "table", "json"
_FIELD = r"\.([A-Za-z]\w*)"


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
    import json

    write(json.dumps(value, indent=4, ensure_ascii=False))


def write_rows(
    rows: Sequence[Mapping[str, Any]],
    headings: Mapping[str, str],
    form: str,
    *,
    flexible: str = "",
    whole: bool = False,
    colours: Colours | None = None,
) -> None:
    """Print rows in the form that ``--format`` asks for.

    ``headings`` maps a row's fields to the table's headings, in order; other fields show in JSON and templates alone.
    ``flexible`` is the field that is cut when the terminal is too narrow; never with ``whole`` (``--no-trunc``), and
    never in a pipe. ``colours`` are the table's, where colours are wanted.
    """
    if form == JSON:
        import json

        for row in rows:
            write(json.dumps(row, ensure_ascii=False))
    elif form == TABLE:
        _write_table(rows, headings, flexible, whole=whole, colours=colours)
    elif form.startswith("table "):
        _write_table(*_chosen(rows, headings, form.removeprefix("table ")), whole=whole)
    else:
        for row in rows:
            write(render(form, row))


def _write_table(
    rows: Sequence[Mapping[str, Any]],
    headings: Mapping[str, str],
    flexible: str = "",
    *,
    whole: bool = False,
    colours: Colours | None = None,
) -> None:
    from engine.cli.tables import table
    from engine.cli.terminal import coloured

    width = 0 if whole or not sys.stdout.isatty() else terminal_width()
    for line in table(rows, headings, width, flexible, (colours or {}) if coloured(1) else None):
        write(line)


def _chosen(
    rows: Sequence[Mapping[str, Any]], headings: Mapping[str, str], form: str
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Return the rows and headings of ``table {{.A}}\\t{{.B}}``: each piece between tabs is a column."""
    columns = form.replace("\\t", "\t").split("\t")
    names = [re.findall(_FIELD, column) for column in columns]
    titles = [" ".join(headings.get(name, name.upper()) for name in found) for found in names]
    made = [{str(number): render(column, row) for number, column in enumerate(columns)} for row in rows]
    return made, {str(number): title for number, title in enumerate(titles)}


def render(template: str, row: Any) -> str:
    """Return a template with what it says of ``row``: see `engine.cli.templates`. Raises `InvalidInput`."""
    from engine.cli import templates

    return templates.render(template, row)


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
