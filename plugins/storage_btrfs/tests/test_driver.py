"""What is particular to the btrfs driver: subvolumes inside of snapshots, lowers, quotas, a root that is not btrfs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.contracts.common import Probe
from engine.contracts.storage import Capability, StorageConfig
from engine.errors import Conflict, InvalidInput, NotFound, Unsupported
from engine.linux import capabilities
from engine.testing.processes import in_child
from engine.testing.storage_files import FilesChecks
from engine.testing.storage_support import StorageChecks, inside, layer, paths
from engine_storage_btrfs import subvolumes
from engine_storage_btrfs.driver import BtrfsDriver
from tests.testbed.btrfs import mounted_btrfs


@pytest.fixture
def driver(base: Path) -> BtrfsDriver:
    return make(base / "root")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "rootfs"
    place.mkdir()
    return place


def make(root: Path, **options: str) -> BtrfsDriver:
    root.mkdir(mode=0o700, exist_ok=True)
    return BtrfsDriver(StorageConfig(root, options))


def create(path: Path) -> None:
    """Make a subvolume, as root in a container can."""
    fd = os.open(path.parent, os.O_RDONLY)
    subvolumes.create(fd, path.name)
    os.close(fd)


def set_read_only(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    subvolumes.set_read_only(fd, True)
    os.close(fd)


def test_mounts_are_binds_of_subvolumes(driver: BtrfsDriver, base: Path) -> None:
    layer(driver, "one", None, lambda _: None)
    driver.prepare("c", "one")
    driver.prepare("look", "one", read_only=True)
    assert driver.mounts("c") == (("bind", f"{base}/root/active/c/fs", (), (), None),)
    assert driver.mounts("look") == (("bind", f"{base}/root/committed/one/fs", (), ("ro",), None),)


def test_a_committed_subvolume_is_read_only(driver: BtrfsDriver, base: Path) -> None:
    """Also for whoever takes the ``ro`` off a view's mount."""
    layer(driver, "one", None, lambda at: (at / "file").touch())
    with pytest.raises(OSError, match="Read-only"):
        (base / "root/committed/one/fs/file").write_text("x")


def test_a_commit_cut_short_before_its_end_is_mended(driver: BtrfsDriver, base: Path) -> None:
    """Killed between the rename and the read-only flag: the next user of the snapshot sets it."""
    layer(driver, "one", None, lambda at: (at / "file").touch())
    committed = base / "root/committed/one/fs"
    fd = os.open(committed, os.O_RDONLY)
    subvolumes.set_read_only(fd, False)
    driver.prepare("c", "one")
    assert subvolumes.is_read_only(fd)
    os.close(fd)


def test_subvolumes_made_by_a_container_are_removed(driver: BtrfsDriver, place: Path, btrfs: Path) -> None:
    """Nested in each other, below directories, read-only: none is left, and none is in the way."""
    before = list_subvolumes(btrfs)
    driver.prepare("c", None)

    def fill(at: Path) -> None:
        create(at / "one")
        (at / "one/directory/deep").mkdir(parents=True)
        create(at / "one/directory/deep/two")
        create(at / "one/directory/deep/two/three")
        (at / "one/directory/deep/two/three/file").touch()
        create(at / "one/directory/four")
        for path in ("one/directory/deep/two/three", "one/directory/deep/two", "one"):
            set_read_only(at / path)

    inside(driver, "c", place, fill)
    assert len(list_subvolumes(btrfs)) == len(before) + 5
    driver.remove("c")
    assert list_subvolumes(btrfs) == before


