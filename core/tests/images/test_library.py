"""Images loaded, named, unpacked, removed, with a real store and the overlay driver."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.tests.images.archives import (
    TestImage,
    archive_of,
    described,
    directory,
    docker_archive,
    layout,
    member,
    oci_files,
    sha256,
    tar,
    write_files,
)
from core.tests.images.unpacking import tree
from engine.contracts.storage import SnapshotKind
from engine.errors import Conflict, EngineError, ImageError, InvalidInput, NotFound
from engine.images.library import Library
from engine.linux.processes import identity
from engine.locks import locked
from engine.metadata import containers
from engine.metadata.containers import Record
from engine.metadata.store import Store
from engine.spec.descriptor import Platform
from engine_storage_overlay.driver import OverlayDriver
from engine_transport_archive.driver import ArchiveTransport

AMD64 = Platform("linux", "amd64")
BASE = tar(directory(b"bin"), member(b"bin/true", b"#!", mode=0o755))
ONE = TestImage((BASE, tar(member(b"one", b"1"))))
TWO = TestImage((BASE, tar(member(b"two", b"2"))), ("/bin/two",))


def load(library: Library, transports: list[ArchiveTransport], place: Path, data: bytes) -> list[str]:
    archive = place / "archive.tar"
    archive.write_bytes(data)
    return [loaded.image.id for loaded in library.load(str(archive), transports, platform=AMD64)]


def snapshots(driver: OverlayDriver) -> dict[str, SnapshotKind]:
    return {one.name: one.kind for one in driver.snapshots()}


def test_one_archive_of_two_images_shares_their_layer(
    library: Library, transports: list[ArchiveTransport], tmp_path: Path
) -> None:
    data = docker_archive((ONE, ["one:1", "example.org/one"]), (TWO, []))
    assert load(library, transports, tmp_path, data) == [ONE.id, TWO.id]
    assert {image.id: image.names for image in library.list()} == {
        ONE.id: ("one:1", "example.org/one:latest")[::-1], TWO.id: (),
    }  # fmt: skip
    assert sum(1 for blob in library.content.blobs() if blob.digest == sha256(BASE)) == 1
    assert library.resolve("one:1").config.config.cmd == ("/bin/true",)
    inspected = library.inspect("one:1")
    assert inspected["RootFS"]["Layers"] == [sha256(layer) for layer in ONE.layers]
    assert inspected["Config"]["Env"] == ["PATH=/bin"]
    assert inspected["Created"] == "2024-01-02T03:04:05Z"


@pytest.mark.parametrize("how", ["directory", "archive", "gzip", "pipe"])
@pytest.mark.parametrize("compress", [True, False])
def test_oci_layouts_come_from_everywhere(
    library: Library,
    transports: list[ArchiveTransport],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    compress: bool,
) -> None:
    files = oci_files(ONE, "docker.io/library/one:1", compress=compress)
    source = tmp_path / "source"
    if how == "directory":
        write_files(source, files)
    else:
        source.write_bytes(gzip.compress(archive_of(files)) if how == "gzip" else archive_of(files))
    name = str(source)
    if how == "pipe":
        name = "-"
        child = subprocess.Popen(["cat", source], stdout=subprocess.PIPE)
        assert child.stdout is not None
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(child.stdout))
    (loaded,) = library.load(name, transports, platform=AMD64)
    if how == "pipe":
        assert child.wait() == 0
        sys.stdin.close()
    assert loaded.image.names == ("one:1",)
    assert loaded.image.id == ONE.id


def test_layers_are_unpacked_once_for_a_driver(
    library: Library, transports: list[ArchiveTransport], overlay: OverlayDriver, tmp_path: Path
) -> None:
    load(library, transports, tmp_path, docker_archive((ONE, ["one"]), (TWO, ["two"])))
    top = library.ensure_unpacked(library.resolve("one"), overlay, "overlay")
    first = snapshots(overlay)
    assert set(first.values()) == {SnapshotKind.COMMITTED}
    assert top in first
    assert len(first) == 2
    assert library.ensure_unpacked(library.resolve("one"), overlay, "overlay") == top
    library.ensure_unpacked(library.resolve("two"), overlay, "overlay")
    assert len(snapshots(overlay)) == 3
    assert library.inspect("one")["Unpacked"] == {"overlay": top}
    assert library.drivers_in_use() == ("overlay",)


def test_removing_goes_by_name_and_collects_what_is_left(
    library: Library, transports: list[ArchiveTransport], overlay: OverlayDriver, tmp_path: Path
) -> None:
    load(library, transports, tmp_path, docker_archive((ONE, ["one:1", "one:2"]), (TWO, ["two"])))
    for name in ("one:1", "two"):
        library.ensure_unpacked(library.resolve(name), overlay, "overlay")
    assert library.remove("one:1") == (("one:1",), ())
    assert library.collect({"overlay": overlay}) == (0, 0, (), 0)
    assert library.remove("one:2") == (("one:2",), (ONE.id,))
    collected = library.collect({"overlay": overlay})
    assert len(collected.snapshots) == 1
    assert len(snapshots(overlay)) == 2
    library.ensure_unpacked(library.resolve("two"), overlay, "overlay")
    library.remove(TWO.id[:20])
    library.collect({"overlay": overlay})
    assert snapshots(overlay) == {}
    assert list(library.content.blobs()) == []
    assert library.list() == ()
    assert [path for path in (library.content.root).rglob("*") if path.is_file()] == [library.content.root / "gc.lock"]


def test_what_a_driver_has_lost_is_unpacked_anew(
    library: Library, transports: list[ArchiveTransport], overlay: OverlayDriver, tmp_path: Path
) -> None:
    load(library, transports, tmp_path, docker_archive((ONE, ["one"])))
    top = library.ensure_unpacked(library.resolve("one"), overlay, "overlay")
    assert top
    overlay.remove(top)
    library.collect({"overlay": overlay})
    library.ensure_unpacked(library.resolve("one"), overlay, "overlay")
    assert top in snapshots(overlay)


def record(store: Store, image: str, name: str) -> None:
    made = Record(
        id="c" * 64, name=name, image=image, image_name="", created=1, storage="overlay", cgroup="", runtime="", log="",
        options={},
    )  # fmt: skip
    with store.transaction() as connection:
        containers.insert(connection, made, identity())


def test_an_image_in_use_is_refused_unless_forced(
    library: Library, store: Store, transports: list[ArchiveTransport], overlay: OverlayDriver, tmp_path: Path
) -> None:
    load(library, transports, tmp_path, docker_archive((ONE, ["one"])))
    top = library.ensure_unpacked(library.resolve("one"), overlay, "overlay")
    overlay.prepare("container", top)
    record(store, ONE.id, "busy")
    with pytest.raises(Conflict, match="used by the container busy"):
        library.remove("one")
    assert library.remove("one", force=True).deleted == (ONE.id,)
    library.collect({"overlay": overlay})
    assert len(snapshots(overlay)) == 3
    overlay.remove("container")
    library.collect({"overlay": overlay})
    assert snapshots(overlay) == {}


def test_names_move_and_ids_resolve(library: Library, transports: list[ArchiveTransport], tmp_path: Path) -> None:
    load(library, transports, tmp_path, docker_archive((ONE, ["app"])))
    archive = tmp_path / "two.tar"
    archive.write_bytes(docker_archive((TWO, ["app"])))
    (loaded,) = library.load(str(archive), transports, platform=AMD64)
    assert loaded.moved == ("app:latest",)
    assert library.resolve("app").id == TWO.id
    assert library.resolve(ONE.id).names == ()
    for text in (ONE.id, ONE.id[7:], ONE.id[:14], ONE.id[7:15]):
        assert library.resolve(text).id == ONE.id
    library.tag(ONE.id[7:19], "example.org/old:1")
    assert library.resolve("example.org/old:1").id == ONE.id
    library.tag("app", "other.org/app")
    with pytest.raises(Conflict, match="2 repositories"):
        library.remove(TWO.id)
    assert library.remove(TWO.id, force=True).untagged == ("app:latest", "other.org/app:latest")


@pytest.mark.parametrize(
    ("text", "error"),
    [("nothing", NotFound), ("0" * 64, NotFound), ("dead", NotFound), ("UPPER", InvalidInput), ("host:", InvalidInput)],
)
def test_what_is_no_image_says_so(library: Library, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        library.resolve(text)


def test_import_makes_an_image_of_a_tarball(
    library: Library, overlay: OverlayDriver, transports: list[ArchiveTransport], tmp_path: Path
) -> None:
    tarball = tmp_path / "root.tar.gz"
    tarball.write_bytes(gzip.compress(BASE))
    changes = ['CMD ["/bin/true", "-x"]', "ENV A=b C='d e'", "EXPOSE 80 90-91/udp", "WORKDIR /srv", "USER nobody"]
    image = library.import_rootfs(str(tarball), "mine:1", changes=changes, message="made by hand").image
    config = library.resolve("mine:1").config
    assert image.id == library.resolve("mine:1").id
    assert config.config.cmd == ("/bin/true", "-x")
    assert config.config.env == ("A=b", "C=d e")
    assert config.config.exposed_ports == ("80/tcp", "90/udp", "91/udp")
    assert config.diff_ids == (sha256(BASE),)
    assert config.history[0].comment == "made by hand"
    top = library.ensure_unpacked(image, overlay, "overlay")
    overlay.prepare("c", top)
    (lower,) = [tree(path) for path in (tmp_path / "engine" / "storage" / "committed").glob("*/fs")]
    assert lower["bin/true"].mode == 0o755


@pytest.mark.parametrize(
    ("data", "changes", "error"),
    [
        (b"no tar", [], ImageError),
        (tar(), [], ImageError),
        (BASE[:700], [], ImageError),
        (gzip.compress(BASE)[:-9], [], ImageError),
        (BASE, ["RUN true"], InvalidInput),
        (BASE, ["CMD [1]"], InvalidInput),
        (BASE, ["EXPOSE 99999"], InvalidInput),
        (BASE, ["ENV"], InvalidInput),
    ],
)
def test_a_broken_import_leaves_nothing(
    library: Library, tmp_path: Path, data: bytes, changes: list[str], error: type[Exception]
) -> None:
    tarball = tmp_path / "root.tar"
    tarball.write_bytes(data)
    with pytest.raises(error) as caught:
        library.import_rootfs(str(tarball), "mine", changes=changes)
    assert caught.value.fix  # type: ignore[attr-defined]
    assert list(library.content.blobs()) == []
    assert library.list() == ()


def test_two_commands_unpack_a_layer_once(
    library: Library, store: Store, transports: list[ArchiveTransport], overlay: OverlayDriver, tmp_path: Path
) -> None:
    big = TestImage((tar(*(member(b"f%d" % number, os.urandom(5000)) for number in range(500))),))
    load(library, transports, tmp_path, docker_archive((big, ["big"])))
    store.close()
    children = [os.fork() for _ in range(4) if os.getpid() == PARENT]
    if 0 in children:
        os._exit(unpack_in_child(tmp_path, overlay))
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0, 0]
    assert list(snapshots(overlay).values()) == [SnapshotKind.COMMITTED]


PARENT = os.getpid()


def unpack_in_child(tmp_path: Path, overlay: OverlayDriver) -> int:
    with Store(tmp_path / "engine") as own:
        library = Library(tmp_path / "engine", own.connection)
        library.ensure_unpacked(library.resolve("big"), overlay, "overlay")
    return 0


@pytest.mark.parametrize("milliseconds", [5, 30, 60, 90, 130])
def test_unpacking_that_is_killed_begins_again(
    library: Library,
    store: Store,
    transports: list[ArchiveTransport],
    overlay: OverlayDriver,
    tmp_path: Path,
    milliseconds: int,
) -> None:
    big = TestImage((tar(*(member(b"f%d" % number, os.urandom(3000)) for number in range(1500))),))
    load(library, transports, tmp_path, docker_archive((big, ["big"])))
    store.close()
    pid = os.fork()
    if pid == 0:
        os._exit(unpack_in_child(tmp_path, overlay))
    time.sleep(milliseconds / 1000)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with Store(tmp_path / "engine") as own:
        again = Library(tmp_path / "engine", own.connection)
        if milliseconds % 2:
            again.collect({"overlay": overlay})
            assert SnapshotKind.ACTIVE not in snapshots(overlay).values()
        again.ensure_unpacked(again.resolve("big"), overlay, "overlay")
        assert list(snapshots(overlay).values()) == [SnapshotKind.COMMITTED]
        (root,) = (tmp_path / "engine" / "storage" / "committed").glob("*/fs")
        assert len(list(root.iterdir())) == 1500
        again.remove("big")
        again.collect({"overlay": overlay})
        assert snapshots(overlay) == {}
        assert list(again.content.blobs()) == []


def test_a_full_disk_leaves_nothing(transports: list[ArchiveTransport], tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small], check=True)
    try:
        with Store(small) as own:
            library = Library(small, own.connection)
            big = TestImage((BASE, tar(member(b"big", os.urandom(5_000_000)))))
            with pytest.raises(EngineError, match="no room left to keep layer 2") as caught:
                load(library, transports, tmp_path, docker_archive((big, ["big"])))
            assert caught.value.fix
            assert list(library.content.blobs()) == []
            with pytest.raises(EngineError, match="no room left to uncompress"):
                load(library, transports, tmp_path, gzip.compress(docker_archive((big, ["big"])), 1))
            assert load(library, transports, tmp_path, docker_archive((ONE, ["one"]))) == [ONE.id]
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_load_that_cannot_be_unpacked_leaves_nothing(
    library: Library, transports: list[ArchiveTransport], overlay: OverlayDriver, tmp_path: Path
) -> None:
    """A compressed layer is verified against its diff ID when it is unpacked, and only then is the image recorded."""
    files = oci_files(ONE, "one:1")
    other = tar(member(b"not", b"what the configuration says"))
    wrong = oci_files(TestImage((BASE, other)), "one:1")
    name = next(name for name in files if files[name] == ONE.config())
    config = next(name for name in wrong if wrong[name] == TestImage((BASE, other)).config())
    manifest = json.loads(next(data for path, data in wrong.items() if b'"layers"' in data and path != config))
    manifest["config"] = described(files[name], manifest["config"]["mediaType"])
    blobs = [data for path, data in wrong.items() if path.startswith("blobs/") and path != config]
    made = layout(json.dumps(manifest).encode(), [*blobs, files[name]], "one:1")
    source = write_files(tmp_path / "source", made)
    with pytest.raises(ImageError, match=r"layer 2 of 2 .* unpacks to"):
        library.load(str(source), transports, platform=AMD64, storage=("overlay", overlay))
    assert library.list() == ()
    assert list(library.content.blobs()) == []
    assert snapshots(overlay) == {}
    (loaded,) = library.load(str(source), transports, platform=AMD64)
    with pytest.raises(ImageError, match=r"layer 2 of 2 .* unpacks to"):
        library.ensure_unpacked(loaded.image, overlay, "overlay")
    assert SnapshotKind.ACTIVE not in snapshots(overlay).values()


def test_a_collection_removes_the_lock_of_a_process_that_was_killed_before_it_unpacked(library: Library) -> None:
    """Between taking a layer's lock and preparing its snapshot there is nothing but the lock's file to find."""
    held, free = library.content.locks / "overlay-sha256-1", library.content.locks / "overlay-sha256-2"
    free.touch()
    with locked(held, remove=True):
        assert library.collect({}).abandoned == 1
        assert held.exists()
    assert list(library.content.locks.iterdir()) == []


@pytest.mark.parametrize("milliseconds", [1, 10, 20, 40, 80])
def test_a_load_that_is_killed_leaves_what_the_next_collection_removes(
    library: Library,
    store: Store,
    transports: list[ArchiveTransport],
    overlay: OverlayDriver,
    tmp_path: Path,
    milliseconds: int,
) -> None:
    big = TestImage(tuple(tar(member(b"f%d" % number, os.urandom(2_000_000))) for number in range(4)))
    archive = tmp_path / "big.tar.gz"
    archive.write_bytes(gzip.compress(docker_archive((big, ["big"])), 1))
    store.close()
    pid = os.fork()
    if pid == 0:
        with Store(tmp_path / "engine") as own:
            inside = Library(tmp_path / "engine", own.connection)
            inside.load(str(archive), transports, platform=AMD64, storage=("overlay", overlay))
        os._exit(0)
    time.sleep(milliseconds / 1000)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with Store(tmp_path / "engine") as own:
        again = Library(tmp_path / "engine", own.connection)
        again.collect({"overlay": overlay})
        if not again.list():
            assert [path.name for path in again.content.root.rglob("*") if path.is_file()] == ["gc.lock"]
            assert snapshots(overlay) == {}
        (loaded,) = again.load(str(archive), transports, platform=AMD64, storage=("overlay", overlay))
        assert set(snapshots(overlay)) == set(loaded.image.snapshots)
