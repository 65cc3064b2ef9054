"""Storage drivers that show a container the wrong files."""

from __future__ import annotations

from pathlib import Path

from core.tests.testing.storage_mutants_lifecycle import IgnoresSizes
from core.tests.testing.storage_mutants_table import caught_by
from core.tests.testing.vfs import VfsDriver
from engine.contracts.common import IdMap
from engine.contracts.snapshots import Record
from engine.contracts.storage import (
    Capability,
    Mount,
    SnapshotKind,
    UnpackTarget,
    Whiteouts,
)
from engine.errors import EngineError


@caught_by("test_an_empty_snapshot_is_an_empty_directory")
class StartsWithLostAndFound(VfsDriver):
    def prepare(self, key: str, parent: str | None, **how: object) -> None:
        super().prepare(key, parent, **how)  # type: ignore[arg-type]
        (self.root / "active" / key / "fs/lost+found").mkdir(exist_ok=True)


@caught_by("test_writes_are_there_at_the_next_mount")
class ForgetsWrites(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        return (*super().mounts(key, idmap=idmap), Mount("tmpfs", "tmpfs"))


@caught_by("test_writes_stay_in_their_snapshot")
class SharesInodes(VfsDriver):
    copy_options = ("-al",)


@caught_by("test_layers_show_the_topmost_file")
class TakesTheOldest(VfsDriver):
    def source(self, above: Record | None, lower: Path | None) -> Path | None:
        if above is not None and above.parents:
            return self.store.directory(SnapshotKind.COMMITTED, above.parents[-1]) / "fs"
        return super().source(above, lower)


@caught_by("test_a_deleted_file_is_gone", "test_an_opaque_directory_hides_what_was_in_it")
class LiesAboutWhiteouts(VfsDriver):
    def unpack_target(self, key: str) -> UnpackTarget:
        return super().unpack_target(key)._replace(whiteouts=Whiteouts.OVERLAY)


@caught_by("test_a_directory_replaces_a_file_and_back")
class RestoresDirectories(VfsDriver):
    def prepare(self, key: str, parent: str | None, **how: object) -> None:
        super().prepare(key, parent, **how)  # type: ignore[arg-type]
        layer = self.root / "active" / key / "fs"
        if (layer / "opt").is_file():
            (layer / "opt").unlink()
            (layer / "opt").mkdir()


@caught_by("test_attributes_survive")
class CopiesModesAlone(VfsDriver):
    copy_options = ("-dR", "--preserve=mode,timestamps,links")


@caught_by("test_special_files_survive")
class BreaksHardLinks(VfsDriver):
    copy_options = ("-PR", "--preserve=mode,timestamps,ownership,xattr")


@caught_by("test_the_root_directory_keeps_its_attributes")
class ForgetsTheRoot(VfsDriver):
    def copy(self, source: Path, target: Path) -> None:
        super().copy(source, target)
        target.chmod(0o755)


@caught_by("test_an_implied_directory_looks_like_the_parents")
class ForgetsMarks(VfsDriver):
    def adopt_implied(self, layer: Path, merged: Path) -> None:
        return


@caught_by("test_a_view_is_read_only", "test_a_view_of_nothing_is_empty")
class MountsViewsWritable(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        return tuple(mount._replace(attributes=()) for mount in super().mounts(key, idmap=idmap))


@caught_by("test_a_long_chain_works")
class HasALimit(VfsDriver):
    def source(self, above: Record | None, lower: Path | None) -> Path | None:
        if above is not None and len(above.parents) > 3:
            raise EngineError("too many layers", fix="Use fewer.")
        return super().source(above, lower)


@caught_by("test_layers_are_unpacked_in_any_order")
class IgnoresLateWhiteouts(VfsDriver):
    def apply_whiteouts(self, layer: Path, merged: Path) -> None:
        self.drop_whiteouts(layer)


@caught_by("test_a_directory_of_the_machine_is_a_lower")
class WritesToTheMachine(VfsDriver):
    def mounts(self, key: str, *, idmap: IdMap | None = None) -> tuple[Mount, ...]:
        record = self.store.find_active(key)
        (mount,) = super().mounts(key, idmap=idmap)
        return (mount._replace(source=record.detail.get("lower", mount.source)),)


@caught_by("test_a_quota_holds")
class PromisesQuota(IgnoresSizes):
    capabilities = VfsDriver.capabilities | {Capability.QUOTA}