def test_more_subvolumes_than_descriptors_are_removed(driver: BtrfsDriver, place: Path, btrfs: Path) -> None:
    """A chain of them longer than a path, and many beside each other."""
    before = list_subvolumes(btrfs)
    driver.prepare("c", None)

    def fill(at: Path) -> None:
        fd = os.open(at, os.O_RDONLY)
        for _ in range(60):
            name = "n" * 100
            subvolumes.create(fd, name)
            below = os.open(name, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        for number in range(100):
            subvolumes.create(fd, f"sibling-{number}")
        os.close(fd)

    inside(driver, "c", place, fill)
    driver.remove("c")
    assert list_subvolumes(btrfs) == before


def test_changes_show_what_is_in_subvolumes(driver: BtrfsDriver, place: Path) -> None:
    layer(driver, "one", None, lambda _: None)
    driver.prepare("c", "one")
    inside(driver, "c", place, lambda at: [create(at / "sub"), (at / "sub/file").touch()])
    assert [f"{change.kind} {change.path}" for change in driver.changes("c")] == ["A /sub", "A /sub/file"]


def test_a_snapshot_with_subvolumes_is_not_committed(driver: BtrfsDriver, place: Path) -> None:
    """Containers made of it would miss their files."""
    driver.prepare("c", None)
    inside(driver, "c", place, lambda at: create(at / "data"))
    with pytest.raises(Conflict, match="'data'"):
        driver.commit("c", "name")
    (at,) = [driver.unpack_target("c").directory]
    (at / "data").rmdir()
    driver.commit("c", "name")


def test_a_change_of_one_byte_in_place_is_seen(driver: BtrfsDriver, place: Path) -> None:
    """Written into the middle of a file, times put back: told by the change time, proved by the content."""
    layer(driver, "one", None, lambda at: (at / "file").write_bytes(bytes(1 << 16)))
    driver.prepare("c", "one")

    def poke(at: Path) -> None:
        status = (at / "file").stat()
        with open(at / "file", "r+b") as file:
            file.seek(40000)
            file.write(b"x")
        os.utime(at / "file", ns=(status.st_atime_ns, status.st_mtime_ns))

    inside(driver, "c", place, poke)
    assert [f"{change.kind} {change.path}" for change in driver.changes("c")] == ["C /file"]


def test_touching_nothing_but_the_change_time_is_no_change(driver: BtrfsDriver, place: Path) -> None:
    """A mode set to what it was, a link made and removed again."""
    layer(driver, "one", None, lambda at: [(at / "file").write_text("x"), (at / "d").mkdir()])
    driver.prepare("c", "one")
    inside(driver, "c", place, lambda at: [(at / "file").chmod((at / "file").stat().st_mode), (at / "d").chmod(0o755)])
    assert list(driver.changes("c")) == []


@pytest.mark.parametrize(
    ("lower", "error", "words"),
    [
        ("/nonexistent", NotFound, "no directory"),
        ("BASE/plain", Unsupported, "only a subvolume"),
        ("/", Unsupported, "only a subvolume"),
    ],
)
def test_other_lowers_are_refused(
    driver: BtrfsDriver, base: Path, lower: str, error: type[Exception], words: str
) -> None:
    (base / "plain").mkdir()
    with pytest.raises(error, match=words) as caught:
        driver.prepare("c", None, lower=Path(lower.replace("BASE", str(base))))
    if error is Unsupported:
        assert "--storage overlay" in caught.value.fix  # type: ignore[attr-defined]
    assert list(driver.snapshots()) == []


def test_a_lower_of_another_btrfs_is_refused(driver: BtrfsDriver, tmp_path: Path) -> None:
    with (
        mounted_btrfs(tmp_path / "image", tmp_path / "mounted") as other,
        pytest.raises(Unsupported, match="own file system"),
    ):
        driver.prepare("c", None, lower=other)
    assert list(driver.snapshots()) == []


def test_changes_over_a_lower_are_against_what_it_was(driver: BtrfsDriver, base: Path, place: Path) -> None:
    """The machine's directory may change under a running container: that is no change of the container's."""
    create(base / "lower")
    (base / "lower/file").write_text("then")
    driver.prepare("c", None, lower=base / "lower")
    (base / "lower/file").write_text("now, and longer")
    (base / "lower/later").touch()
    inside(driver, "c", place, lambda at: (at / "mine").touch())
    assert [f"{change.kind} {change.path}" for change in driver.changes("c")] == ["A /mine"]
    assert inside(driver, "c", place, lambda at: (at / "file").read_text()) == "then"
    with pytest.raises(Conflict, match="over "):
        driver.commit("c", "name")


def test_sizes_are_refused_without_quotas(driver: BtrfsDriver) -> None:
    with pytest.raises(Unsupported, match="quota") as caught:
        driver.prepare("c", None, size=1 << 20)
    assert "btrfs quota enable" in caught.value.fix


def test_options_are_refused(base: Path) -> None:
    with pytest.raises(InvalidInput, match="compress"):
        make(base / "root", compress="zstd")


def test_the_probe_says_what_to_do_elsewhere(tmp_path: Path) -> None:
    driver = make(tmp_path / "root")
    probe = driver.probe()
    assert not probe.usable
    assert "not on btrfs" in probe.reason
    assert "mkfs.btrfs" in probe.reason
    assert "--root" in probe.reason
    assert Capability.QUOTA not in driver.capabilities


def test_the_probe_without_privilege_says_so(driver: BtrfsDriver, base: Path) -> None:
    def probe() -> Probe:
        capabilities.set(0, 0, 0)
        return driver.probe()

    probed = in_child(probe)
    assert not probed.usable
    assert "run as root" in probed.reason
    assert paths(base / "root") == set()


class TestWithQuotas(StorageChecks):
    """On a btrfs with quota groups the driver declares `quota`."""

    @pytest.fixture
    def quotas(self, tmp_path: Path) -> Iterator[Path]:
        with mounted_btrfs(tmp_path / "image", tmp_path / "mounted") as place:
            subprocess.run(["btrfs", "quota", "enable", place], check=True)
            yield place

    @pytest.fixture
    def driver(self, quotas: Path) -> BtrfsDriver:
        driver = make(quotas / "root")
        assert Capability.QUOTA in driver.capabilities
        return driver

    test_a_quota_holds = FilesChecks.test_a_quota_holds

    def test_a_first_layer_has_a_quota_as_well(self, driver: BtrfsDriver, place: Path) -> None:
        driver.prepare("c", None, size=4 << 20)

        def write(at: Path) -> None:
            with open(at / "file", "wb") as file:
                for _ in range(16):
                    file.write(os.urandom(1 << 20))
                    os.fsync(file.fileno())

        with pytest.raises(OSError, match="quota exceeded"):
            inside(driver, "c", place, write)
        driver.remove("c")
        assert list(driver.snapshots()) == []


def test_the_plugin_imports_the_driver_late() -> None:
    """Finding out what is installed imports every plugin's module: that must cost next to nothing."""
    code = "import sys, json, engine.hookspecs; before = set(sys.modules); import engine_storage_btrfs.plugin;"
    code += "print(json.dumps(sorted(set(sys.modules) - before)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert json.loads(found) == ["engine_storage_btrfs", "engine_storage_btrfs.plugin"]


def list_subvolumes(mounted: Path) -> list[str]:
    """Return the paths of all subvolumes, deleted ones that still wait for the cleaner left out."""
    listed = subprocess.run(["btrfs", "subvolume", "list", mounted], check=True, capture_output=True, text=True).stdout
    return sorted(line.split(" path ")[1] for line in listed.splitlines())
