"""What is particular to the overlay driver: its mount values, its options, what it leaves in layers."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.contracts.common import Probe
from engine.contracts.storage import Capability, StorageConfig
from engine.errors import Conflict, EngineError, InvalidInput, NotFound
from engine.linux import capabilities, mounts
from engine.testing.processes import in_private_mounts
from engine.testing.storage_support import inside, layer, nothing_mounted, paths
from engine_storage_overlay.driver import OverlayDriver
from engine_storage_overlay.options import OverlayOptions
from engine_storage_overlay.probe import try_apart

FS_IOC_SETFLAGS, FS_IMMUTABLE_FL = 0x40086602, 0x10


def make(root: Path, **options: str) -> OverlayDriver:
    root.mkdir(mode=0o700, exist_ok=True)
    return OverlayDriver(StorageConfig(root, options))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "rootfs"
    place.mkdir()
    return place


def test_mounts_say_what_is_mounted_in_order(root: Path) -> None:
    driver = make(root)
    layer(driver, "one", None, lambda _: None)
    layer(driver, "two", "one", lambda _: None)
    driver.prepare("c", "two")
    (mount,) = driver.mounts("c")
    assert (mount.fstype, mount.source, mount.attributes) == ("overlay", "overlay", ())
    assert mount.options == (
        ("lowerdir+", f"{root}/committed/two/fs"),
        ("lowerdir+", f"{root}/committed/one/fs"),
        ("upperdir", f"{root}/active/c/fs"),
        ("workdir", f"{root}/active/c/work"),
        ("index", "off"),
        ("redirect_dir", "nofollow"),
        ("metacopy", "off"),
    )


def test_a_view_has_no_upper(root: Path) -> None:
    driver = make(root, volatile="true")
    layer(driver, "one", None, lambda _: None)
    driver.prepare("look", "one", read_only=True)
    (mount,) = driver.mounts("look")
    assert mount.attributes == ("ro",)
    assert [value for key, value in mount.options if key == "lowerdir+"] == [
        f"{root}/committed/one/fs",
        f"{root}/empty-2",
    ]
    assert not {"upperdir", "workdir", "volatile"} & dict(mount.options).keys()


def test_layers_keep_what_they_need_when_options_change(root: Path, place: Path) -> None:
    """A directory renamed with redirect_dir stays where it was moved, whoever mounts it later with whatever options."""
    moving = make(root, metacopy="true")
    layer(moving, "base", None, lambda at: (at / "old/deep").mkdir(parents=True))
    moving.prepare("mover", "base")
    inside(moving, "mover", place, lambda at: (at / "old").rename(at / "new"))
    moving.commit("mover", "moved")
    plain = make(root)
    plain.prepare("c", "moved")
    assert dict(plain.mounts("c")[0].options)["metacopy"] == "on"
    assert inside(plain, "c", place, paths) == {"new", "new/deep"}
    layer(plain, "top", "moved", lambda at: (at / "file").touch())
    plain.prepare("look", "top", read_only=True)
    assert dict(plain.mounts("look")[0].options)["redirect_dir"] == "follow"
    assert inside(plain, "look", place, paths) == {"file", "new", "new/deep"}


def test_redirects_are_not_followed_unless_asked_for(root: Path, place: Path) -> None:
    """A hostile layer with the mark of a moved directory reaches nothing through it."""

    def fill(at: Path) -> None:
        (at / "open").mkdir()
        os.setxattr(at / "open", "trusted.overlay.redirect", b"/secret")

    driver = make(root)
    layer(driver, "base", None, lambda at: (at / "secret/key").mkdir(parents=True))
    layer(driver, "hostile", "base", fill)
    driver.prepare("c", "hostile")
    with pytest.raises(PermissionError):
        inside(driver, "c", place, lambda at: list((at / "open").iterdir()))


def test_moved_directories_show_in_changes_of_later_layers(root: Path, place: Path) -> None:
    """Redirects of a layer below lead to what a path was before."""
    driver = make(root, redirect_dir="true")
    layer(driver, "base", None, lambda at: [(at / "a/b").mkdir(parents=True), (at / "a/b/file").touch()])
    driver.prepare("mover", "base")
    inside(driver, "mover", place, lambda at: [(at / "a/b").rename(at / "a/c"), (at / "a").rename(at / "z")])
    driver.commit("mover", "moved")
    driver.prepare("c", "moved")
    inside(driver, "c", place, lambda at: [(at / "z/c/file").write_text("x"), (at / "z/c/new").touch()])
    found = [f"{change.kind} {change.path}" for change in driver.changes("c")]
    assert found == ["C /z", "C /z/c", "C /z/c/file", "A /z/c/new"]


def test_the_machines_own_root_is_a_lower(root: Path, place: Path) -> None:
    """``/`` below, the driver's directory on it; other mounts (/proc) are not followed, neither here nor in changes."""
    driver = make(root)
    driver.prepare("host", None, lower=Path("/"))
    assert inside(driver, "host", place, lambda at: list((at / "proc").iterdir())) == []

    def write(at: Path) -> None:
        (at / "etc/passwd").unlink()
        (at / "proc/self").touch()
        (at / "new").touch()

    inside(driver, "host", place, write)
    found = [f"{change.kind} {change.path}" for change in driver.changes("host")]
    assert found == ["C /etc", "D /etc/passwd", "A /new", "C /proc", "A /proc/self"]


