"""Archives, directories, users, cgroups and disks that will not do: what is said, and that nothing is left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.tests.images import archives
from tests.e2e.box import Box, Container, refused
from tests.machine.engine_root import EngineRoot

NOBODY = ["setpriv", "--reuid", "4321", "--regid", "4321", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]


def content(box: Box) -> set[str]:
    """Return the files that an engine keeps of images."""
    places = (
        box.root.root / "content",
        *box.root.root.glob("storage/*/committed"),
        *box.root.root.glob("storage/*/partial"),
    )
    return {str(entry) for place in places for entry in place.rglob("*") if entry.is_file() and entry.suffix != ".lock"}


def broken_archives() -> dict[str, bytes]:
    """Return archives, each broken in one place."""
    good = archives.TestImage((archives.tar(archives.member(b"file", b"x" * 5000)),))
    whole = archives.docker_archive((good, ["broken:1"]))
    files = archives.oci_files(good, "broken:1")
    blob = next(name for name in files if name.startswith("blobs/"))
    return {
        "noise": os.urandom(4096),
        "empty": b"",
        "cut short": whole[: len(whole) // 2],
        "a tar of something else": archives.tar(archives.member(b"hello", b"x")),
        "a blob that is not its digest": archives.archive_of({**files, blob: b"other"}),
        "a layer that is missing": whole.replace(b"/layer.tar", b"/laxer.tar", 1),
    }


@pytest.mark.parametrize("kind", broken_archives())
@pytest.mark.parametrize("command", ["load", "import"])
def test_a_broken_archive(command: str, kind: str, box: Box, tmp_path: Path) -> None:
    source = tmp_path / "archive"
    source.write_bytes(broken_archives()[kind])
    before = content(box)
    if command == "load":
        refused(box("load", "-i", source), "sha256:" if kind == "a blob that is not its digest" else str(source))
    elif kind in {"noise", "cut short"}:
        refused(box("import", source, "broken:1"), str(source))
    assert content(box) == before
    assert "broken" not in box.done("images").stdout


def test_a_file_that_is_missing(box: Box, tmp_path: Path) -> None:
    refused(box("load", "-i", tmp_path / "missing"), str(tmp_path / "missing"))
    refused(box("import", tmp_path / "missing", "x:1"), str(tmp_path / "missing"))


@pytest.mark.parametrize("command", ["ps", "images", "run --rm busybox true", "rm x", "info"])
def test_no_permission_for_the_engines_directories(command: str, box: Box, tmp_path: Path) -> None:
    done = subprocess.run(
        [*NOBODY, *box.root.command(*command.split())],
        env={**box.root.environment, "HOME": "/nonexistent", "ENGINE_CACHE": "/nonexistent"},
        capture_output=True, text=True,
    )  # fmt: skip
    refused(done, str(box.root.place))
    assert "root" in done.stderr.splitlines()[1]


def test_no_permission_to_make_containers(busybox_rootfs_tar: Path) -> None:
    """A user with directories of their own is told what root is needed for."""
    root = EngineRoot(f"engine-test-user-{os.urandom(3).hex()}")
    root.make()
    try:
        for directory in (root.place, root.root, root.state):
            os.chown(directory, 4321, 4321)
        environment = {**root.environment, "HOME": str(root.place), "ENGINE_CACHE": str(root.place / "cache")}
        command = [*NOBODY, *root.command("run", "--rm", "host:", "true")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        refused(done, "")
        assert "root" in done.stderr
        assert Box(root).left() == []
    finally:
        root.close()


def test_a_cgroup_that_cannot_be_made(box: Box) -> None:
    """Its parent may have no more below it (cgroups(7), cgroup.max.descendants)."""
    lines = [line.partition(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    top = next((Path(before.split()[4]) for before, _, after in lines if after.startswith("cgroup2 ")), None)
    if top is None:
        pytest.skip("cgroup v2 is not mounted")
    parent = top / box.root.mark
    parent.mkdir()
    try:
        (parent / "cgroup.max.descendants").write_text("0")
        done = box("run", "--rm", "--cgroup-parent", f"/{parent.name}", box.image, "true")
        refused(done, parent.name)
        with box.to_be_removed() as name:
            refused(box("run", "--name", name, "--cgroup-parent", f"/{parent.name}", box.image, "true"), parent.name)
            assert Container(box, name).state["Running"] is False
    finally:
        parent.rmdir()
        for other in Path("/sys/fs/cgroup").glob(f"*/{parent.name}"):
            other.rmdir()


@contextmanager
def small_disk(root: EngineRoot, size: str) -> Iterator[None]:
    """Mount a small file system at an engine's root."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "engine-test", root.root], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", root.root], check=True)


def test_a_full_disk_while_an_image_is_imported(engine_root: EngineRoot, busybox_rootfs_tar: Path) -> None:
    with small_disk(engine_root, "2m"):
        box = Box(engine_root)
        done = box("import", busybox_rootfs_tar, "busybox")
        refused(done, "")
        assert "no room" in done.stderr
        assert done.stderr.splitlines()[1].startswith("  Free ")
        assert content(box) == set()
        assert box.done("images", "--quiet").stdout == ""


def test_a_full_disk_while_a_container_is_made(engine_root: EngineRoot, busybox_rootfs_tar: Path) -> None:
    """And once there is space again, all goes on."""
    with small_disk(engine_root, "16m"):
        box = Box(engine_root)
        box.done("import", busybox_rootfs_tar, "busybox")
        box.run(script="true")
        filler = engine_root.root / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], capture_output=True)
        done = box("run", "--rm", box.image, "true")
        refused(done, "")
        assert done.stderr.splitlines()[1].startswith("  Free ")
        filler.unlink()
        box.run(script="true")
        assert box.left() == []


def test_a_disk_that_becomes_full_at_each_moment_of_a_run(engine_root: EngineRoot, busybox_rootfs_tar: Path) -> None:
    """Either it runs, or it says why not and nothing runs; and with space again it can be removed."""
    with small_disk(engine_root, "16m"):
        box = Box(engine_root)
        box.done("import", busybox_rootfs_tar, "busybox")
        box.run(script="true")
        filler, seen = engine_root.root / "filler", set()
        for pages in range(0, 30, 3):
            subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], capture_output=True)
            os.truncate(filler, filler.stat().st_size // 4096 * 4096 - pages * 4096)
            with box.to_be_removed() as name:
                done = box("run", "-d", "--name", name, box.image, "sleep", "600")
                seen.add(done.returncode)
                if done.returncode:
                    assert len(done.stderr.splitlines()) == 2, done.stderr
                    assert done.stderr.splitlines()[1].startswith("  Free "), done.stderr
                assert len(box.done("ps", "--quiet").stdout.splitlines()) == (0 if done.returncode else 1)
                filler.unlink()
            assert box.left() == []
        assert seen == {0, 125}


def test_a_full_disk_while_a_container_writes(
    engine_root: EngineRoot, busybox_rootfs_tar: Path, tmp_path: Path
) -> None:
    """What it writes fails inside, its log is cut, and it ends and is removed as always."""
    with small_disk(engine_root, "16m"):
        box = Box(engine_root)
        box.done("import", busybox_rootfs_tar, "busybox")
        script = "until test -e /go/now; do sleep 0.02; done; cat /dev/zero >/fill 2>/errors; seq 100000; exit 11"
        with box.container("-v", f"{tmp_path}:/go", script=script) as container:
            (tmp_path / "now").touch()
            assert container.wait() == 11
            assert container.state["ExitCode"] == 11
            box.done("logs", container.name)
        assert box.left() == []
