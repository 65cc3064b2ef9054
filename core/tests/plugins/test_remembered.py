"""The index on the way of every command: what a recalled one costs and imports, and what makes it be read anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.tests.plugins.conftest import LOG_PLUGIN, Site

HEAVY = ("importlib.metadata", "stevedore", "pluggy", "pydantic", "pydantic_settings", "tomllib", "json", "inspect")
MILLISECONDS = 20
"""Far above the 0.4 that it takes: a busy machine is not a failure, a scan is."""

LOOK = """
    import sys, time
    from engine import plugins, settings
    began = time.perf_counter()
    settings.load()
    found = plugins.index()
    took = (time.perf_counter() - began) * 1000
    modules = sorted(sys.modules)
    import json
    print(json.dumps([[[entry.name, entry.value, entry.version] for entry in found.of("log")], took, modules]))
"""

WORK = """
    import sys
    from engine import plugins, settings
    plugins.choose("storage", "overlay", lambda name: plugins.config_for("storage", name, settings.load()))
    modules = sorted(sys.modules)
    import json
    print(json.dumps(modules))
"""


def look(site: Site) -> tuple[list[list[str]], float, list[str]]:
    names, took, modules = site.python(LOOK)
    return names, took, modules


def is_recalled(modules: list[str]) -> bool:
    return "stevedore" not in modules


def names(site: Site) -> list[str]:
    return [name for name, _value, _version in look(site)[0]]


def test_a_recalled_index_and_settings_import_nothing_heavy(site: Site) -> None:
    """Looked at a few times: a busy machine, or somebody who installs something meanwhile, is no failure."""
    site.settle()
    first, _took, modules = look(site)
    assert not is_recalled(modules)
    looks = [look(site) for _round in range(4)]
    assert all(names == first for names, _took, _modules in looks)
    recalled = [(took, modules) for _names, took, modules in looks if is_recalled(modules)]
    assert recalled
    assert all(not set(HEAVY) & set(modules) for _took, modules in recalled)
    assert min(took for took, _modules in recalled) < MILLISECONDS


def test_only_the_chosen_driver_is_imported(site: Site) -> None:
    site.settle()
    look(site)
    modules = site.python(WORK)
    ours = {name.partition(".")[0] for name in modules if name.startswith("engine_")}
    assert ours == {"engine_storage_overlay"}
    assert not {"stevedore", "pydantic", "importlib.metadata", "dbus_next"} & set(modules)


def test_the_directory_is_enough_for_a_bare_interpreter(site: Site) -> None:
    site.add("acme-logs", {"log/acme": "acme_logs.plugin"})
    (site.path / "acme_logs").mkdir()
    (site.path / "acme_logs" / "__init__.py").write_text("")
    (site.path / "acme_logs" / "sink.py").write_text("import sys")
    rows: list[list[Any]] = site.python(
        """
        import json
        from engine import plugins
        found = plugins.index().entries
        print(json.dumps([[entry.name, entry.directory] for entry in found] + [["core", plugins.core_directory()]]))
        """
    )
    places = dict(rows)
    assert places["acme"] == str(site.path)
    program = f"import sys; sys.path += {[places['acme'], places['core'], places['json-file']]!r}\n"
    program += "import acme_logs.sink, engine_log_json_file.sink, engine.errors"
    result = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_package_that_is_missing_has_no_directory(site: Site) -> None:
    site.add("acme-logs", {"log/acme": "no_such_package_anywhere.plugin"})
    assert names(site) == ["acme", "json-file", "none"]


def install(site: Site, _metadata: Path) -> None:
    site.add("zeta-logs", {"log/zeta": "zeta_logs"}, zeta_logs=LOG_PLUGIN)


def uninstall(site: Site, metadata: Path) -> None:
    site.remove(metadata)


def reinstall(site: Site, metadata: Path) -> None:
    """The same version again, with another entry point of the same length, as fast as it goes."""
    site.remove(metadata)
    site.add("acme-logs", {"log/acmf": "acme_logs"})


def upgrade(site: Site, metadata: Path) -> None:
    site.remove(metadata)
    site.add("acme-logs", {"log/acme": "acme_logs"}, "1.1")


def edit(_site: Site, metadata: Path) -> None:
    file = metadata / "entry_points.txt"
    file.write_text(file.read_text().replace("acme", "acmf"))


def edit_and_restore_the_time(_site: Site, metadata: Path) -> None:
    """As `cp --preserve` and rsync do: same size, same modification time."""
    file = metadata / "entry_points.txt"
    found = file.stat()
    file.write_text(file.read_text().replace("acme", "acmf"))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def replace_by_rename(site: Site, metadata: Path) -> None:
    file = site.path / "new"
    file.write_text((metadata / "entry_points.txt").read_text().replace("acme", "acmf"))
    file.rename(metadata / "entry_points.txt")


def give_entry_points_to_one_that_had_none(site: Site, _metadata: Path) -> None:
    (site.path / "beta_logs-1.0.dist-info" / "entry_points.txt").write_text("[engine.log]\nbeta = beta_logs\n")


CHANGES = [
    install,
    uninstall,
    reinstall,
    upgrade,
    edit,
    edit_and_restore_the_time,
    replace_by_rename,
    give_entry_points_to_one_that_had_none,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_at_once(site: Site, change: Callable[[Site, Path], None]) -> None:
    metadata = site.add("acme-logs", {"log/acme": "acme_logs"}, acme_logs=LOG_PLUGIN)
    beta = site.add("beta-logs", {}, beta_logs=LOG_PLUGIN)
    (beta / "entry_points.txt").unlink()
    site.settle()
    before = look(site)[0]
    assert is_recalled(look(site)[2])
    change(site, metadata)
    after, _took, modules = look(site)
    assert not is_recalled(modules)
    assert after != before


def test_a_change_in_the_moment_of_the_scan_is_seen(site: Site) -> None:
    """Nothing is remembered of what changed just before: the next change might bear the same time."""
    metadata = site.add("acme-logs", {"log/acme": "acme_logs"}, acme_logs=LOG_PLUGIN)
    for _round in range(3):
        edit(site, metadata)
        assert "acmf" in names(site)
        file = metadata / "entry_points.txt"
        file.write_text(file.read_text().replace("acmf", "acme"))
        assert "acme" in names(site)


def test_another_path_is_another_index(site: Site, tmp_path: Path) -> None:
    site.add("acme-logs", {"log/acme": "acme_logs"}, acme_logs=LOG_PLUGIN)
    site.settle()
    assert "acme" in names(site)
    (tmp_path / "empty").mkdir()
    site.environment["PYTHONPATH"] = str(tmp_path / "empty")
    assert "acme" not in names(site)


def test_without_a_place_to_remember_everything_works(site: Site) -> None:
    site.environment["ENGINE_CACHE"] = "/proc/nowhere"
    site.settle()
    assert names(site) == names(site) == ["json-file", "none"]
