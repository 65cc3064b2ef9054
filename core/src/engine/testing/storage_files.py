"""The storage suite's checks of files, seen through real mounts: layers, copy-up, deletions, attributes, views."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from engine.contracts.storage import Capability, StorageDriver
from engine.errors import NotFound
from engine.testing.storage_support import (
    StorageChecks,
    delete,
    inside,
    layer,
    make_implied,
    make_opaque,
    nothing_left,
    paths,
    refused,
    remove,
)

CAPABILITY_XATTR = "security.capability"
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
"""VFS_CAP_REVISION_2 with the effective bit, CAP_NET_BIND_SERVICE permitted (linux/capability.h)."""
CHAIN = 130
"""Layers: more than overlay's options take in one page, and than Docker allows."""


def fill_base(at: Path) -> None:
    """Unpack what the checks below expect to find in the parent."""
    (at / "etc").mkdir()
    (at / "etc/passwd").write_text("root:x:0:0\n")
    (at / "etc/shadow").write_text("secret\n")
    (at / "opt/tool/data").mkdir(parents=True)
    (at / "opt").chmod(0o750)
    (at / "opt/tool/data/one").write_text("1")
    (at / "opt/tool/two").write_text("2")
    (at / "link").symlink_to("etc/passwd")


class FilesChecks(StorageChecks):
    """What a container sees of its snapshot, and what nobody else sees of it."""

    def test_an_empty_snapshot_is_an_empty_directory(self, driver: StorageDriver, place: Path) -> None:
        """Without a parent there is nothing, and it can be written."""
        driver.prepare("key", None)
        assert inside(driver, "key", place, lambda at: [list(at.iterdir()), (at / "new").write_text("x")]) == [[], 1]

    def test_writes_are_there_at_the_next_mount(self, driver: StorageDriver, place: Path) -> None:
        """A container that is started again finds what it wrote, what it deleted and what it replaced."""
        layer(driver, "base", None, fill_base)
        driver.prepare("container", "base")

        def write(at: Path) -> None:
            (at / "new").write_text("new")
            (at / "etc/passwd").write_text("changed")
            (at / "etc/shadow").unlink()
            remove(at / "opt")
            (at / "opt").mkdir()
            (at / "opt/fresh").write_text("fresh")
            remove(at / "link")
            (at / "link").mkdir()

        inside(driver, "container", place, write)
        assert inside(driver, "container", place, paths) == {
            "new", "etc", "etc/passwd", "opt", "opt/fresh", "link",
        }  # fmt: skip
        assert inside(driver, "container", place, lambda at: (at / "etc/passwd").read_text()) == "changed"

    def test_writes_stay_in_their_snapshot(self, driver: StorageDriver, place: Path) -> None:
        """Whatever a container does, neither its parent nor another container of the same image changes."""
        layer(driver, "base", None, fill_base)
        driver.prepare("sibling", "base")
        driver.prepare("container", "base")
        before = inside(driver, "sibling", place, _contents)

        def write(at: Path) -> None:
            (at / "etc/passwd").write_text("changed")
            os.chmod(at / "etc", 0o700)
            os.truncate(at / "opt/tool/two", 0)
            with open(at / "etc/shadow", "a") as file:
                file.write("more")
            os.link(at / "opt/tool/two", at / "another")
            remove(at / "opt/tool/data")
            (at / "new").write_text("new")

        inside(driver, "container", place, write)
        driver.prepare("look", "base", read_only=True)
        assert inside(driver, "sibling", place, _contents) == before
        assert inside(driver, "look", place, _contents) == before

    def test_layers_show_the_topmost_file(self, driver: StorageDriver, place: Path) -> None:
        """A file in several layers is the nearest parent's; what only one has shows through."""
        layer(driver, "one", None, lambda at: [(at / name).write_text("one") for name in ("a", "b", "c")])
        layer(driver, "two", "one", lambda at: [(at / name).write_text("two") for name in ("b", "c", "d")])
        driver.prepare("container", "two")
        inside(driver, "container", place, lambda at: (at / "c").write_text("mine"))
        seen = inside(driver, "container", place, lambda at: {name: (at / name).read_text() for name in "abcd"})
        assert seen == {"a": "one", "b": "two", "c": "mine", "d": "two"}

    def test_a_deleted_file_is_gone(self, driver: StorageDriver, place: Path) -> None:
        """A whiteout in an unpacked layer hides the parent's file or directory, and nothing else."""
        layer(driver, "base", None, fill_base)
        driver.prepare("unpack", "base")
        delete(driver, "unpack", "etc/shadow")
        delete(driver, "unpack", "opt/tool/data")
        driver.commit("unpack", "top")
        driver.prepare("look", "top", read_only=True)
        assert inside(driver, "look", place, paths) == {
            "etc", "etc/passwd", "opt", "opt/tool", "opt/tool/two", "link",
        }  # fmt: skip

    def test_an_opaque_directory_hides_what_was_in_it(self, driver: StorageDriver, place: Path) -> None:
        """An opaque directory in an unpacked layer shows that layer's entries alone."""
        layer(driver, "base", None, fill_base)
        driver.prepare("unpack", "base")
        make_opaque(driver, "unpack", "opt/tool")
        (driver.unpack_target("unpack").directory / "opt/tool/three").write_text("3")
        driver.commit("unpack", "top")
        driver.prepare("container", "top")
        shown = inside(driver, "container", place, paths)
        assert {path for path in shown if path.startswith("opt")} == {"opt", "opt/tool", "opt/tool/three"}

    def test_a_directory_replaces_a_file_and_back(self, driver: StorageDriver, place: Path) -> None:
        """A layer may turn a file into a directory and a directory into a file."""
        layer(driver, "base", None, fill_base)
        driver.prepare("container", "base")

        def write(at: Path) -> None:
            remove(at / "opt")
            (at / "opt").write_text("a file")
            (at / "etc/passwd").unlink()
            (at / "etc/passwd").mkdir()

        inside(driver, "container", place, write)
        driver.commit("container", "top")
        driver.prepare("look", "top", read_only=True)
        assert inside(driver, "look", place, lambda at: (at / "opt").read_text()) == "a file"
        assert inside(driver, "look", place, lambda at: list((at / "etc/passwd").iterdir())) == []

    def test_attributes_survive(self, driver: StorageDriver, place: Path) -> None:
        """Owner, mode with setuid, times, extended attributes, file capabilities: in the layer and after a copy-up."""

        def fill(at: Path) -> None:
            file = at / "file"
            file.write_text("content")
            os.chown(file, 1234, 2345)
            file.chmod(0o4751)
            os.setxattr(file, "user.note", b"kept")
            os.setxattr(file, CAPABILITY_XATTR, CAPABILITY)
            (at / "directory").mkdir()
            (at / "directory").chmod(0o3770)
            os.chown(at / "directory", 77, 88)
            os.utime(file, ns=(1_000_000_000_123_456_789, 1_100_000_000_987_654_321))

        def look(at: Path) -> tuple[object, ...]:
            file, directory = (at / "file").stat(), (at / "directory").stat()
            xattrs = [os.getxattr(at / "file", name) for name in ("user.note", CAPABILITY_XATTR)]
            of_file = (file.st_uid, file.st_gid, stat.S_IMODE(file.st_mode), file.st_mtime_ns, xattrs)
            return (*of_file, directory.st_uid, directory.st_gid, stat.S_IMODE(directory.st_mode))

        layer(driver, "base", None, fill)
        driver.prepare("container", "base")
        expected = (
            1234, 2345, 0o4751, 1_100_000_000_987_654_321, [b"kept", CAPABILITY], 77, 88, 0o3770,
        )  # fmt: skip
        assert inside(driver, "container", place, look) == expected
        # A change of one attribute copies the file up with all the others.
        inside(driver, "container", place, lambda at: os.setxattr(at / "file", "user.more", b"x"))
        assert inside(driver, "container", place, look) == expected

    def test_special_files_survive(self, driver: StorageDriver, place: Path) -> None:
        """Links, fifos, device nodes and files with holes are what they were."""

        def fill(at: Path) -> None:
            (at / "file").write_text("x")
            os.link(at / "file", at / "hard")
            (at / "dangling").symlink_to("/nowhere")
            os.mkfifo(at / "fifo", 0o640)
            os.mknod(at / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            (at / "sparse").touch()
            os.truncate(at / "sparse", 1 << 30)

        def look(at: Path) -> dict[str, object]:
            return {
                "hard": ((at / "hard").stat().st_nlink, (at / "hard").samefile(at / "file")),
                "dangling": os.readlink(at / "dangling"),
                "fifo": oct((at / "fifo").stat().st_mode),
                "null": ((at / "null").stat().st_rdev, stat.S_ISCHR((at / "null").stat().st_mode)),
                "sparse": ((at / "sparse").stat().st_size, (at / "sparse").stat().st_blocks < 1 << 12),
            }

        layer(driver, "base", None, fill)
        driver.prepare("container", "base")
        assert inside(driver, "container", place, look) == {
            "hard": (2, True),
            "dangling": "/nowhere",
            "fifo": "0o10640",
            "null": (os.makedev(1, 3), True),
            "sparse": (1 << 30, True),
        }

    def test_the_root_directory_keeps_its_attributes(self, driver: StorageDriver, place: Path) -> None:
        """Owner and mode of a layer's root are the container's ``/``, also through layers that do not set them."""

        def fill(at: Path) -> None:
            at.chmod(0o1771)
            os.chown(at, 12, 34)

        def look(at: Path) -> tuple[int, int, int]:
            status = at.stat()
            return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid

        driver.prepare("fresh", None)
        assert inside(driver, "fresh", place, look) == (0o755, 0, 0)
        layer(driver, "base", None, fill)
        layer(driver, "top", "base", lambda at: (at / "file").touch())
        driver.prepare("container", "top")
        driver.prepare("look", "top", read_only=True)
        assert inside(driver, "container", place, look) == (0o1771, 12, 34)
        assert inside(driver, "look", place, look) == (0o1771, 12, 34)

    def test_an_implied_directory_looks_like_the_parents(self, driver: StorageDriver, place: Path) -> None:
        """A directory that a layer's archive has no entry for keeps owner and mode, and no mark of it is left."""

        def fill(at: Path) -> None:
            (at / "tmp/inner").mkdir(parents=True)
            (at / "tmp").chmod(0o1777)
            os.chown(at / "tmp/inner", 12, 34)

        layer(driver, "base", None, fill)
        driver.prepare("unpack", "base")
        make_implied(driver, "unpack", "tmp")
        (make_implied(driver, "unpack", "tmp/inner") / "file").touch()
        make_implied(driver, "unpack", "new")
        driver.commit("unpack", "top")
        driver.prepare("container", "top")

        def look(at: Path) -> list[tuple[int, int, list[str]]]:
            found = [at / "tmp", at / "tmp/inner", at / "new"]
            return [(stat.S_IMODE(one.stat().st_mode), one.stat().st_uid, os.listxattr(one)) for one in found]

        assert inside(driver, "container", place, look) == [(0o1777, 0, []), (0o755, 12, []), (0o755, 0, [])]

    def test_a_view_is_read_only(self, driver: StorageDriver, place: Path) -> None:
        """A view shows its parent, and the kernel refuses every write."""
        layer(driver, "base", None, fill_base)
        driver.prepare("look", "base", read_only=True)
        assert inside(driver, "look", place, lambda at: (at / "etc/shadow").read_text()) == "secret\n"
        for write in (
            lambda at: (at / "new").touch(),
            lambda at: (at / "etc/passwd").write_text("x"),
            lambda at: (at / "etc/shadow").unlink(),
            lambda at: (at / "etc").chmod(0o700),
        ):
            with pytest.raises(OSError) as caught:  # noqa: PT011  # the errno is looked at below
                inside(driver, "look", place, write)
            assert caught.value.errno == errno.EROFS

    def test_a_view_of_nothing_is_empty(self, driver: StorageDriver, place: Path) -> None:
        """A view without a parent is an empty directory that cannot be written."""
        driver.prepare("look", None, read_only=True)
        assert inside(driver, "look", place, paths) == set()
        with pytest.raises(OSError, match="Read-only"):
            inside(driver, "look", place, lambda at: (at / "new").touch())

    def test_a_long_chain_works(self, driver: StorageDriver, place: Path) -> None:
        """Images may have more layers than a page holds mount options."""
        parent = None
        for number in range(CHAIN):
            name = f"layer-{number}"

            def fill(at: Path, number: int = number) -> None:
                (at / f"file-{number}").touch()
                (at / "same").write_text(str(number))

            layer(driver, name, parent, fill)
            parent = name
        driver.prepare("container", parent)
        inside(driver, "container", place, lambda at: (at / "file-0").unlink())
        assert inside(driver, "container", place, lambda at: (at / "same").read_text()) == str(CHAIN - 1)
        assert inside(driver, "container", place, paths) == {f"file-{number}" for number in range(1, CHAIN)} | {"same"}

    def test_layers_are_unpacked_in_any_order(self, driver: StorageDriver, place: Path) -> None:
        """Prepared without a parent, committed with one: the layer lies over it as if it had been unpacked there."""
        if Capability.PARALLEL_UNPACK not in driver.capabilities:
            pytest.skip("the driver does not declare parallel-unpack")
        driver.prepare("unpack-top", None)
        driver.prepare("unpack-base", None)
        delete(driver, "unpack-top", "etc/shadow")
        make_implied(driver, "unpack-top", "opt")
        make_opaque(driver, "unpack-top", "opt/tool")
        (driver.unpack_target("unpack-top").directory / "new").write_text("new")
        fill_base(driver.unpack_target("unpack-base").directory)
        with refused(NotFound, "base"):
            driver.commit("unpack-top", "top", parent="base")
        driver.commit("unpack-base", "base")
        driver.commit("unpack-top", "top", parent="base")
        assert {info.name: info.parent for info in driver.snapshots()} == {"base": None, "top": "base"}
        driver.prepare("container", "top")
        assert inside(driver, "container", place, paths) == {
            "etc", "etc/passwd", "link", "new", "opt", "opt/tool",
        }  # fmt: skip
        assert inside(driver, "container", place, lambda at: stat.S_IMODE((at / "opt").stat().st_mode)) == 0o750

    def test_a_directory_of_the_machine_is_a_lower(self, driver: StorageDriver, place: Path, lower: Path) -> None:
        """It shows through, nothing written reaches it, a view of it is read-only, and it outlives the snapshot."""
        if Capability.HOST_LOWER not in driver.capabilities:
            pytest.skip("the driver does not declare host-lower")
        fill_base(lower)
        before = _contents(lower)
        with refused(NotFound, "absent"):
            driver.prepare("container", None, lower=lower / "absent")
        driver.prepare("container", None, lower=lower)
        driver.prepare("look", None, lower=lower, read_only=True)
        assert inside(driver, "container", place, _contents) == before

        def write(at: Path) -> None:
            (at / "etc/passwd").write_text("changed")
            remove(at / "opt")
            (at / "new").touch()

        inside(driver, "container", place, write)
        assert inside(driver, "container", place, paths) == {"etc", "etc/passwd", "etc/shadow", "link", "new"}
        changed = {f"{change.kind} {change.path}" for change in driver.changes("container")}
        assert changed == {"C /etc", "C /etc/passwd", "A /new", "D /opt"}
        with pytest.raises(OSError, match="Read-only"):
            inside(driver, "look", place, write)
        with nothing_left(lower):
            driver.remove("look")
            driver.remove("container")
        assert _contents(lower) == before

    @pytest.fixture
    def lower(self, tmp_path: Path) -> Path:
        """Make the directory for host-lower; a driver that takes only some kinds overrides this."""
        lower = tmp_path / "lower"
        lower.mkdir()
        return lower

    def test_a_quota_holds(self, driver: StorageDriver, place: Path) -> None:
        """The writable layer takes what it may and no more; the parent's files do not count."""
        if Capability.QUOTA not in driver.capabilities:
            pytest.skip("the driver does not declare quota")
        layer(driver, "base", None, lambda at: (at / "large").write_bytes(os.urandom(16 << 20)))
        driver.prepare("container", "base", size=8 << 20)
        inside(driver, "container", place, lambda at: _write(at / "fits", 2 << 20))
        with pytest.raises(OSError) as caught:  # noqa: PT011  # the errno is looked at below
            inside(driver, "container", place, lambda at: _write(at / "bursts", 16 << 20))
        assert caught.value.errno in {errno.EDQUOT, errno.ENOSPC}


def _contents(at: Path) -> dict[str, tuple[int, str]]:
    """Return mode and content (or target) of everything below a directory."""
    found: dict[str, tuple[int, str]] = {}
    for path in sorted(paths(at)):
        status = (at / path).lstat()
        content = ""
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(at / path)
        elif stat.S_ISREG(status.st_mode):
            content = (at / path).read_text()
        found[path] = status.st_mode, content
    return found


def _write(file: Path, size: int) -> None:
    with open(file, "wb") as opened:
        for _ in range(size >> 20):
            opened.write(os.urandom(1 << 20))
        opened.flush()
        os.fsync(opened.fileno())
