"""The templates of ``--format``: the part of Go's text/template that people write for Docker.

``{{.State.Pid}}`` is a field, ``{{.}}`` everything, ``{{$}}`` everything from the outside, ``{{$x}}`` a variable of a
``range``. ``{{if}} {{with}} {{range}} {{else}} {{end}}`` have Go's meaning, ``{{-`` and ``-}}`` take the space beside
them away, ``|`` hands a value to the next function as its last argument, and parentheses group. `FUNCTIONS` has the
functions. Outside of ``{{}}``, ``\\t`` and ``\\n`` are a tab and a new line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.cli.template_functions import FUNCTIONS, shown
from engine.errors import InvalidInput
from engine.tuples import NamedTuple

_ACTION = re.compile(r"(\s+(?=\{\{- ))?\{\{(?:- )?\s*(.*?)\s*(?: -)?\}\}((?<= -\}\})\s+)?", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+)|(?P<path>\$?\w*(?:\.\w+)+|\$\w*|\.)"""
    r"""|(?P<word>\w+)|(?P<sign>:=|[|(),]))"""
)
_BLOCKS = ("if", "with", "range")


class _Block(NamedTuple):
    """``range``, ``if`` or ``with``: the names of its variables, its value, what is inside, what is after ``else``."""

    kind: str
    names: tuple[str, ...]
    value: tuple[_Token, ...]
    inside: tuple[_Node, ...]
    otherwise: tuple[_Node, ...]


class _Token(NamedTuple):
    kind: str
    text: str


_Node = str | tuple[_Token, ...] | _Block
"""Text, a value to be shown, or a block."""


class _Scope(NamedTuple):
    """What ``.`` is, and the variables; the one without a name is what ``.`` was in the beginning."""

    dot: Any
    variables: Mapping[str, Any]


def render(template: str, row: Any) -> str:
    """Return the template with what it says of ``row``.

    Raises `InvalidInput` for what is no template, a field that is not there, or a function that cannot take its values.
    """
    pieces = list(_pieces(template))
    nodes, end = _nodes(pieces, 0)
    if end != len(pieces):
        raise _wrong(f"{{{{{_first(pieces[end])}}}}} has no beginning")
    return _shown(nodes, _Scope(row, {"": row}))


def _pieces(template: str) -> Iterator[str | tuple[_Token, ...]]:
    """Yield text, and the tokens of each action."""
    position = 0
    for match in _ACTION.finditer(template):
        yield from _text(template[position : match.start()])
        if not match[2].startswith("/*"):
            yield tuple(_tokens(match[2]))
        position = match.end()
    yield from _text(template[position:])


def _text(text: str) -> Iterator[str]:
    if "{{" in text or "}}" in text:
        raise _wrong("braces that do not match")
    if text:
        yield text.replace("\\t", "\t").replace("\\n", "\n")


def _tokens(action: str) -> Iterator[_Token]:
    position = 0
    while position < len(action):
        match = _TOKEN.match(action, position)
        if match is None or match.lastgroup is None:
            raise _wrong(f"{action[position:].strip()!r}, which is neither a field nor a function")
        yield _Token(match.lastgroup, match[match.lastgroup])
        position = match.end()


def _nodes(pieces: Sequence[str | tuple[_Token, ...]], at: int) -> tuple[tuple[_Node, ...], int]:
    """Return the nodes from ``at`` on, and where what ends them stands: ``else``, ``end``, or the template's end."""
    nodes: list[_Node] = []
    while at < len(pieces) and _first(pieces[at]) not in {"else", "end"}:
        piece = pieces[at]
        if isinstance(piece, tuple) and _first(piece) in _BLOCKS:
            block, at = _block(piece, pieces, at + 1)
            nodes.append(block)
        else:
            nodes.append(piece)
            at += 1
    return tuple(nodes), at


def _block(head: tuple[_Token, ...], pieces: Sequence[str | tuple[_Token, ...]], at: int) -> tuple[_Block, int]:
    otherwise: tuple[_Node, ...] = ()
    inside, at = _nodes(pieces, at)
    rest = pieces[at][1:] if at < len(pieces) else ()
    if at < len(pieces) and _first(pieces[at]) == "else":
        if isinstance(rest, tuple) and rest:  # {{else if x}} is a block within, which ends with this one
            nested, at = _block(rest, pieces, at + 1)
            return _Block(head[0].text, *_assigned(head[1:]), inside, (nested,)), at
        otherwise, at = _nodes(pieces, at + 1)
    if at >= len(pieces) or _first(pieces[at]) != "end":
        raise _wrong(f"{{{{{head[0].text}}}}} without {{{{end}}}}")
    return _Block(head[0].text, *_assigned(head[1:]), inside, otherwise), at + 1


