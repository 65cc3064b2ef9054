"""Settings from files, environment and command line: which one wins, what is refused, and where each came from."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import cache, settings
from engine.errors import InvalidInput
from engine.settings import model
from engine.settings.value import defaults, files


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(("ENGINE_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ENGINE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "config" / "engine").mkdir(parents=True)
    yield
    cache._read.clear()


@pytest.fixture
def user(tmp_path: Path) -> Path:
    return tmp_path / "config" / "engine" / "engine.toml"


@pytest.fixture
def system(tmp_path: Path) -> Path:
    return tmp_path / "system.toml"


def read(system: Path, user: Path) -> settings.Settings:
    return model.read(system=system, user=user, base=defaults(os.environ))


def test_without_files_the_defaults_hold(system: Path, user: Path) -> None:
    found = read(system, user)
    assert found.root == Path("/var/lib/engine")
    assert found.state == Path("/run/engine")
    assert found.storage == found.cgroup_driver == found.runtime == found.namespace_driver == found.log_driver == "auto"
    assert found.stop_timeout == 10
    assert set(found.origins) == set(found._fields) - {"origins"}
    assert {origin for name, origin in found.origins.items() if name != "cache"} == {"default"}
    assert found.origins["cache"] == "ENGINE_CACHE"


def test_each_source_wins_over_the_next(system: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system.write_text('storage = "a"\ncgroup-driver = "a"\nruntime = "a"\nlog-driver = "a"\n')
    user.write_text('storage = "b"\ncgroup-driver = "b"\nruntime = "b"\n')
    monkeypatch.setenv("ENGINE_STORAGE", "c")
    monkeypatch.setenv("ENGINE_CGROUP_DRIVER", "c")
    found = read(system, user)
    assert (found.storage, found.cgroup_driver, found.runtime, found.log_driver) == ("c", "c", "b", "a")
    assert found.origins["storage"] == "ENGINE_STORAGE"
    assert found.origins["runtime"] == str(user)
    assert found.origins["log_driver"] == str(system)
    assert found.origins["namespace_driver"] == "default"


def test_the_command_line_wins_over_all(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user.write_text('storage = "b"\n')
    monkeypatch.setenv("ENGINE_STORAGE", "c")
    monkeypatch.chdir("/usr")
    found = settings.load({"storage": "d", "root": "lib", "state": None})
    assert (found.storage, found.root, found.state) == ("d", Path("/usr/lib"), Path("/run/engine"))
    assert found.origins["storage"] == found.origins["root"] == "command line"
    assert found.origins["state"] == "default"


def test_options_of_drivers_are_merged_and_become_text(
    system: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.write_text('[options.log.json-file]\nmax-size = "1m"\nmax-file = 3\n[options.storage.btrfs]\nquota = true\n')
    user.write_text("[options.log.json-file]\nmax-file = 7\n")
    monkeypatch.setenv("ENGINE_OPTIONS", '{"log": {"json-file": {"max-size": "9m"}}}')
    found = read(system, user)
    assert found.options_of("log", "json-file") == {"max-size": "9m", "max-file": "7"}
    assert found.options_of("storage", "btrfs") == {"quota": "true"}
    assert found.options_of("storage", "overlay") == {}


REFUSED = [
    ('storge = "x"', "there is no setting 'storge'", "Did you mean 'storage'?"),
    ('cgroup_driver = "x"', "there is no setting 'cgroup_driver'", "Did you mean 'cgroup-driver'?"),
    ("nonsense = 1", "there is no setting 'nonsense'", "There are root, state, storage, cgroup-driver"),
    ("stop-timeout = -1", "'stop-timeout' is not valid: it must be greater than or equal to 0", "Correct"),
    ("stop-timeout = true", "'stop-timeout' is not valid: must be a number", "Correct"),
    ('stop-timeout = "soon"', "'stop-timeout' is not valid: it must be a valid integer", "Correct"),
    ('root = "relative"', "'root' is not valid: must be an absolute path", "Correct"),
    ("storage = 5", "'storage' is not valid: it must be a valid string", "Correct"),
    ('storage = ""', "'storage' is not valid: must be the name of a plugin", "Correct"),
    ('storage = "a b"', "'storage' is not valid: must be the name of a plugin", "Correct"),
    ("[options.storag.btrfs]", "'options.storag' is not valid", "Did you mean 'storage'?"),
    ("[options.storage]\nbtrfs = 1", "'options.storage.btrfs' is not valid", "Correct"),
    ("[options.log.json-file]\nx = [1]", "'options.log.json-file.x' is not valid", "Correct"),
    ("root = = 1", "is not valid TOML: Invalid value (at line 1, column 8)", "Correct"),
    ('root = "\xff', "is not valid TOML", "Correct"),
]


@pytest.mark.parametrize(("text", "said", "fix"), REFUSED)
def test_nonsense_names_file_and_key(system: Path, user: Path, text: str, said: str, fix: str) -> None:
    system.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInput) as caught:
        read(system, user)
    assert str(system) in str(caught.value)
    assert said in str(caught.value)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("name", "value", "said", "fix"),
    [
        ("ENGINE_STOP_TIMEOUT", "soon", "the environment variable ENGINE_STOP_TIMEOUT is not valid", "unset"),
        ("ENGINE_ROOT", "here", "ENGINE_ROOT is not valid: must be an absolute path", "unset"),
        ("ENGINE_STORGE", "btrfs", "no setting for the environment variable ENGINE_STORGE", "ENGINE_STORAGE?"),
        ("ENGINE_OPTIONS", "{", "ENGINE_OPTIONS is not valid JSON", "max-size"),
        ("ENGINE_OPTIONS", '{"logs": {}}', "ENGINE_OPTIONS is not valid at 'options.logs'", "Did you mean 'log'?"),
    ],
)
def test_nonsense_names_the_variable(
    system: Path, user: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str, fix: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput) as caught:
        read(system, user)
    assert said in str(caught.value)
    assert fix in caught.value.fix


def test_variables_of_others_are_left_alone(system: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_API_KEY", "secret")
    monkeypatch.setenv("ENGINE_STORAGE", "")
    assert read(system, user).storage == "auto"


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(system: Path, user: Path, mode: int) -> None:
    system.write_text('storage = "a"')
    system.chmod(mode)
    with pytest.raises(InvalidInput, match="may be written by others"):
        read(system, user)


def test_a_file_of_another_user_is_refused(system: Path, user: Path) -> None:
    user.write_text('runtime = "a"')
    os.chown(user, 65534, -1)
    with pytest.raises(InvalidInput, match="belongs to user 65534"):
        read(system, user)


def test_what_is_no_file_is_refused(system: Path, user: Path) -> None:
    os.mkfifo(user)
    with pytest.raises(InvalidInput, match="not a regular file"):
        read(system, user)


def test_the_places_follow_xdg_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = defaults({"XDG_DATA_HOME": "/d", "XDG_RUNTIME_DIR": "/r", "XDG_CACHE_HOME": "/c"})
    assert (found.root, found.state, found.cache) == (Path("/d/engine"), Path("/r/engine"), Path("/c/engine"))
    found = defaults({"XDG_DATA_HOME": "d"})
    assert found.root == Path("~/.local/share/engine").expanduser()
    assert found.state == found.root / "state"
    assert files({"XDG_CONFIG_HOME": "/x"})[1] == Path("/x/engine/engine.toml")
    assert files({})[0] == Path("/etc/engine/engine.toml")


def test_the_mark_tells_roots_apart_and_not_their_spellings(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "root")
    marks = [settings.load({"root": tmp_path / name}).mark for name in ("root", "link", "other")]
    assert marks[0] == marks[1] != marks[2]
    assert len(marks[0]) == 8
    assert int(marks[0], 16) >= 0


def remembered(**environment: str) -> tuple[str, bool]:
    """Return, from a process of its own, the storage setting and whether it was recalled."""
    program = "import sys; from engine import settings; found = settings.load(); "
    program += "print(found.storage, 'pydantic' not in sys.modules, type(found.root).__name__)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert result.returncode == 0, result.stderr
    storage, recalled, kind = result.stdout.split()
    assert kind == "PosixPath"
    return storage, recalled == "True"


def test_what_was_read_is_remembered_until_a_source_changes(user: Path) -> None:
    assert remembered() == ("auto", False)
    assert remembered() == ("auto", True)
    user.write_text('storage = "aa"')
    time.sleep(0.06)
    assert remembered() == ("aa", False)
    assert remembered() == ("aa", True)
    found = user.stat()
    user.write_text('storage = "bb"')
    os.utime(user, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert remembered() == ("bb", False)
    user.unlink()
    assert remembered()[0] == "auto"


def test_each_environment_is_remembered_by_itself() -> None:
    for _round in range(2):
        answers = [remembered(), remembered(ENGINE_STORAGE="x"), remembered(engine_storage="y")]
        assert [storage for storage, _recalled in answers] == ["auto", "x", "y"]
    assert all(recalled for _storage, recalled in answers)


def test_an_error_is_never_remembered(user: Path) -> None:
    user.write_text("storge = 1")
    time.sleep(0.06)
    for _round in range(2):
        with pytest.raises(InvalidInput, match="storge"):
            settings.load()


def in_private_etc(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a program that loads the settings where /etc/engine/engine.toml holds ``text``."""
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "engine").mkdir()
    (etc / "engine" / "engine.toml").write_text(text)
    for name in ("passwd", "group", "ld.so.cache"):
        if os.path.exists(f"/etc/{name}"):
            (etc / name).write_bytes(Path(f"/etc/{name}").read_bytes())
    program = "from engine import settings; found = settings.load(); print(found.storage, found.origins['storage'])"
    command: list[Any] = ["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc && exec "$2" -c "$3"', "sh"]
    return subprocess.run([*command, etc, sys.executable, program], capture_output=True, text=True)


def test_the_systems_file_lies_in_etc(tmp_path: Path) -> None:
    result = in_private_etc(tmp_path, 'storage = "from-etc"')
    assert result.stdout == "from-etc /etc/engine/engine.toml\n", result.stderr


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/settings.md").read_text()
    for field in model.SettingsModel.model_fields:
        assert f"| `{field.replace('_', '-')}` " in page
        assert f"`ENGINE_{field.upper()}`" in page
