"""Docstrings as Markdown.

The docstrings of the workspace are plain text with a few habits: code stands between double backquotes, a paragraph
that ends in ``::`` is followed by an indented block to be shown as it is, a *term* or code with two spaces after it
begins a definition, and ``:param name:`` and ``:return:`` describe a hook.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from textwrap import dedent

_TERM = re.compile(r"(\s*)((?:\*[^*]+\*|``[^`]+``)(?:, ``[^`]+``)*)\s{2,}(\S.*)")
_FIELD = re.compile(r":(?:param (?P<name>\w+)|return):\s*(?P<text>.*)")


def of(docstring: str) -> str:
    """Return a docstring as Markdown, ending in a newline; nothing of an empty one."""
    parts = list(_parts(re.split(r"\n\s*\n", cleandoc(docstring))))
    return "\n\n".join(parts) + "\n" if parts and parts[0] else ""


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, its columns aligned in the source as far as that is readable."""
    cells = [[one.replace("|", "\\|").replace("\n", " ") for one in row] for row in rows]
    widths = [min(40, max(len(row[column]) for row in [headings, *cells])) for column in range(len(headings))]
    return "".join(
        "| " + " | ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() + " |\n"
        for row in [headings, ["-" * max(3, width) for width in widths], *cells]
    )


def fenced(text: str, language: str) -> str:
    """Return a block of code, ending in a newline."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def inline(text: str) -> str:
    """Return a line of a docstring with Markdown's code, and with nothing in it that would be taken for HTML."""
    pieces = re.split(r"(``.+?``|`[^`]+`)", text)
    return "".join(_piece(piece) for piece in pieces)


def _piece(piece: str) -> str:
    if piece.startswith("`"):
        return f"`{piece.strip('`')}`"
    return piece.replace("<", "\\<")


def _parts(paragraphs: Sequence[str]) -> Iterator[str]:
    block: list[str] = []
    literal = False
    for paragraph in paragraphs:
        if literal and paragraph.startswith(" "):
            block.append(paragraph)
            continue
        if block:
            yield _code("\n\n".join(block))
            block = []
        head, literal_below = _without_block(paragraph)
        literal = paragraph.rstrip().endswith("::") or bool(literal_below)
        yield _prose(head)
        block = [literal_below] if literal_below else []
    if block:
        yield _code("\n\n".join(block))


def _without_block(paragraph: str) -> tuple[str, str]:
    """Return a paragraph without the block that follows its ``::`` in the next line, and that block."""
    head, mark, below = paragraph.partition("::\n")
    return (f"{head}::", below) if mark and below.startswith(" ") else (paragraph, "")


def _code(block: str) -> str:
    text = dedent(block)
    return fenced(text, "python" if _is_python(text) else "text").rstrip()


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _prose(paragraph: str) -> str:
    lines = re.sub(r":?:$", ":", paragraph.rstrip()).splitlines()
    if any(_TERM.fullmatch(line) for line in lines) or any(_FIELD.match(line) for line in lines):
        return "\n".join(_list(lines))
    if all(line.startswith("    ") for line in lines):
        return fenced(dedent(paragraph), "text").rstrip()
    return "\n".join(inline(line.strip()) for line in lines)


def _list(lines: Sequence[str]) -> Iterator[str]:
    """Yield lines with each definition as an item of a list; what goes on below one is indented under it."""
    begun = False
    for number, line in enumerate(lines):
        if term := _TERM.fullmatch(line):
            yield from [""] if number and not begun else []
            yield f"- {inline(term[2])}: {inline(term[3])}"
            begun = True
        elif field := _FIELD.match(line):
            label = f"`{field['name']}`:" if field["name"] else "returns"
            yield f"- {label} {inline(field['text'])}"
            begun = True
        else:
            yield ("  " if begun else "") + inline(line.strip())