def _assigned(tokens: tuple[_Token, ...]) -> tuple[tuple[str, ...], tuple[_Token, ...]]:
    """Return the variables of ``$key, $value := VALUE``, and the value."""
    places = [place for place, token in enumerate(tokens) if token.text == ":="]
    if not places:
        return (), tokens
    names = tuple(token.text.removeprefix("$") for token in tokens[: places[0]] if token.kind == "path")
    return names, tokens[places[0] + 1 :]


def _first(piece: str | tuple[_Token, ...]) -> str:
    """Return the word that an action begins with, or ""."""
    return piece[0].text if isinstance(piece, tuple) and piece and piece[0].kind == "word" else ""


def _shown(nodes: Sequence[_Node], scope: _Scope) -> str:
    return "".join(_node(node, scope) for node in nodes)


def _node(node: _Node, scope: _Scope) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, _Block):
        return _ranged(node, scope) if node.kind == "range" else _chosen(node, scope)
    return shown(_evaluated(node, scope))


def _chosen(block: _Block, scope: _Scope) -> str:
    value = _evaluated(block.value, scope)
    if not value:
        return _shown(block.otherwise, scope)
    return _shown(block.inside, scope if block.kind == "if" else _Scope(value, scope.variables))


def _ranged(block: _Block, scope: _Scope) -> str:
    found = _evaluated(block.value, scope)
    if found and not isinstance(found, Mapping | list | tuple):
        raise _wrong(f"a range over {shown(found)!r}, which is no list")
    items = sorted(found.items()) if isinstance(found, Mapping) else [*enumerate(found or ())]
    parts = []
    for pair in items:
        own = dict(zip(block.names, pair if len(block.names) > 1 else pair[1:], strict=False))
        parts.append(_shown(block.inside, _Scope(pair[1], {**scope.variables, **own})))
    return "".join(parts) if items else _shown(block.otherwise, scope)


def _evaluated(tokens: Sequence[_Token], scope: _Scope) -> Any:
    """Return the value of a pipeline."""
    commands: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")") if token.kind == "sign" else 0
        if token == ("sign", "|") and not depth:
            commands.append([])
        else:
            commands[-1].append(token)
    piped: list[Any] = []
    for command in commands:
        piped = [_called(command, piped, scope)]
    return piped[0]


def _called(command: Sequence[_Token], piped: list[Any], scope: _Scope) -> Any:
    if not command:
        raise _wrong("a place where a field or a function is missing")
    if command[0].kind == "word":
        return _applied(command[0].text, [*_operands(command[1:], scope), *piped])
    operands = _operands(command, scope)
    if len(operands) != 1 or piped:
        raise _wrong(f"{command[0].text!r} where a function belongs")
    return operands[0]


def _applied(name: str, arguments: list[Any]) -> Any:
    if name in {"true", "false"} and not arguments:
        return name == "true"
    if name not in FUNCTIONS:
        raise _wrong(f"{name!r}, which is none of its functions: {', '.join(FUNCTIONS)}")
    try:
        return FUNCTIONS[name](*arguments)
    except (TypeError, LookupError, AttributeError) as error:
        raise _wrong(f"{name!r}, which cannot take what it is given ({error})") from error


def _operands(tokens: Sequence[_Token], scope: _Scope) -> list[Any]:
    operands: list[Any] = []
    position = 0
    while position < len(tokens):
        token, position = tokens[position], position + 1
        if token == ("sign", "("):
            end = _closing(tokens, position)
            operands.append(_evaluated(tokens[position:end], scope))
            position = end + 1
        elif token.kind == "path":
            operands.append(_field(token.text, scope))
        elif token.kind == "text":
            operands.append(re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.text[0] == '"' else token.text[1:-1])
        elif token.kind == "number":
            operands.append(int(token.text))
        else:
            operands.append(_applied(token.text, []))
    return operands


def _closing(tokens: Sequence[_Token], position: int) -> int:
    depth = 1
    for place in range(position, len(tokens)):
        depth += (tokens[place].text == "(") - (tokens[place].text == ")")
        if not depth:
            return place
    raise _wrong("a parenthesis that is not closed")


def _field(path: str, scope: _Scope) -> Any:
    variable, _, fields = path.partition(".")
    if variable.removeprefix("$") not in scope.variables:
        raise _wrong(f"the variable {variable}, which nothing sets")
    value = scope.variables[variable.removeprefix("$")] if variable else scope.dot
    for name in filter(None, fields.split(".")):
        if not isinstance(value, Mapping) or name not in value:
            known = ", ".join(value) if isinstance(value, Mapping) else "none"
            raise InvalidInput(f"--format: there is no field {fields!r}", fix=f"Choose among: {known}.")
        value = value[name]
    return value


def _wrong(what: str) -> InvalidInput:
    return InvalidInput(
        f"--format has {what}", fix="Write for example {{.Name}}, {{json .}} or {{range .List}}{{.}}{{end}}."
    )
