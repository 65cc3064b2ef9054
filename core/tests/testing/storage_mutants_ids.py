"""Storage drivers that give a container's files to the wrong ids."""

from __future__ import annotations

import os

from core.tests.testing.storage_mutants_table import caught_by
from core.tests.testing.vfs import VfsDriver
from engine.contracts.common import IdMap, IdMapping
from engine.contracts.storage import Mount


@caught_by("test_ids_are_mapped")
class IgnoresIdMaps(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        return super().mounts(key)


@caught_by("test_what_the_mapped_root_writes_is_roots_on_disk")
class ChangesOwnersInstead(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        (mount,) = super().mounts(key)
        for here, directories, files in os.walk(mount.source) if idmap else ():
            for name in (".", *directories, *files):
                path = os.path.join(here, name)
                status = os.lstat(path)
                if status.st_uid < idmap.uids[0].size:  # type: ignore[union-attr]
                    os.lchown(path, status.st_uid + idmap.uids[0].host, status.st_gid + idmap.gids[0].host)  # type: ignore[union-attr]
        return (mount,)


@caught_by("test_containers_of_other_ids_share_layers")
class KeepsTheFirstMap(VfsDriver):
    first: IdMap | None = None

    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        self.first = self.first or idmap
        return super().mounts(key, idmap=idmap and self.first)


@caught_by("test_ids_that_the_map_lacks_belong_to_nobody")
class MapsMoreThanWasAsked(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        more = None if idmap is None else IdMap(*((*rows, IdMapping(70000, 70000, 1)) for rows in idmap))
        return super().mounts(key, idmap=more)
