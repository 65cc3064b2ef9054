"""The reference is what the code says: whoever changes one and not the other hears what to run."""

from __future__ import annotations

from pathlib import Path

from engine.cli.commands import COMMANDS
from engine.hookspecs import GROUPS
from tools.reference import markdown, pages, source


def test_the_reference_is_up_to_date() -> None:
    stale = ", ".join(map(str, pages.stale()))
    assert not stale, f"{stale} and the code differ: run `{pages.COMMAND}` and commit what it writes"


def test_what_is_stale_is_found_and_written(tmp_path: Path) -> None:
    everything = sorted(pages.pages())
    assert pages.write(tmp_path) == everything
    assert pages.stale(tmp_path) == []
    changed, gone, foreign = (tmp_path / pages.PLACE / name for name in ("commands.md", "hooks.md", "old.md"))
    changed.write_text(changed.read_text() + "more\n")
    gone.unlink()
    foreign.write_text("")
    expected = sorted(pages.PLACE / name for name in ("commands.md", "hooks.md", "old.md"))
    assert pages.stale(tmp_path) == expected
    assert pages.write(tmp_path) == expected
    assert pages.stale(tmp_path) == []
    assert not foreign.exists()


def test_everything_has_its_place() -> None:
    made = {path.name: text for path, text in pages.pages().items()}
    assert not [name for name in COMMANDS if f"\n### engine {name}\n" not in made["commands.md"]]
    assert not [hook for hook in GROUPS.values() if f"\n## {hook}\n" not in made["hooks.md"]]
    assert "| `stop-timeout`" in made["settings.md"]


def test_docstrings_become_markdown() -> None:
    text = """First, with ``code`` and a <word>.

    Terms:

        *one*   what it is
                and more
        *two*   another

    Code follows::

        a = 1

        b = 2

    The end.

    :param name: what it is.
    :return: a thing.
    """
    assert markdown.of(text) == (
        "First, with `code` and a \\<word>.\n\nTerms:\n\n"
        "- *one*: what it is\n  and more\n- *two*: another\n\n"
        "Code follows:\n\n```python\na = 1\n\nb = 2\n```\n\nThe end.\n\n- `name`: what it is.\n- returns a thing.\n"
    )


def test_a_module_is_read_from_its_source(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        '"""One."""\n\n\nclass Driver(ABC):\n    """Drives."""\n\n    kind: str = ""\n    """Which."""\n    _own = 1\n'
        "    @abstractmethod\n    def go(self, far: int, *, fast: bool = False) -> None:\n"
        '        """Go."""\n\n    @property\n    def name(self) -> str:\n        """Its name."""\n'
    )
    [driver] = source.read(tmp_path / "one.py").classes
    assert driver.fields == (source.Member("kind", 'kind: str = ""', "Which."),)
    assert driver.methods == (
        source.Member("go", "go(far: int, *, fast: bool = False) -> None", "Go.", required=True),
        source.Member("name", "name: str", "Its name."),
    )
