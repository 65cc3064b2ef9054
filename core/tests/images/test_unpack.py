"""What becomes of a layer's entries on disk."""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
from pathlib import Path

import pytest

from core.tests.images.archives import directory, hardlink, member, sha256, symlink, tar
from core.tests.images.unpacking import by_deleting, by_overlay, gnu_tar, tree, unpack
from engine.contracts.storage import UnpackTarget, Whiteouts
from engine.errors import EngineError, ImageError
from engine.images.unpack import unpack_layer

BOTH = pytest.mark.parametrize("whiteouts", list(Whiteouts))


@BOTH
def test_every_kind_of_file_comes_out_as_it_went_in(tmp_path: Path, whiteouts: Whiteouts) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "file").write_bytes(b"data" * 3000)
    (source / "empty").touch()
    (source / "suid").write_bytes(b"x")
    os.chown(source / "suid", 1000, 1001)
    os.chmod(source / "suid", 0o6755)
    (source / "sub" / "hard").hardlink_to(source / "file")
    (source / "soft").symlink_to("/nowhere/at/all")
    os.lchown(source / "soft", 5, 6)
    os.mknod(source / "null", 0o020666, os.makedev(1, 3))
    os.mknod(source / "disk", 0o060600, os.makedev(259, 70000))
    os.mkfifo(source / "fifo", 0o622)
    os.chmod(source / "sub", 0o1777)
    (source / os.fsdecode(b"caf\xe9 \xff\n")).write_bytes(b"not UTF-8")
    os.setxattr(source / "file", "user.note", b"\0=\n")
    os.setxattr(source / "sub", "user.note", b"on a directory")
    os.setxattr(source / "suid", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    sparse = source / "sparse"
    with sparse.open("wb") as out:
        out.truncate(1 << 30)
        out.seek(1 << 29)
        out.write(b"middle")
    for number, path in enumerate([*sorted(source.rglob("*"), reverse=True), source]):
        os.utime(path, ns=(0, 1_500_000_000_123_456_789 + number), follow_symlinks=False)
    sparse_blocks = sparse.stat().st_blocks
    layer = gnu_tar(source, "--sparse")
    target = tmp_path / "target"
    result = unpack(layer, target, whiteouts)
    assert result.size == len(layer)
    assert result.skipped_xattrs == frozenset()
    assert (target / "sparse").stat().st_blocks <= sparse_blocks + 16
    os.truncate(target / "sparse", 1 << 20)
    os.truncate(sparse, 1 << 20)
    os.utime(target / "sparse", ns=(0, 0))
    os.utime(sparse, ns=(0, 0))
    assert tree(target) == tree(source)


@BOTH
@pytest.mark.parametrize("compress", [["gzip", "-c"], ["zstd", "-qc"], None], ids=["gzip", "zstd", "plain"])
def test_layers_are_uncompressed_and_verified(tmp_path: Path, whiteouts: Whiteouts, compress: list[str] | None) -> None:
    layer = tar(member(b"a", os.urandom(3_000_000)), member(b"b", b"y" * 100_000)) + bytes(100_000)
    blob = subprocess.run(compress, input=layer, capture_output=True, check=True).stdout if compress else layer
    unpack(blob, tmp_path / "good", whiteouts, sha256(layer))
    assert (tmp_path / "good" / "a").stat().st_size == 3_000_000
    with pytest.raises(ImageError, match="instead of") as caught:
        unpack(blob, tmp_path / "bad", whiteouts, sha256(b"other"))
    assert caught.value.fix
    with pytest.raises(ImageError):
        unpack(blob[:-200_000], tmp_path / "short", whiteouts, sha256(layer))
    assert threading.active_count() == 1


def test_gzip_may_have_several_members_and_padding(tmp_path: Path) -> None:
    layer = tar(member(b"a", b"x" * 5000))
    blob = gzip.compress(layer[:3000]) + gzip.compress(layer[3000:]) + bytes(1000)
    unpack(blob, tmp_path / "target", Whiteouts.DELETE, sha256(layer))
    assert (tmp_path / "target" / "a").read_bytes() == b"x" * 5000


def test_a_compressed_layer_with_damage_is_refused(tmp_path: Path) -> None:
    blob = bytearray(gzip.compress(tar(member(b"a", os.urandom(100_000)))))
    blob[50_000] ^= 0xFF
    with pytest.raises(ImageError, match="the layer"):
        unpack(bytes(blob), tmp_path / "target", Whiteouts.DELETE, "sha256:" + "0" * 64)
    with pytest.raises(ImageError, match="bzip2"):
        unpack(b"BZh91AY", tmp_path / "target", Whiteouts.DELETE, "sha256:" + "0" * 64)


def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        with pytest.raises(EngineError, match="no room left") as caught:
            unpack_into(small / "target", tar(member(b"a", bytes(3_000_000))), tmp_path)
        assert not isinstance(caught.value, ImageError)
    finally:
        subprocess.run(["umount", small], check=True)


def unpack_into(target: Path, layer: bytes, elsewhere: Path) -> None:
    from engine.contracts.storage import UnpackTarget
    from engine.images.unpack import unpack_layer

    target.mkdir()
    blob = elsewhere / "blob"
    blob.write_bytes(layer)
    with blob.open("rb", buffering=0) as file:
        unpack_layer(file, UnpackTarget(target, Whiteouts.DELETE), sha256(layer), "the layer")


BASE = tar(
    directory(b"d"), member(b"d/one", b"1"), member(b"d/two", b"2"), directory(b"d/sub"), member(b"d/sub/x", b"x"),
    member(b"file", b"old"), symlink(b"link", b"d"), directory(b"e", 0o700), member(b"e/three", b"3"),
)  # fmt: skip

UPPERS = {
    "adds": tar(directory(b"d"), member(b"d/new", b"n")),
    "deletes a file": tar(directory(b"d"), member(b"d/.wh.one")),
    "deletes a directory": tar(member(b".wh.d")),
    "deletes what is not there": tar(member(b".wh.nothing")),
    "hides all of a directory": tar(directory(b"d"), member(b"d/.wh..wh..opq"), member(b"d/new", b"n")),
    "hides all after adding": tar(directory(b"d"), member(b"d/new", b"n"), member(b"d/.wh..wh..opq")),
    "hides all but what it enters": tar(
        directory(b"d"), directory(b"d/sub"), member(b"d/sub/y"), member(b"d/.wh..wh..opq")
    ),
    "deletes and adds again": tar(member(b".wh.file"), member(b"file", b"new")),
    "adds and deletes": tar(member(b"file", b"new"), member(b".wh.file")),
    "deletes a directory, makes another": tar(member(b".wh.d"), directory(b"d"), member(b"d/new", b"n")),
    "makes a directory, deletes the old": tar(directory(b"d"), member(b"d/new", b"n"), member(b".wh.d")),
    "file over a directory": tar(member(b"d", b"now a file")),
    "link over a directory": tar(symlink(b"d", b"e")),
    "directory over a file": tar(directory(b"file"), member(b"file/in", b"i")),
    "directory over a link": tar(directory(b"link"), member(b"link/in", b"i")),
    "changes a directory": tar(directory(b"e", 0o755, mtime=77)),
    "hard links": tar(directory(b"d"), member(b"d/a", b"a"), hardlink(b"d/b", b"d/a"), hardlink(b"/c", b"./d/b")),
    "duplicates": tar(
        member(b"n", b"1"), member(b"n", b"22"), directory(b"m"), member(b"m", b"f"), symlink(b"m", b"n")
    ),
    "directory after file": tar(member(b"n", b"1"), directory(b"n"), member(b"n/x", b"x")),
    "directory after whiteout of a file": tar(member(b".wh.file"), directory(b"file"), member(b"file/x", b"x")),
    "aufs's own": tar(directory(b".wh..wh.plnk"), member(b".wh..wh.plnk/1.2", b"x"), member(b".wh..wh.aufs")),
    "device 0:0": tar(directory(b"d"), member(b"d/one", kind=b"3")),
    "odd names": tar(
        directory(b"./d/"), member(b"/d//./odd", b"o"), member(b"d/..x", b"dots"), member(b".hidden", b"h")
    ),
    "through its own link": tar(symlink(b"to", b"d"), directory(b"d"), member(b"to/via", b"v")),
    "through a link that leads up": tar(
        directory(b"d"), symlink(b"d/up", b"../../../../e"), directory(b"e", 0o700), member(b"d/up/via", b"v")
    ),
    "through an absolute link": tar(directory(b"d"), symlink(b"abs", b"/d"), member(b"abs/via", b"v")),
    "sets the root": tar(directory(b"./", 0o711, mtime=99)),
    "empty": tar(),
}


@pytest.mark.parametrize("upper", UPPERS)
def test_both_ways_of_unpacking_show_the_same_files(tmp_path: Path, upper: str) -> None:
    layers = [BASE, UPPERS[upper]]
    merged, deleted = by_overlay(layers, tmp_path), by_deleting(layers, tmp_path)
    assert {name: without_time(seen) for name, seen in merged.items()} == {
        name: without_time(seen) for name, seen in deleted.items()
    }


def without_time(seen: tuple[object, ...]) -> tuple[object, ...]:
    """Leave out a directory's time: one that a layer only touches gets the time of unpacking."""
    return seen if seen[0] != "directory" else (*seen[:3], *seen[4:])


@pytest.mark.parametrize(
    ("upper", "gone", "there"),
    [
        ("deletes a file", ["d/one"], ["d/two"]),
        ("deletes a directory", ["d", "d/one"], ["file"]),
        ("hides all of a directory", ["d/one", "d/sub"], ["d/new"]),
        ("hides all after adding", ["d/one", "d/sub"], ["d/new"]),
        ("hides all but what it enters", ["d/one", "d/sub/x"], ["d/sub/y"]),
        ("adds and deletes", [], ["file"]),
        ("makes a directory, deletes the old", ["d/one"], ["d/new"]),
        ("directory after whiteout of a file", [], ["file/x"]),
        ("aufs's own", [".wh..wh.plnk", ".wh..wh.aufs"], ["file"]),
        ("device 0:0", ["d/one"], ["d/two"]),
        ("through its own link", [], ["d/via"]),
        ("through a link that leads up", [], ["e/via"]),
        ("through an absolute link", [], ["d/via"]),
    ],
)
def test_whiteouts_and_links_do_what_they_should(tmp_path: Path, upper: str, gone: list[str], there: list[str]) -> None:
    found = by_deleting([BASE, UPPERS[upper]], tmp_path)
    assert not set(gone) & set(found)
    assert set(there) <= set(found)


def test_a_link_of_the_parent_layer_is_never_followed(tmp_path: Path) -> None:
    found = by_deleting([BASE, tar(member(b"link/new", b"n"))], tmp_path)
    assert "d/new" not in found
    assert found["link/new"].content == b"n"


def test_a_directory_of_any_depth_is_replaced(tmp_path: Path) -> None:
    deep = b"/".join([b"d"] * 1500)
    unpack(tar(member(deep + b"/f", pax={b"path": deep + b"/f"})), tmp_path / "t", Whiteouts.DELETE)
    unpack(tar(member(b"d", b"file")), tmp_path / "t", Whiteouts.DELETE)
    assert (tmp_path / "t" / "d").read_bytes() == b"file"


def test_more_directories_than_descriptors(tmp_path: Path) -> None:
    names = [b"d%d/e%d" % (number % 3, number) for number in range(1500)]
    layer = tar(*(member(name + b"/f") for name in names), *(member(name + b"/g") for name in names))
    before = len(os.listdir("/proc/self/fd"))
    unpack(layer, tmp_path / "t", Whiteouts.OVERLAY)
    assert len(os.listdir("/proc/self/fd")) == before
    assert sum(1 for _ in (tmp_path / "t").glob("d*/e*/g")) == 1500


def test_attributes_that_steer_overlayfs_are_left_out(tmp_path: Path) -> None:
    hostile = {
        b"SCHILY.xattr.trusted.overlay.redirect": b"/etc", b"SCHILY.xattr.user.overlay.opaque": b"y",
        b"SCHILY.xattr.trusted.overlay.metacopy": b"", b"SCHILY.xattr.user.fine": b"1",
    }  # fmt: skip
    result = unpack(tar(directory(b"d"), member(b"d/f", pax=hostile)), tmp_path / "t", Whiteouts.OVERLAY)
    assert os.listxattr(tmp_path / "t" / "d" / "f") == ["user.fine"]
    assert "trusted.overlay.redirect" in result.skipped_xattrs


@BOTH
def test_a_link_that_is_replaced_leads_elsewhere(tmp_path: Path, whiteouts: Whiteouts) -> None:
    layer = tar(
        directory(b"a"), directory(b"b"), symlink(b"s", b"a"), member(b"s/one"), symlink(b"s", b"b"), member(b"s/two")
    )
    unpack(layer, tmp_path / "t", whiteouts)
    assert set(tree(tmp_path / "t")) == {".", "a", "a/one", "b", "b/two", "s"}


def test_a_directory_without_an_entry_is_marked_until_one_comes(tmp_path: Path) -> None:
    mark = "user.engine.implied"
    layer = tar(member(b"only/implied/file"), member(b"later/file"), directory(b"later", mode=0o1777))
    blob = tmp_path / "blob"
    blob.write_bytes(layer)
    target = UnpackTarget(tmp_path / "target", Whiteouts.OVERLAY, implied=mark)
    target.directory.mkdir()
    with blob.open("rb", buffering=0) as file:
        unpack_layer(file, target, sha256(layer), "the layer")
    marked = [path for path in ("only", "only/implied", "later") if mark in os.listxattr(target.directory / path)]
    assert marked == ["only", "only/implied"]
    assert (target.directory / "later").stat().st_mode & 0o7777 == 0o1777


def test_an_image_cannot_mark_a_directory_itself(tmp_path: Path) -> None:
    layer = tar(directory(b"d", pax={b"SCHILY.xattr.user.engine.implied": b"x"}))
    unpack(layer, tmp_path / "target", Whiteouts.OVERLAY)
    assert os.listxattr(tmp_path / "target" / "d") == []
