"""Each distribution's wheel holds its whole source, and works beside the core's alone."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
DISTRIBUTIONS = [ROOT / "core", *sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build every wheel and unpack each into a directory named after its folder."""
    wheels, places = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("unpacked")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(wheels)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, *map(str, DISTRIBUTIONS)], check=True)
    for folder in DISTRIBUTIONS:
        name = f"engine_{folder.name}-*.whl"
        [wheel] = wheels.glob(name)
        zipfile.ZipFile(wheel).extractall(places / folder.name)
    return places


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_a_wheel_holds_the_whole_source(folder: Path, unpacked: Path) -> None:
    source, place = folder / "src", unpacked / folder.name
    files = {file.relative_to(source) for file in source.rglob("*") if file.is_file() and not IGNORED & set(file.parts)}
    packed = {file.relative_to(place) for file in place.rglob("*") if file.is_file()}
    assert files <= packed
    assert not {file for file in packed - files if ".dist-info" not in file.parts[0]}
    assert any(file.name == "py.typed" for file in files)


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_a_wheel_works_beside_the_core_alone(folder: Path, unpacked: Path) -> None:
    [information] = (unpacked / folder.name).glob("*.dist-info")
    modules = {entry.module for entry in PathDistribution(information).entry_points}
    paths = [str(unpacked / "core"), str(unpacked / folder.name), sysconfig.get_path("purelib")]
    program = f"import sys; sys.path[:0] = {paths!r}\nimport {', '.join(sorted(modules))}\n"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