@pytest.mark.parametrize(
    ("lower", "error"),
    [("/nonexistent", NotFound), ("relative", NotFound), ("/etc/passwd", NotFound), ("ROOT/inside", InvalidInput)],
)
def test_a_lower_that_makes_no_sense_is_refused(root: Path, lower: str, error: type[Exception]) -> None:
    driver = make(root)
    (root / "inside").mkdir()
    with pytest.raises(error):
        driver.prepare("c", None, lower=Path(lower.replace("ROOT", str(root))))
    assert list(driver.snapshots()) == []


def test_a_host_snapshot_is_not_committed(root: Path) -> None:
    """What it lies on is no layer, and changes under it."""
    driver = make(root)
    driver.prepare("host", None, lower=Path("/"))
    with pytest.raises(Conflict, match="over /"):
        driver.commit("host", "name")
    assert [info.name for info in driver.snapshots()] == ["host"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"colour": "red"}, "colour"),
        ({"volatile": "perhaps"}, "volatile=perhaps"),
        ({"userxattr": "true", "metacopy": "true"}, "contradict"),
    ],
)
def test_bad_options_are_refused(root: Path, options: dict[str, str], word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        make(root, **options)


def test_layers_of_another_xattr_name_space_are_refused(root: Path) -> None:
    """Their whiteouts would be read as files: said, instead of shown."""
    layer(make(root), "base", None, lambda _: None)
    with pytest.raises(Conflict, match="userxattr"):
        make(root, userxattr="true").prepare("c", "base")


def test_a_volatile_snapshot_is_mounted_once(root: Path, place: Path) -> None:
    """The kernel refuses a second time, as it cannot know whether the first was lost in a crash."""
    driver = make(root, volatile="true")
    driver.prepare("c", None)
    inside(driver, "c", place, lambda at: (at / "file").touch())
    with pytest.raises(OSError, match="overlay"):
        inside(driver, "c", place, paths)


def test_what_a_container_makes_undeletable_is_deleted(root: Path) -> None:
    """Immutable files, and directories nested deeper than a path or a table of descriptors reaches."""
    driver = make(root)
    driver.prepare("c", None)
    target = driver.unpack_target("c").directory
    (target / "locked").mkdir()
    (target / "locked/file").touch()
    for path in ("locked/file", "locked"):
        fd = os.open(target / path, os.O_RDONLY)
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL.to_bytes(4, sys.byteorder))
        os.close(fd)
    fd = os.open(target, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir("deeper", dir_fd=fd)
        below = os.open("deeper", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    changed = list(driver.changes("c"))
    assert len(changed) > 500
    driver.remove("c")
    assert list(driver.snapshots()) == []
    assert list((root / "partial").iterdir()) == []


def test_a_broken_record_is_told_and_cleared(root: Path) -> None:
    """After a power cut a record may be empty: that snapshot is broken, the others are not."""
    driver = make(root)
    driver.prepare("good", None)
    driver.prepare("bad", None)
    (root / "active/bad/snapshot.json").write_text("")
    with pytest.raises(Exception, match="broken") as caught:
        driver.mounts("bad")
    assert "remove it" in caught.value.fix  # type: ignore[attr-defined]
    assert {info.name for info in driver.snapshots()} == {"good", "bad"}
    driver.remove("bad")
    assert {info.name for info in driver.snapshots()} == {"good"}


@pytest.mark.parametrize("name", ["with space", "comma,colon:back\\slash", "é-\udcff", "x" * 200])
def test_any_root_directory_will_do(tmp_path: Path, place: Path, name: str) -> None:
    """Nothing of the kernel's option syntax gets in the way, nor its limit of 255 bytes a value."""
    driver = make(tmp_path / name)
    layer(driver, "base", None, lambda at: (at / "file").touch())
    driver.prepare("c", "base")
    assert inside(driver, "c", place, paths) == {"file"}
    assert driver.probe().usable


def test_a_full_disk_is_an_error_with_advice(tmp_path: Path) -> None:
    """The real thing, beside the injected errors of the contract suite: a tmpfs that runs out of inodes."""

    def fill() -> tuple[int, str]:
        mount = mounts.new_mount("tmpfs", {"nr_inodes": "64"})
        mounts.attach(mount, mounts.AT_FDCWD, str(tmp_path))
        driver = OverlayDriver(StorageConfig(tmp_path, {}))
        with pytest.raises(EngineError, match="No space left") as caught:
            prepare_many(driver)
        assert list((tmp_path / "partial").iterdir()) == []
        made = len(list(driver.snapshots()))
        driver.remove("c-0")
        driver.prepare("another", None)
        return made, caught.value.fix

    made, fix = in_private_mounts(fill)
    assert made > 5
    assert "Free space" in fix


def prepare_many(driver: OverlayDriver) -> None:
    for number in range(64):
        driver.prepare(f"c-{number}", None)


def test_the_probe_says_why_not(tmp_path: Path) -> None:
    def mount_and_probe(fstype: str, options: dict[str, str | None], attributes: int = 0) -> str:
        def run() -> str:
            place = tmp_path / fstype
            place.mkdir(exist_ok=True)
            mount = mounts.new_mount(fstype, options, attributes)
            mounts.attach(mount, mounts.AT_FDCWD, str(place))
            probe = OverlayDriver(StorageConfig(place, {})).probe()
            assert not probe.usable
            return probe.reason

        return in_private_mounts(run)

    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    where = {"lowerdir": f"{tmp_path}/lower", "upperdir": f"{tmp_path}/upper", "workdir": f"{tmp_path}/work"}
    assert "lies on an overlay" in mount_and_probe("overlay", dict(where))
    assert "read-only" in mount_and_probe("tmpfs", {}, mounts.MOUNT_ATTR_RDONLY)


def test_the_probe_for_older_kernels_works_apart(tmp_path: Path) -> None:
    """It tries the same in a child, brings back what the kernel said, and leaves no mount."""
    (tmp_path / "good").mkdir()
    with nothing_mounted():
        try_apart(tmp_path / "good", OverlayOptions())
        (tmp_path / "bad").touch()
        with pytest.raises(NotADirectoryError):
            try_apart(tmp_path / "bad", OverlayOptions())


def test_the_probe_without_privilege_says_so(root: Path) -> None:
    driver = make(root)

    def probe() -> Probe:
        capabilities.set(0, 0, 0)
        return driver.probe()

    probed = in_private_mounts(probe)
    assert not probed.usable
    assert "run as root" in probed.reason
    assert list((root / "partial").iterdir()) == []


def test_parallel_unpack_takes_on_the_root_below(root: Path, place: Path) -> None:
    """A layer whose archive says nothing of ``/`` gets the attributes of the layer that it is put upon."""
    driver = make(root)
    assert Capability.PARALLEL_UNPACK in driver.capabilities
    driver.prepare("unpack", None)
    layer(driver, "base", None, lambda at: at.chmod(0o1777))
    driver.commit("unpack", "top", parent="base")
    driver.prepare("c", "top")
    assert inside(driver, "c", place, lambda at: oct(at.stat().st_mode & 0o7777)) == "0o1777"


def test_a_container_layer_is_made_and_removed_in_a_millisecond(tmp_path: Path) -> None:
    """The best of many, on tmpfs: neither other work on the machine nor a busy journal is the driver's own."""

    def measure() -> float:
        mounts.attach(mounts.new_mount("tmpfs"), mounts.AT_FDCWD, str(tmp_path))
        driver = OverlayDriver(StorageConfig(tmp_path, {}))
        layer(driver, "base", None, lambda _: None)
        return min(timed(driver) for _ in range(300))

    best = in_private_mounts(measure)
    assert best < 0.001, f"{best * 1000:.2f} ms"


def timed(driver: OverlayDriver) -> float:
    start = time.perf_counter()
    driver.prepare("c", "base")
    driver.remove("c")
    return time.perf_counter() - start


def test_the_plugin_imports_the_driver_late() -> None:
    """Finding out what is installed imports every plugin's module: that must cost next to nothing."""
    code = "import sys, json, engine.hookspecs; before = set(sys.modules); import engine_storage_overlay.plugin;"
    code += "print(json.dumps(sorted(set(sys.modules) - before)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert json.loads(found) == ["engine_storage_overlay", "engine_storage_overlay.plugin"]
