"""Every example of the documentation that says it can be run is run, and prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import examples
from tests.machine.engine_root import ENGINE, EngineRoot

ROOT = Path(__file__).parent.parent.parent
PAGES = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if examples.of(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page(page: Path, engine_root: EngineRoot, tmp_path: Path) -> None:
    environment = engine_root.environment | {
        "PATH": f"{ENGINE.parent}:{os.environ['PATH']}",
        "ENGINE_ROOT": str(engine_root.root),
        "ENGINE_STATE": str(engine_root.state),
    }
    for example in examples.of(page):
        program = ["bash", "-c"] if example.language == "console" else [sys.executable, "-c"]
        done = subprocess.run(
            [*program, example.source], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
        )  # fmt: skip
        where = f"{page.relative_to(ROOT)}:{example.line}: {example.source}"
        assert done.returncode == 0, f"{where}\n{done.stdout}"
        if example.expected is not None:
            assert examples.matches(example.expected, done.stdout), f"{where}\nprinted:\n{done.stdout}"


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
"""


def test_examples_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert examples.of(page) == [
        ("console", "echo one; \\\n  echo two\n", "one\n...o\n", 4),
        ("console", "echo three\n", "three\n", 8),
        ("python", "print(1)\n", None, 17),
    ]


def test_a_language_that_nobody_can_run_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```cobol run\nSTOP RUN.\n```\n")
    with pytest.raises(ValueError, match="line 2: 'cobol run'"):
        examples.of(page)


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
