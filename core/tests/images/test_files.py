"""Archives written from real files: what tar and our own reader make of them, and what nobody may be led to."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.images.unpacking import Seen, by_deleting, tree
from engine.contracts.storage import Change, ChangeKind
from engine.errors import EngineError, ImageError
from engine.images.files import FileReader
from engine.images.history import steps
from engine.images.image import Image
from engine.images.layering import layer
from engine.linux.trees import remove_tree
from engine.spec.descriptor import Platform
from engine.spec.image import History, ImageConfig
from engine.spec.tar import TarReader
from engine.spec.tarheader import REGULAR, TarEntry
from engine.spec.tarwriter import END, header


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def archived(root: Path) -> bytes:
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        found = FileReader(fd).all("")
        return b"".join(piece for one in found for piece in one.archived()) + END
    finally:
        os.close(fd)


def filled(root: Path) -> tuple[bytes, dict[str, Seen]]:
    """Make files of every kind, with everything about them that a header must carry; return archive and files.

    A socket and attributes that only steer the kernel are there while the archive is made, and not among the files.
    """
    long = root / ("directory-" + "x" * 120)
    long.mkdir()
    (long / "f\udcff\u00e9").write_bytes(os.urandom(3 * 1024 * 1024 + 17))
    os.link(long / "f\udcff\u00e9", root / "a-link")
    (root / "symbolic").symlink_to("y" * 200)
    os.mkfifo(root / "pipe", 0o640)
    os.mknod(root / "block", 0o60600, os.makedev(259, 300000))
    (root / "owned").write_text("x")
    os.chown(root / "owned", 3_000_000, 4_000_000)
    os.chmod(root / "owned", 0o6755)
    os.setxattr(root / "owned", "user.any", bytes(range(256)) * 3)
    os.utime(root / "owned", ns=(0, -1_500_000_001))
    os.utime(long, ns=(0, 1_234_567_890_123_456_789))
    os.utime(root, ns=(0, 10**18))
    wanted = tree(root)
    os.setxattr(root / "owned", "trusted.hidden", b"no")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    os.utime(root, ns=(0, 10**18))
    return archived(root), wanted


def test_what_is_archived_unpacks_to_the_same(place: Path, tmp_path: Path) -> None:
    data, wanted = filled(place)
    (tmp_path / "again").mkdir()
    assert by_deleting([data], tmp_path / "again") == wanted


def test_gnu_tar_and_python_read_it(place: Path, tmp_path: Path) -> None:
    data, wanted = filled(place)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = set(archive.getnames())
        assert archive.getmember("owned").uid == 3_000_000
    assert names == wanted.keys()
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-x", "--xattrs", "-C", out], input=data, check=True)
    assert tree(out) == wanted


@pytest.mark.parametrize("length", [*range(85, 115), 985, 986, 987, 988, 989, 990, 991, 992])
def test_a_name_of_any_length_comes_back(length: int) -> None:
    entry = TarEntry(b"n" * length, REGULAR, mtime=-1)
    [again] = TarReader(io.BytesIO(header(entry) + END).read)
    assert (again.name, again.mtime) == (entry.name, -1)


def test_sizes_beyond_eight_gibibytes_come_back() -> None:
    entry = TarEntry(b"big", REGULAR, size=1 << 40, stored=1 << 40)
    assert next(iter(TarReader(io.BytesIO(header(entry)).read))).stored == 1 << 40


def test_a_file_that_shrinks_while_it_is_read_keeps_the_archive_whole(place: Path) -> None:
    (place / "a").write_bytes(b"x" * 5000)
    (place / "b").write_text("after")
    fd = os.open(place, os.O_PATH | os.O_DIRECTORY)
    data = b""
    for found in FileReader(fd).all(""):
        if found.entry.name == b"a":
            os.truncate(place / "a", 100)
        data += b"".join(found.archived())
    os.close(fd)
    with tarfile.open(fileobj=io.BytesIO(data + END)) as archive:
        shrunk, after = archive.extractfile("a"), archive.extractfile("b")
        assert shrunk is not None
        assert after is not None
        assert shrunk.read() == b"x" * 100 + bytes(4900)
        assert after.read() == b"after"


def test_nothing_outside_is_read_while_directories_become_links(place: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("secret")
    (place / "real").mkdir()
    (place / "real" / "file").write_text("public")
    (place / "link").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            exchange(place / "real", place / "link")

    racing = threading.Thread(target=swap)
    racing.start()
    try:
        assert not any(b"secret" in archived(place) for _ in range(300))
    finally:
        stop.set()
        racing.join()


def exchange(first: Path, second: Path) -> None:
    """Give two files each other's names, one after the other."""
    third = first.with_name("third")
    first.rename(third)
    second.rename(first)
    third.rename(second)


@pytest.fixture
def root_fd(place: Path) -> Iterator[int]:
    fd = os.open(place, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_layer_has_directories_above_its_changes_and_whiteouts(place: Path, root_fd: int) -> None:
    (place / "a" / "b").mkdir(parents=True, mode=0o751)
    (place / "a" / "b" / "new").write_text("x")
    changes = [
        Change(ChangeKind.ADDED, "/a/b/new"),
        Change(ChangeKind.DELETED, "/a/gone"),
        Change(ChangeKind.ADDED, "/a/vanished"),
        Change(ChangeKind.DELETED, "/top"),
    ]
    with tarfile.open(fileobj=io.BytesIO(b"".join(layer(root_fd, changes)))) as archive:
        assert archive.getnames() == ["a", "a/b", "a/b/new", "a/.wh.gone", ".wh.top"]
        assert archive.getmember("a/b").mode == 0o751


def test_a_name_like_a_whiteouts_is_refused(root_fd: int) -> None:
    with pytest.raises(ImageError, match=r"/a/\.wh\.b"):
        b"".join(layer(root_fd, [Change(ChangeKind.ADDED, "/a/.wh.b")]))


@pytest.mark.parametrize(
    ("told", "sizes", "wanted"),
    [
        ([], [3, 4], [("", 4), ("", 3)]),
        (["a", "-e", "b"], [3, 4], [("b", 4), ("-e", 0), ("a", 3)]),
        (["b"], [3, 4], [("b", 4), ("", 3)]),
        (["a", "b", "c"], [3], [("c", 0), ("b", 0), ("a", 3)]),
    ],
)
def test_history_is_matched_to_layers(told: list[str], sizes: list[int], wanted: list[tuple[str, int]]) -> None:
    history = tuple(History(created_by=word, empty_layer=word.startswith("-")) for word in told)
    config = ImageConfig(Platform("linux", "amd64"), history=history)
    image = Image("", (), (), "", 0, "", config)
    assert [(step.history.created_by, step.size) for step in steps(image, sizes)] == wanted


def test_a_tree_deeper_than_any_path_is_an_error_with_advice(place: Path, root_fd: int) -> None:
    here = os.dup(root_fd)
    for _ in range(60):
        os.mkdir("d" * 100, dir_fd=here)
        below = os.open("d" * 100, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(EngineError, match="too deep"):
        archived(place)
    remove_tree(root_fd, "d" * 100)
