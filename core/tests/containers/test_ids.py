"""Ranges of ids: where they may come from, and that no two containers have one in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from core.tests.testing.vfs import VfsDriver
from engine.containers import idpool
from engine.containers.drafting import check_ids
from engine.contracts.common import IdMap, IdMapping
from engine.contracts.runtime import RuntimeConfig
from engine.contracts.storage import Capability, StorageConfig
from engine.errors import InvalidInput, NotFound, Unsupported
from engine.linux.processes import identity
from engine.metadata import containers, id_ranges
from engine.metadata.containers import Record
from engine.metadata.store import MIGRATIONS, Store
from engine.plugins import Chosen
from engine.spec.idmaps import range_from
from engine.spec.options import RunOptions
from engine_runtime_native.driver import NativeRuntime

SIZE = 65536
ITSELF = (IdMapping(0, 0, SIZE),)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Files as subuid(5) has them, empty."""
    made = tmp_path / "subuid", tmp_path / "subgid"
    for file in made:
        file.write_text("")
    return str(made[0]), str(made[1])


def write(files: tuple[str, str], users: str, groups: str) -> None:
    for file, text in zip(files, (users, groups), strict=True):
        Path(file).write_text(text)


def test_the_setting_is_a_range(files: tuple[str, str]) -> None:
    write(files, "engine:1000:10\n", "engine:1000:10\n")
    assert idpool.pool("500000:131072", files) == [(500000, 131072)]


def test_the_setting_is_a_user(files: tuple[str, str]) -> None:
    write(files, "# ids\nme:100000:65536\nsub:200000:65536\n", "sub:200000:65536\n")
    assert idpool.pool("sub", files) == [(200000, 65536)]
    with pytest.raises(NotFound, match="'me'"):
        idpool.pool("me", files)


def test_without_a_setting_users_of_these_names_count(files: tuple[str, str]) -> None:
    assert idpool.pool("", files) == [idpool.DEFAULT]
    write(files, "containers:300000:65536\n", "containers:300000:65536\n")
    assert idpool.pool("", files) == [(300000, 65536)]
    write(files, "containers:300000:65536\nengine:1:9\n", "containers:300000:65536\nengine:1:9\n")
    assert idpool.pool("", files) == [(1, 9)]
    assert idpool.pool("", ("/no/such/file", files[1])) == [idpool.DEFAULT]


def test_ids_must_be_in_both_files(files: tuple[str, str]) -> None:
    write(files, "engine:100:100\nengine:500:100\n", "engine:150:400\n")
    assert idpool.pool("", files) == [(150, 50), (500, 50)]


def test_a_line_that_is_none_is_named(files: tuple[str, str]) -> None:
    write(files, "engine:100\n", "engine:100:100\n")
    with pytest.raises(InvalidInput, match="subuid"):
        idpool.pool("", files)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as made:
        yield made


def take(store: Store, name: str, pool: list[id_ranges.Range]) -> int | None:
    first = id_ranges.free(store.connection, pool, SIZE)
    if first is not None:
        id_ranges.claim(store.connection, name, [(first, SIZE)])
    return first


def test_ranges_are_given_in_order_and_given_again(store: Store) -> None:
    pool = [(1000, 2 * SIZE + 5), (1 << 20, SIZE)]
    assert [take(store, name, pool) for name in "abcd"] == [1000, 1000 + SIZE, 1 << 20, None]
    containers.delete(store.connection, "b")
    assert [take(store, name, pool) for name in "bd"] == [1000 + SIZE, None]


def test_ids_that_were_named_by_hand_are_left_out(store: Store) -> None:
    """Wherever they begin and end; several containers may name the same."""
    for name in "xy":
        id_ranges.claim(store.connection, name, [(1000 + SIZE - 1, 2), (5, 1), (5, 1)])
    assert take(store, "a", [(1000, 4 * SIZE)]) == 1000 + SIZE + 1
    assert take(store, "b", [(0, 5)]) is None


@pytest.mark.parametrize(("ids", "refused"), [(range_from(100000), True), (IdMap(ITSELF, ITSELF), False)])
def test_a_storage_driver_that_cannot_map_is_refused_by_name(tmp_path: Path, ids: IdMap, refused: bool) -> None:
    """Where every id is itself there is nothing to map."""

    class Unmapped(VfsDriver):
        capabilities = VfsDriver.capabilities - {Capability.IDMAP}

    storage = Chosen("plain", Unmapped(StorageConfig(tmp_path, {})), "")
    runtime = Chosen("native", NativeRuntime(RuntimeConfig(tmp_path, {})), "")
    options = RunOptions("host:", userns="private")
    with pytest.raises(Unsupported, match="the storage driver plain cannot map") if refused else nullcontext():
        check_ids(options, ids, storage, runtime)


def record(name: str) -> Record:
    return Record(
        id=name * 64, name=name, image="", image_name="i", created=1, storage="s", cgroup="c", runtime="r", log="l",
        options={},
    )  # fmt: skip


def test_a_container_that_is_forgotten_has_no_ids(store: Store) -> None:
    containers.insert(store.connection, record("a"), identity())
    id_ranges.claim(store.connection, "a" * 64, [(1, SIZE)])
    containers.delete(store.connection, "a" * 64)
    assert id_ranges.free(store.connection, [(1, SIZE)], SIZE) == 1


def test_a_store_of_an_older_engine_gets_the_table(tmp_path: Path) -> None:
    """Whoever only looks changes nothing of it."""
    with Store(tmp_path) as store:
        containers.insert(store.connection, record("a"), identity())
        store.connection.execute("DROP TABLE id_ranges")
        store.connection.execute("DROP TABLE untold_events")
        store.connection.execute("PRAGMA user_version=1")
    before = (tmp_path / "engine.db").read_bytes()
    with Store(tmp_path, reading=True) as store:
        assert id_ranges.free(store.connection, [(1, SIZE)], SIZE) == 1
        assert containers.find(store.connection, "a").id_map is None
    assert (tmp_path / "engine.db").read_bytes() == before
    with Store(tmp_path) as store:
        assert take(store, "a", [(1, SIZE)]) == 1
        assert store.connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
