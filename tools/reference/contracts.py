"""The page of each contract: what a plugin's driver is given, answers with, and has to do."""

from __future__ import annotations

from tools.reference import ROOT, markdown, source

FOLDER = ROOT / "core/src/engine/contracts"


def pages() -> dict[str, str]:
    """Return a page for each module of contracts, by its name."""
    return {file.stem: _page(file.stem, source.read(file)) for file in sorted(FOLDER.glob("[a-z]*.py"))}


def title(name: str) -> str:
    """Return the first sentence of a contract's module."""
    return source.read(FOLDER / f"{name}.py").text.partition("\n")[0].rstrip(".")


def _page(name: str, module: source.Module) -> str:
    parts = [f"# engine.contracts.{name}\n", markdown.of(module.text)]
    parts += [_constant(one) for one in module.constants]
    parts += [_class(one) for one in sorted(module.classes, key=lambda one: not _is_driver(one))]
    parts += [f"## {one.name}\n\n{source.show(one)}" for one in module.functions]
    return "\n".join(parts)


def _is_driver(one: source.Class) -> bool:
    return any(method.required for method in one.methods)


def _constant(member: source.Member) -> str:
    return f"## {member.name}\n\n{source.show(member)}"


def _class(one: source.Class) -> str:
    parts = [f"## {one.name}\n", markdown.of(one.text)]
    if one.fields:
        parts += [_fields(one)]
    required = [method for method in one.methods if method.required]
    others = [method for method in one.methods if not method.required]
    for heading, methods in (("has to have", required), ("may have" if required else "has", others)):
        if methods:
            parts.append(f"### What {_article(one.name)} {heading}\n")
            parts += [f"#### {method.name}\n\n{source.show(method)}" for method in methods]
    return "\n".join(part for part in parts if part)


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"


def _fields(one: source.Class) -> str:
    """Return the fields as they are written, and below them those that have more to say than their class has."""
    code = markdown.fenced("\n".join(field.signature for field in one.fields), "python")
    told = [f"- `{field.name}`: {' '.join(markdown.of(field.text).split())}\n" for field in one.fields if field.text]
    return code + ("\n" + "".join(told) if told else "")
