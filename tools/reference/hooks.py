"""The page of hooks: each one, the group of its plugins, and the contract of what it returns."""

from __future__ import annotations

from engine.hookspecs import GROUPS
from engine.plugins.registry import CONTRACTS
from tools.reference import ROOT, contracts, markdown, source


def page() -> str:
    """Return the page."""
    module = source.read(ROOT / "core/src/engine/hookspecs.py")
    by_name = {function.name: function for function in module.functions}
    parts = ["# Hooks\n", markdown.of(module.text), "## Kinds of plugins\n", _kinds()]
    parts += [f"## {hook}\n\n{source.show(by_name[hook])}" for hook in dict.fromkeys(GROUPS.values())]
    parts += ["## Contracts\n", _contracts()]
    return "\n".join(parts)


def _kinds() -> str:
    rows = []
    for kind, hook in GROUPS.items():
        module, name = CONTRACTS.get(kind, ("engine.contracts.observer", ""))
        page = module.rpartition(".")[2]
        nothing = f"nothing; see [{page}](contracts/{page}.md)"
        link = f"[`{name}`](contracts/{page}.md#{name.lower()})" if name else nothing
        rows.append([kind, f"`engine.{kind}`", f"[`{hook}`](#{hook})", link])
    return markdown.table(["kind", "entry-point group", "hook", "returns"], rows)


def _contracts() -> str:
    names = sorted(contracts.pages())
    return "".join(f"- [engine.contracts.{name}](contracts/{name}.md): {contracts.title(name)}\n" for name in names)
