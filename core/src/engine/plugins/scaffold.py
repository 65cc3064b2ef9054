"""``engine plugins new``: a package to begin with, made from the templates beside this module.

Each kind's template is a plugin that works and passes its contract suite, as small as it can be; a test makes one of
each and runs its tests. ``NAME`` and the like are written ``${name}`` (`string.Template`).
"""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from engine.errors import Conflict, EngineError, InvalidInput, Unsupported
from engine.plugins.choosing import AUTO

_TEMPLATES = Path(__file__).parent / "templates"
_NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
_SUFFIX = ".in"


def scaffold(name: str, kind: str, directory: Path) -> Path:
    """Make the package of a new plugin in ``directory`` and return its path, ``engine-KIND-NAME``.

    Raises `InvalidInput` for a name that is none, `Unsupported` for a kind without a template, `Conflict` when it is
    there already, `EngineError` when it cannot be written.
    """
    if re.fullmatch(_NAME, name) is None or name == AUTO:
        raise InvalidInput(
            f"'{name}' is no name for a plugin", fix="Use lower-case letters, digits and single hyphens, and not auto."
        )
    source = _TEMPLATES / kind
    if kind not in kinds():
        raise Unsupported(f"there is no template for {kind} plugins", fix=f"There is one for {', '.join(kinds())}.")
    target = directory / f"engine-{kind}-{name}"
    words = {
        "name": name,
        "distribution": target.name,
        "package": target.name.replace("-", "_"),
        "driver": "".join(part.capitalize() for part in name.split("-")),
    }
    try:
        target.mkdir(parents=True)
        for template in sorted(path for path in source.rglob("*") if path.is_file()):
            _fill(template, target / _place(template.relative_to(source), words), words)
    except FileExistsError as error:
        raise Conflict(f"{target} exists already", fix="Choose another name or --directory.") from error
    except OSError as error:
        raise EngineError(
            f"{error.filename} cannot be written: {error.strerror}", fix="Choose another --directory."
        ) from error
    return target


def kinds() -> list[str]:
    """Return the kinds that there is a template for."""
    return sorted(path.name for path in _TEMPLATES.iterdir())


def _place(template: Path, words: dict[str, str]) -> Path:
    parts = [words["package"] if part == "package" else part for part in template.parts]
    return Path(*parts).with_name(template.name.removesuffix(_SUFFIX))


def _fill(template: Path, target: Path, words: dict[str, str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(Template(template.read_text()).substitute(words))
