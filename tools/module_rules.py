"""Two rules of the workspace that no linter knows: how long a module may be, and what the lean modules may import.

*Lean* modules run in the shim, which stays as long as its container does, and in the stage, between clone and execve,
where every millisecond is paid at each start. They live on a small part of the standard library: ``HEAVY`` names what
may not be imported there even inside a function, each with what it costs. Run by ``./dev lint``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 500
"""Lines. A module past this has a second subject."""

LEAN = (
    "core/src/engine/errors.py",
    "core/src/engine/actions",
    "core/src/engine/contracts/__init__.py",
    "core/src/engine/contracts/observer.py",
    "core/src/engine/events/__init__.py",
    "core/src/engine/events/journal.py",
    "core/src/engine/linux",
    "core/src/engine/shim",
    "core/src/engine/spec/restart_policy.py",
    "core/src/engine/tuples.py",
    "plugins/runtime_native/src/engine_runtime_native/stage",
    "plugins/runtime_oci/src/engine_runtime_oci/stage",
    "plugins/log_json_file/src/engine_log_json_file/encoding.py",
    "plugins/log_json_file/src/engine_log_json_file/sink.py",
)
HEAVY = {
    "argparse": "gettext and its files",
    "asyncio": "60 ms with ssl",
    "contextlib": "a try/finally is as clear",
    "dataclasses": "15 ms: inspect, ast and dis come with it; engine.tuples is there",
    "importlib": "the stage closes the import system",
    "inspect": "10 ms",
    "logging": "8 ms",
    "multiprocessing": "fork and pipes are direct here",
    "pathlib": "6 ms; paths are strings or descriptors here",
    "shutil": "5 ms: compression libraries come with it",
    "subprocess": "8 ms",
    "tempfile": "8 ms: random and hashlib come with it",
    "typing": "0.4 MB of each shim; engine.tuples has TYPE_CHECKING, NamedTuple and Protocol",
    "threading": "a lean process has one thread: it forks",
}


def modules(root: Path) -> Iterator[Path]:
    """Yield every Python module of the workspace, tests included."""
    for place in ("core", "plugins", "tests", "tools"):
        yield from sorted(file for file in (root / place).rglob("*.py") if "__pycache__" not in file.parts)


def is_lean(module: Path, root: Path) -> bool:
    """Return whether a module belongs to the shim, the stage, or what they import."""
    return any(module == root / place or root / place in module.parents for place in LEAN)


def imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    """Yield the top-level package and the line of each import, less those for type checkers alone."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0], node.lineno
        elif isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            yield from imported(node.orelse)
        else:
            yield from imported(ast.iter_child_nodes(node))


def complaints(module: Path, root: Path) -> Iterator[str]:
    """Yield a sentence for each rule that a module breaks."""
    text = module.read_text()
    name = module.relative_to(root)
    lines = text.count("\n")
    if lines > LONGEST:
        yield f"{name}: {lines} lines, {LONGEST} at most: find its second subject and move it out"
    if is_lean(module, root):
        for package, line in imported(ast.parse(text, str(module)).body):
            if package in HEAVY:
                yield f"{name}:{line}: a lean module imports {package} ({HEAVY[package]})"


def main(root: Path = ROOT) -> int:
    """Print every complaint; return 1 when there is one."""
    found = [complaint for module in modules(root) for complaint in complaints(module, root)]
    sys.stderr.write("".join(f"{complaint}\n" for complaint in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
