"""A module's public classes and functions with their docstrings, read from its source and in its order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tools.reference import markdown

_EQUALS = re.compile(r"""(?<=[\w\])'"])=(?=[\w('"{[-])""")
"""What stands between an annotated argument and its default."""


class Member(NamedTuple):
    """A field, a constant or a method: how it is written, its docstring, and whether a driver must have it."""

    name: str
    signature: str
    text: str
    required: bool = False


class Class(NamedTuple):
    """A class: its bases as written, its docstring, and its public members."""

    name: str
    bases: tuple[str, ...]
    text: str
    fields: tuple[Member, ...]
    methods: tuple[Member, ...]


class Module(NamedTuple):
    """A module: its docstring and its public classes, functions and constants."""

    text: str
    classes: tuple[Class, ...]
    functions: tuple[Member, ...]
    constants: tuple[Member, ...]


def read(file: Path) -> Module:
    """Return what the module in ``file`` defines."""
    tree = ast.parse(file.read_text(), str(file))
    return Module(
        ast.get_docstring(tree) or "",
        tuple(_class(node) for node in tree.body if isinstance(node, ast.ClassDef) and _public(node.name)),
        tuple(_method(node) for node in tree.body if isinstance(node, ast.FunctionDef) and _public(node.name)),
        tuple(_fields(tree.body)),
    )


def _class(node: ast.ClassDef) -> Class:
    methods = [one for one in node.body if isinstance(one, ast.FunctionDef) and _public(one.name)]
    return Class(
        node.name,
        tuple(ast.unparse(base) for base in node.bases),
        ast.get_docstring(node) or "",
        tuple(_fields(node.body)),
        tuple(map(_method, methods)),
    )


def _fields(body: Sequence[ast.stmt]) -> Iterator[Member]:
    """Yield assignments of public names; a string below one is its docstring."""
    for node, below in zip(body, [*body[1:], None], strict=True):
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
        if isinstance(node, ast.AnnAssign):
            name = ast.unparse(node.target)
        elif isinstance(node, ast.Assign):
            name = ast.unparse(node.targets[0])
        else:
            continue
        if _public(name):
            yield Member(name, _quoted(ast.unparse(node)), str(text))


def _method(node: ast.FunctionDef) -> Member:
    marks = {ast.unparse(one) for one in node.decorator_list}
    return Member(node.name, _signature(node, marks), ast.get_docstring(node) or "", "abstractmethod" in marks)


def _signature(node: ast.FunctionDef, marks: set[str]) -> str:
    if "property" in marks:
        return f"{node.name}: {ast.unparse(node.returns) if node.returns else ''}"
    arguments = _EQUALS.sub(" = ", re.sub(r"^self(, )?", "", ast.unparse(node.args)))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return _quoted(f"{node.name}({arguments}){returns}")


def _quoted(code: str) -> str:
    """Return code with the quotation marks that the workspace's has."""
    return re.sub(r"'([^'\"]*)'", r'"\1"', code)


def _public(name: str) -> bool:
    return not name.startswith("_")


def show(member: Member) -> str:
    """Return a function or method under a line of its own, with what it says."""
    parts = [markdown.fenced(member.signature, "python"), markdown.of(member.text)]
    return "\n".join(part for part in parts if part)
