"""All pages of the reference: made, compared with those in the tree, written."""

from __future__ import annotations

from pathlib import Path

from tools.reference import ROOT, commands, contracts, hooks, settings

PLACE = Path("docs/reference")
COMMAND = "./dev docs --write"
HEAD = f"<!-- Made from the code by `{COMMAND}`. Change the code, then run it. -->\n\n"


def pages() -> dict[Path, str]:
    """Return the text of every page, by its path below the workspace."""
    made = {
        "commands.md": commands.page(),
        "settings.md": settings.page(),
        "hooks.md": hooks.page(),
        **{f"contracts/{name}.md": text for name, text in contracts.pages().items()},
    }
    return {PLACE / name: HEAD + text for name, text in made.items()}


def stale(root: Path = ROOT) -> list[Path]:
    """Return the pages below ``root`` that are missing, differ from the code, or that nothing makes any more."""
    made = pages()
    there = {file.relative_to(root) for file in (root / PLACE).rglob("*.md")}
    differ = {path for path, text in made.items() if path in there and (root / path).read_text() != text}
    return sorted(differ | (there ^ made.keys()))


def write(root: Path = ROOT) -> list[Path]:
    """Write the pages that are stale, remove those that nothing makes; return their paths."""
    made, changed = pages(), stale(root)
    for path in changed:
        if path in made:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(made[path])
        else:
            (root / path).unlink()
    return changed
