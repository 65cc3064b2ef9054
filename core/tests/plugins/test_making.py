"""`engine plugins new` and `check`: a new plugin is installed, passes its suite, and logs a container's output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.tests.plugins.conftest import LOG_PLUGIN, Site
from engine import plugins
from engine.plugins import checking
from engine.plugins.scaffold import kinds

FIRST_CHECK = {"log": "test_lines_come_back_in_order", "storage": "test_a_long_chain_works"}
OURS = {"cgroup": "cgroupfs", "log": "json-file", "namespace": "linux", "runtime": "native", "storage": "overlay"}


def make(site: Site, kind: str, directory: Path) -> Path:
    result = site.engine("plugins", "new", "my-own", "--kind", kind, "--directory", str(directory))
    assert result.returncode == 0, result.stderr
    return directory / f"engine-{kind}-my-own"


@pytest.fixture
def made(site: Site, tmp_path: Path) -> Path:
    return make(site, "log", tmp_path)


def install(site: Site, package: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    result = subprocess.run(
        [*command, "--target", site.path, package], capture_output=True, text=True, env=site.environment
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("kind", [pytest.param("storage", marks=pytest.mark.slow), "log"])
def test_a_new_plugin_is_installed_found_and_passes_its_suite(site: Site, tmp_path: Path, kind: str) -> None:
    made = make(site, kind, tmp_path)
    install(site, made)
    row = site.report()[f"{kind}/my-own"]
    assert (row["Distribution"], row["Version"], row["Usable"]) == (f"engine-{kind}-my-own", "0.1.0", "yes")
    assert row["Auto"] == ""
    result = site.engine("plugins", "check", f"{kind}/my-own", "--verbose", "--directory", str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{FIRST_CHECK[kind]} PASSED" in result.stdout


@pytest.mark.parametrize("kind", OURS)
def test_there_is_a_suite_for_every_kind_that_has_one(kind: str, tmp_path: Path) -> None:
    module = tmp_path / "test_plugin.py"
    module.write_text(checking.module_for(plugins.find(kind, OURS[kind])))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--collect-only",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        module,
    ]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("TestPlugin::") > 10


def test_its_own_tests_pass(site: Site, made: Path) -> None:
    site.environment["PYTHONPATH"] = str(made / "src")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", made / "pyproject.toml", made / "tests"],
        capture_output=True, text=True, env=site.environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("kind", kinds())
def test_what_is_made_is_as_clean_as_the_workspace(site: Site, tmp_path: Path, kind: str) -> None:
    made = make(site, kind, tmp_path)
    tools = Path(sys.executable).parent
    result = subprocess.run([tools / "ruff", "check", "--isolated", "."], cwd=made, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    result = subprocess.run([tools / "ruff", "format", "--isolated", "--line-length=120", "--check", made])
    assert result.returncode == 0
    result = subprocess.run(
        [tools / "mypy", "--strict", "--cache-dir=/dev/null", "-p", f"engine_{kind}_my_own"],
        capture_output=True, text=True, env={**site.environment, "MYPYPATH": str(made / "src")},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout


def test_a_plugin_that_breaks_its_contract_fails_its_check(site: Site) -> None:
    site.add("acme-logs", {"log/bad": "acme_logs"}, acme_logs=LOG_PLUGIN + "\n    Driver.sink = 'os'\n")
    result = site.engine("plugins", "check", "log/bad", "--directory", str(site.path.parent))
    assert result.returncode == 1
    assert "FAILED" in result.stdout
    assert not list(site.path.parent.glob("engine-check-*"))


@pytest.mark.parametrize(
    ("arguments", "said", "fix"),
    [
        (["new", "My_Own"], "'My_Own' is no name for a plugin", "lower-case"),
        (["new", "auto"], "'auto' is no name for a plugin", "not auto"),
        (["new", "../x"], "'../x' is no name for a plugin", "lower-case"),
        (["new", "x", "--kind", "bog"], "there is no template for bog plugins", "log"),
        (["check", "nobody"], "no plugin named 'nobody' is installed", "engine plugins"),
        (["check", "log/overlay"], "no plugin named 'log/overlay' is installed", "engine plugins"),
        (["check", "twin"], "there are plugins named 'twin' of several kinds", "Choose log/twin or observer/twin."),
        (["check", "observer/twin"], "there is no contract suite for observer plugins", "log"),
        (["check", "torn"], "log plugin torn (acme-c 1.0) is broken", "pip uninstall acme-c"),
        (["--format", "{{.Nothing}}"], "there is no field 'Nothing'", "Choose among"),
    ],
)
def test_nonsense_is_refused_with_advice(site: Site, arguments: list[str], said: str, fix: str) -> None:
    observer = "from engine.hookspecs import hookimpl\ncontract = 1\n@hookimpl\ndef event_published():\n    pass\n"
    site.add("acme-a", {"log/twin": "acme_a"}, acme_a=LOG_PLUGIN)
    site.add("acme-b", {"observer/twin": "acme_b"}, acme_b=observer)
    site.add("acme-c", {"log/torn": "acme_c"}, acme_c="1 / 0")
    result = site.engine("plugins", *arguments)
    assert result.returncode == 125
    assert said in result.stderr
    assert fix in result.stderr
    assert "Traceback" not in result.stderr


def test_nothing_is_overwritten(site: Site, made: Path) -> None:
    (made / "README.md").write_text("mine")
    result = site.engine("plugins", "new", "my-own", "--directory", str(made.parent))
    assert result.returncode == 125
    assert "exists already" in result.stderr
    assert (made / "README.md").read_text() == "mine"


def test_the_list_has_the_forms_that_every_list_has(site: Site) -> None:
    table = site.engine("plugins").stdout
    assert table.splitlines()[0].split() == ["KIND", "NAME", "AUTO", "USABLE", "DISTRIBUTION", "VERSION", "WHY"]
    assert "auto takes:" in table
    assert site.engine("plugins", "list").stdout == table
    assert "log/json-file" in site.engine("plugins", "list", "--quiet").stdout.splitlines()
    assert "json-file 0.1.0" in site.engine("plugins", "--format", "{{.Name}} {{.Version}}").stdout.splitlines()


def test_each_template_has_a_test_here() -> None:
    assert sorted(FIRST_CHECK) == kinds()
