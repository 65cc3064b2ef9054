"""The storage suite's checks of `changes` and `usage`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engine.contracts.storage import StorageDriver
from engine.testing.processes import Child
from engine.testing.storage_files import fill_base
from engine.testing.storage_support import StorageChecks, inside, layer, mounted, remove


class ChangesChecks(StorageChecks):
    """What `engine diff` and `engine ps --size` show."""

    def test_nothing_changed(self, driver: StorageDriver, place: Path) -> None:
        """A fresh snapshot differs in nothing, nor does one that was only read; a view never does."""
        assert changed(driver, place, _read_all) == []
        driver.prepare("look", "base", read_only=True)
        assert list(driver.changes("look")) == []

    def test_added(self, driver: StorageDriver, place: Path) -> None:
        """A new file or directory is added, all in it too; a directory that gained an entry is changed."""

        def write(at: Path) -> None:
            (at / "opt/tool/deep/er").mkdir(parents=True)
            (at / "opt/tool/deep/er/file").touch()
            (at / "pipe").symlink_to("/nowhere")

        assert changed(driver, place, write) == [
            "C /opt", "C /opt/tool", "A /opt/tool/deep", "A /opt/tool/deep/er", "A /opt/tool/deep/er/file", "A /pipe",
        ]  # fmt: skip

    def test_changed(self, driver: StorageDriver, place: Path) -> None:
        """Content, size, mode, owner, a link's target: each is a change of the path and of what leads to it."""

        def write(at: Path) -> None:
            (at / "etc/passwd").write_text("longer than before, and different")
            (at / "opt/tool/two").chmod(0o600)
            os.chown(at / "opt/tool/data/one", 5, 5)
            (at / "link").unlink()
            (at / "link").symlink_to("elsewhere")

        assert changed(driver, place, write) == [
            "C /etc", "C /etc/passwd", "C /link", "C /opt", "C /opt/tool", "C /opt/tool/data", "C /opt/tool/data/one",
            "C /opt/tool/two",
        ]  # fmt: skip

    def test_changed_without_a_trace_in_the_times(self, driver: StorageDriver, place: Path) -> None:
        """Other content of the same length, with the old times put back, is still a change."""

        def write(at: Path) -> None:
            status = (at / "etc/shadow").stat()
            (at / "etc/shadow").write_text("SECRET\n")
            os.utime(at / "etc/shadow", ns=(status.st_atime_ns, status.st_mtime_ns))

        assert changed(driver, place, write) == ["C /etc", "C /etc/shadow"]

    def test_changed_attribute(self, driver: StorageDriver, place: Path) -> None:
        """An extended attribute is part of a file."""
        write = lambda at: os.setxattr(at / "etc/shadow", "user.note", b"new")  # noqa: E731
        assert changed(driver, place, write) == ["C /etc", "C /etc/shadow"]

    def test_deleted(self, driver: StorageDriver, place: Path) -> None:
        """A deleted directory is one deletion; what is added and deleted again leaves its directory changed at most."""

        def write(at: Path) -> None:
            remove(at / "opt/tool/data")
            (at / "etc/passwd").unlink()
            (at / "new").touch()
            (at / "new").unlink()

        assert changed(driver, place, write) == ["C /etc", "D /etc/passwd", "C /opt", "C /opt/tool", "D /opt/tool/data"]

    def test_replaced(self, driver: StorageDriver, place: Path) -> None:
        """A path that became something else is changed; a directory made anew lost what it does not have again."""

        def write(at: Path) -> None:
            remove(at / "opt/tool")
            (at / "opt/tool").mkdir()
            (at / "opt/tool/two").write_text("again")
            (at / "opt/tool/three").touch()
            remove(at / "etc")
            (at / "etc").write_text("a file now")
            (at / "link").unlink()
            (at / "link").mkdir()
            (at / "link/inside").touch()

        assert changed(driver, place, write) == [
            "C /etc", "C /link", "A /link/inside", "C /opt", "C /opt/tool", "D /opt/tool/data", "A /opt/tool/three",
            "C /opt/tool/two",
        ]  # fmt: skip

    def test_moved(self, driver: StorageDriver, place: Path) -> None:
        """A renamed directory is a deletion and an addition with all it holds, however the driver stores that."""

        def write(at: Path) -> None:
            try:
                (at / "opt/tool").rename(at / "moved")
            except OSError:
                # EXDEV: such a driver has its users copy.
                (at / "moved/data").mkdir(parents=True)
                (at / "moved/data/one").write_text("1")
                (at / "moved/two").write_text("2")
                remove(at / "opt/tool")

        assert changed(driver, place, write) == [
            "A /moved", "A /moved/data", "A /moved/data/one", "A /moved/two", "C /opt", "D /opt/tool",
        ]  # fmt: skip

    def test_everything_of_a_first_layer_is_added(self, driver: StorageDriver) -> None:
        """Without a parent there is nothing to compare with."""
        driver.prepare("unpack", None)
        fill_base(driver.unpack_target("unpack").directory)
        found = [f"{change.kind} {change.path}" for change in driver.changes("unpack")]
        assert found == [
            "A /etc", "A /etc/passwd", "A /etc/shadow", "A /link", "A /opt", "A /opt/tool", "A /opt/tool/data",
            "A /opt/tool/data/one", "A /opt/tool/two",
        ]  # fmt: skip

    def test_changes_are_sorted_by_path(self, driver: StorageDriver, place: Path) -> None:
        """Each directory comes right before what is in it, whatever characters names hold, each path once."""

        def write(at: Path) -> None:
            for name in ("b", "b/z", "b/a", "a", "a/b", "a/b/c"):
                (at / name).mkdir()
            for name in ("b-", "b.c", "b/a/1", "a/b-c", "Z", "é"):
                (at / name).touch()

        found = [line[2:].split("/") for line in changed(driver, place, write)]
        assert found == sorted(found)
        assert len(found) == 12

    def test_odd_names_are_shown(self, driver: StorageDriver, place: Path) -> None:
        """A newline, a byte that is no UTF-8, 255 bytes: names are what os.fsdecode makes of them."""
        names = ["with space", "new\nline", os.fsdecode(b"not-\xff-utf8"), "n" * 255, "-dash", "*"]

        def write(at: Path) -> None:
            for name in names:
                (at / name).touch()

        found = changed(driver, place, write)
        assert sorted(found) == sorted(f"A /{name}" for name in names)

    def test_links_are_never_followed(self, driver: StorageDriver, place: Path, tmp_path: Path) -> None:
        """A directory replaced by a link that leads out of the snapshot is one changed path."""
        outside = tmp_path / "outside"
        (outside / "tool/secret").mkdir(parents=True)

        def write(at: Path) -> None:
            remove(at / "opt")
            (at / "opt").symlink_to(outside)
            (at / "etc/up").symlink_to("../../../../..")

        assert changed(driver, place, write) == ["C /etc", "A /etc/up", "C /opt"]

    def test_a_running_container_cannot_lead_out(self, driver: StorageDriver, place: Path, tmp_path: Path) -> None:
        """While root in the container swaps a directory for a link to the host's, nothing of the host's shows."""
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret").touch()
        layer(driver, "base", None, lambda at: (at / "d").mkdir())
        driver.prepare("container", "base")

        def swap(at: Path) -> None:
            (at / "d/e").mkdir()
            (at / "swap").symlink_to(outside)
            while True:
                for one, other in (("d/e", "spare"), ("swap", "d/e"), ("d/e", "swap"), ("spare", "d/e")):
                    (at / one).rename(at / other)

        racer = Child(mounted(driver.mounts("container"), place, swap))
        try:
            for _ in range(150):
                assert not [change.path for change in driver.changes("container") if "secret" in change.path]
        finally:
            racer.discard()

    def test_usage_counts_what_is_the_snapshots_own(self, driver: StorageDriver, place: Path) -> None:
        """A large parent costs its children nothing; a new file counts in bytes on disk and in inodes."""
        layer(driver, "base", None, lambda at: (at / "large").write_bytes(os.urandom(8 << 20)))
        assert driver.usage("base").bytes >= 8 << 20
        driver.prepare("container", "base")
        empty = driver.usage("container")
        assert empty.bytes < 1 << 20
        inside(driver, "container", place, lambda at: _write_files(at, 4))
        used = driver.usage("container")
        assert 4 << 20 <= used.bytes < 6 << 20
        assert used.inodes - empty.inodes >= 4
        driver.prepare("look", "base", read_only=True)
        assert driver.usage("look").bytes < 1 << 20

    def test_usage_counts_links_and_holes_once(self, driver: StorageDriver, place: Path) -> None:
        """Three names of one file take the room of one, and a hole takes none."""
        driver.prepare("container", None)

        def write(at: Path) -> None:
            _write_files(at, 1)
            os.link(at / "file-0", at / "second")
            os.link(at / "file-0", at / "third")
            (at / "sparse").touch()
            os.truncate(at / "sparse", 1 << 30)

        inside(driver, "container", place, write)
        assert 1 << 20 <= driver.usage("container").bytes < 2 << 20


def changed(driver: StorageDriver, place: Path, write: Callable[[Path], object]) -> list[str]:
    """Return the changes, one a line as `docker diff` prints them, after ``write`` in a container over `fill_base`."""
    layer(driver, "base", None, fill_base)
    driver.prepare("container", "base")
    inside(driver, "container", place, write)
    return [f"{change.kind} {change.path}" for change in driver.changes("container")]


def _read_all(at: Path) -> None:
    for file in at.rglob("*"):
        if file.is_file():
            file.read_bytes()


def _write_files(at: Path, count: int) -> None:
    for number in range(count):
        with open(at / f"file-{number}", "wb") as file:
            file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())
