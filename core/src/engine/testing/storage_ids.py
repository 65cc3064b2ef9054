"""The storage suite's checks of `Capability.IDMAP`: whose files are on disk, and whose they are in a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.contracts.common import IdMap, IdMapping
from engine.contracts.storage import Capability, StorageDriver
from engine.linux.fsids import FileSystemIds
from engine.testing.storage_support import StorageChecks, inside, layer, paths

NOBODY = 65534
"""The overflow id (user_namespaces(7)), which stands for every id that has no mapping."""


def mapping(first: int) -> IdMap:
    """Return the map of 65,536 ids from 0 to those from ``first`` on."""
    rows = (IdMapping(0, first, 65536),)
    return IdMap(rows, rows)


def fill(at: Path) -> None:
    """Unpack files of several owners."""
    (at / "etc").mkdir()
    for name, owner in (("passwd", 0), ("web", 33), ("far", 70000)):
        (at / "etc" / name).write_text(name)
        os.chown(at / "etc" / name, owner, owner)
    (at / "opt/old").mkdir(parents=True)
    (at / "opt/old/file").write_text("old")


def owners(at: Path) -> dict[str, tuple[int, int]]:
    """Return user and group of everything below a directory."""
    return {path: ((at / path).lstat().st_uid, (at / path).lstat().st_gid) for path in paths(at)}


class IdsChecks(StorageChecks):
    """Layers are shared between containers that have other ids: nothing in them is ever changed for one."""

    @pytest.fixture
    def container(self, driver: StorageDriver) -> str:
        """Make a snapshot over a layer with files of several owners."""
        if Capability.IDMAP not in driver.capabilities:
            pytest.skip("the driver does not declare idmap")
        layer(driver, "base", None, fill)
        driver.prepare("container", "base")
        return "container"

    def test_ids_are_mapped(self, driver: StorageDriver, place: Path, container: str) -> None:
        """Through mapped mounts the layers belong to the mapped ids, and a changed owner is stored unmapped."""

        def use(at: Path) -> dict[str, tuple[int, int]]:
            seen = owners(at)
            os.chown(at / "etc/passwd", 100005, 100006)
            return seen

        seen = inside(driver, container, place, use, mapping(100000))
        assert (seen["etc/passwd"], seen["etc/web"], seen["opt"]) == (
            (100000, 100000), (100033, 100033), (100000, 100000),
        )  # fmt: skip
        assert inside(driver, container, place, owners)["etc/passwd"] == (5, 6)

    def test_what_the_mapped_root_writes_is_roots_on_disk(
        self, driver: StorageDriver, place: Path, container: str
    ) -> None:
        """The mapped root makes, changes, deletes and replaces; on disk all of it belongs to 0."""

        def write(at: Path) -> None:
            with FileSystemIds(100000, 100000):
                (at / "new").write_text("new")
                (at / "etc/passwd").write_text("changed")
                (at / "etc/made").mkdir()
                (at / "etc/made/link").symlink_to("../passwd")
                (at / "opt/old/file").unlink()
                (at / "opt/old").rmdir()
                (at / "opt/old").mkdir()

        inside(driver, container, place, write, mapping(100000))
        found = inside(driver, container, place, owners)
        changed = ("new", "etc", "etc/passwd", "etc/made", "etc/made/link", "opt/old")
        assert {path: found[path] for path in changed} == dict.fromkeys(changed, (0, 0))
        assert "opt/old/file" not in found
        assert found["etc/web"] == (33, 33)

    def test_containers_of_other_ids_share_layers(self, driver: StorageDriver, place: Path, container: str) -> None:
        """Over one parent each container sees its own ids, at the same time and one after the other."""
        driver.prepare("other", "base")
        for key, first in ((container, 200000), ("other", 300000), (container, 400000)):
            assert inside(driver, key, place, owners, mapping(first))["etc/web"] == (first + 33, first + 33)
        driver.prepare("plain", "base")
        assert inside(driver, "plain", place, owners)["etc/web"] == (33, 33)

    def test_ids_that_the_map_lacks_belong_to_nobody(self, driver: StorageDriver, place: Path, container: str) -> None:
        """A file of an id beyond the map is nobody's, and keeps its owner on disk."""
        assert inside(driver, container, place, owners, mapping(100000))["etc/far"] == (NOBODY, NOBODY)
        assert inside(driver, container, place, owners)["etc/far"] == (70000, 70000)
