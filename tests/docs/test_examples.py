"""Every example of the documentation that says it can be run is run, and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import examples
from tests.docs.reader import Reader
from tests.machine.engine_root import ENGINE, EngineRoot

ROOT = Path(__file__).parent.parent.parent
PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if examples.of(page)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page(page: Path, engine_root: EngineRoot) -> None:
    """A page that writes files is followed in an empty directory, any other in the checkout."""
    found = examples.of(page)
    environment = engine_root.environment | {
        "PATH": f"{ENGINE.parent}:{os.environ['PATH']}",
        "ENGINE_ROOT": str(engine_root.root),
        "ENGINE_STATE": str(engine_root.state),
        "CHECKOUT": str(ROOT),
    }
    environment.pop("CI", None)  # pytest writes more of a failure there than a page shows
    with Reader(engine_root.place if any(example.path for example in found) else ROOT, environment) as reader:
        for example in found:
            reader.follow(example)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_file_is_named_beside_its_block(page: Path) -> None:
    """The info string is not seen where the page is read."""
    text = page.read_text()
    assert not [example.path for example in examples.of(page) if f"`{example.path}`" not in text]


def test_the_code_of_a_page_is_written_as_ours_is(tmp_path: Path) -> None:
    """What a page has its readers write keeps the rules that this checkout keeps; types included.

    But for how named tuples are made, which is the engine's own affair.
    """
    with Reader(tmp_path, os.environ) as reader:
        for example in (example for page in PAGES for example in examples.of(page) if example.path):
            reader.follow(example)
    sources = [str(file) for file in tmp_path.rglob("*.py") if "tests" not in file.parts]
    assert sources
    rules = ["--no-cache", "--config", str(ROOT / "pyproject.toml"), *sources]
    types = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache"), *sources]
    bases = [str(file) for file in tmp_path.glob("*/src")]
    for command in (
        ["ruff", "check", "--extend-ignore", "TID251", *rules],
        ["ruff", "format", "--check", *rules],
        ["mypy", *types],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, env=os.environ | {"MYPYPATH": os.pathsep.join(bases)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_shows_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert "$ ./dev engine run --rm host: /bin/sh -c 'echo hello from $(hostname)'\n" in text
    assert "$ ./dev test\n" in text


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))])
def test_links_lead_somewhere(page: Path) -> None:
    targets = [match.partition("#")[0] for match in re.findall(r"\]\((?!\w+:)([^)#][^)]*)\)", page.read_text())]
    assert not [target for target in targets if not (page.parent / target).exists()]


PAGE = """# Title

```console run
$ echo one; \\
  echo two
one
...o
$ echo three
three
```

```console
$ never run
```

```python run
print(1)
```

```python file=some/where.py
first = 1
```

```python more=some/where.py
second = 2
```
"""


def test_examples_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert examples.of(page) == [
        ("console", "echo one; \\\n  echo two\n", "one\n...o\n", 4, ""),
        ("console", "echo three\n", "three\n", 8, ""),
        ("python", "print(1)\n", None, 17, ""),
        ("file", "first = 1\n", None, 21, "some/where.py"),
        ("more", "second = 2\n", None, 25, "some/where.py"),
    ]


def test_a_language_that_nobody_can_run_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```cobol run\nSTOP RUN.\n```\n")
    with pytest.raises(ValueError, match="line 2: 'cobol run'"):
        examples.of(page)


def test_a_reader_stays_in_one_shell_and_says_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    with Reader(tmp_path, os.environ) as reader:
        for example in examples.of(page):
            reader.follow(example)
        assert (tmp_path / "some/where.py").read_text() == "first = 1\nsecond = 2\n"
        assert reader.run("cd some; here=$PWD") == (0, "")
        assert reader.run("echo $here; cat; false") == (1, f"{tmp_path}/some\n")
        assert reader.run("echo 'unfinished")[0] != 0
        with pytest.raises(AssertionError, match="line 7: echo one"):
            reader.follow(examples.Example("console", "echo one", "two\n", 7))
        with pytest.raises(AssertionError, match="ended with 3"):
            reader.follow(examples.Example("console", "(exit 3)", "", 7))
        with pytest.raises(EOFError, match="exit 4"):
            reader.run("exit 4")


@pytest.mark.parametrize(
    ("expected", "printed", "verdict"),
    [
        ("a\n", "a\n", True), ("a\n", "b\n", False), ("a...\n", "a b\nc\n", False),
        ("a...\n...\n", "a b\nc\n", True), ("...\n", "", True),
        ("...\nC x\n...\n", "C x\n", True), ("...\nC x\n", "C y\n", False), ("a.c\n", "abc\n", False),
    ],
)  # fmt: skip
def test_what_is_printed_is_compared(expected: str, printed: str, verdict: bool) -> None:
    assert examples.matches(expected, printed) is verdict
