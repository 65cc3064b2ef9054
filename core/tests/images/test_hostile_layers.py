"""Layers that try to reach outside of their root, or to break who unpacks them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.tests.images.archives import directory, hardlink, member, symlink, tar
from core.tests.images.unpacking import tree, unpack
from engine.contracts.storage import Whiteouts
from engine.errors import ImageError

LONG = b"/".join([b"x" * 200] * 30)

REFUSED = {
    "a name with ..": (tar(member(b"../out", b"x")), "leads out"),
    "a name with .. inside": (tar(directory(b"d"), member(b"d/../../out", b"x")), "leads out"),
    "an absolute name with ..": (tar(member(b"/../out", b"x")), "leads out"),
    "a directory named ..": (tar(directory(b"..")), "leads out"),
    "a hard link to ..": (tar(hardlink(b"h", b"../outside")), "leads out"),
    "a hard link to nothing": (tar(hardlink(b"h", b"nothing")), "no file of this layer"),
    "a hard link to an absolute path": (tar(hardlink(b"h", b"/etc/hostname")), "no file of this layer"),
    "a hard link to a directory": (tar(directory(b"d"), hardlink(b"h", b"d")), "no file of this layer"),
    "a hard link to the root": (tar(hardlink(b"h", b"")), "no file of this layer"),
    "a hard link to a file's child": (tar(member(b"f"), hardlink(b"h", b"f/x")), "no file of this layer"),
    "a hard link through a link": (tar(symlink(b"s", b"/etc"), hardlink(b"h", b"s/hostname")), "no file of this layer"),
    "a hard link over its target's directory": (
        tar(directory(b"d"), member(b"d/f", b"x"), hardlink(b"d", b"d/f")), "no file of this layer",
    ),
    "a whiteout of ..": (tar(directory(b"d"), member(b"d/.wh...")), "would delete"),
    "a whiteout of .": (tar(directory(b"d"), member(b"d/.wh..")), "would delete"),
    "a whiteout of nothing": (tar(directory(b"d"), member(b"d/.wh.")), "would delete"),
    "links in a circle": (tar(symlink(b"a", b"b"), symlink(b"b", b"a"), member(b"a/x")), "too many links"),
    "a link to itself": (tar(symlink(b"a", b"a"), member(b"a/x")), "too many links"),
    "a file as a directory": (tar(member(b"f", b"1"), member(b"f/x")), "as a file and as a directory"),
    "a link to a file as a directory": (tar(member(b"f"), symlink(b"s", b"f"), member(b"s/x")), "as a directory"),
    "a link without a target": (tar(symlink(b"s", b"")), "cannot be made"),
    "a file as the root": (tar(member(b"./", b"x")), "place of its root"),
    "a link as the root": (tar(symlink(b".", b"/etc")), "place of its root"),
    "a whiteout as the root": (tar(member(b"/")), "place of its root"),
    "a path too long": (tar(member(b"x", pax={b"path": LONG})), "longer than"),
    "a component too long": (tar(member(b"x", pax={b"path": b"x" * 256})), "cannot be made"),
    "a link's target too long": (tar(member(b"x", kind=b"2", pax={b"linkpath": b"x" * 5000})), "cannot be made"),
    "an owner of -1": (tar(member(b"x", pax={b"uid": b"4294967295"})), "owner"),
    "an owner past 32 bits": (tar(member(b"x", pax={b"gid": b"99999999999"})), "owner"),
    "a device past 12 bits": (tar(member(b"x", kind=b"3", device=(0o10000, 1))), "number"),
    "an unknown kind": (tar(member(b"x", kind=b"V")), "unknown type"),
    "more data than there is": (tar(member(b"x", b"abc", pax={b"size": b"9000000000000000000"})), "cut short"),
    "a file larger than any": (
        tar(member(b"x", pax={b"GNU.sparse.map": b"", b"GNU.sparse.size": b"9223372036854775807"})), "cannot be made",
    ),
    "a sparse file of a lie": (
        tar(member(b"x", b"abc", pax={b"GNU.sparse.map": b"0,9", b"GNU.sparse.size": b"9"})), "sparse",
    ),
    "a header of a gigabyte": (tar(member(b"x", kind=b"x", size=1 << 30)), "extended header"),
}  # fmt: skip

HELD_INSIDE = {
    "a link out, written through": tar(symlink(b"s", b"../../outside"), member(b"s/planted", b"x")),
    "an absolute link, written through": tar(symlink(b"s", b"/"), member(b"s/planted", b"x")),
    "a link to /proc, written through": tar(symlink(b"s", b"/proc/self/root"), member(b"s/planted", b"x")),
    "a link out, then a directory over it": tar(symlink(b"s", b"/etc"), directory(b"s"), member(b"s/planted", b"x")),
    "a link out, then a file over it": tar(symlink(b"s", b"/outside"), member(b"s", b"planted")),
    "a link out, then a whiteout in it": tar(symlink(b"s", b"../../outside"), member(b"s/.wh.precious")),
    "a link out, then opaque": tar(symlink(b"s", b"../../outside"), member(b"s/.wh..wh..opq")),
    "a link chain that climbs": tar(
        directory(b"a"), symlink(b"a/b", b".."), symlink(b"a/c", b"b/../b/../../outside"), member(b"a/c/planted", b"x"),
    ),
    "a directory replaced by a link while in use": tar(
        directory(b"d"), member(b"d/one"), symlink(b"d", b"../../outside"), member(b"d/planted", b"x"),
    ),
    "a hard link to a link out": tar(
        symlink(b"s", b"../../outside/precious"), hardlink(b"h", b"s"), member(b"h", b"planted"),
    ),
    "a hard link written through": tar(member(b"a", b"1"), hardlink(b"b", b"a"), member(b"b", b"planted")),
    "an absolute name": tar(member(b"//outside/planted", b"x")),
}  # fmt: skip


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What no layer may touch, next to where layers are unpacked."""
    place = tmp_path / "outside"
    place.mkdir()
    (place / "precious").write_bytes(b"precious")
    return place


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_layer_is_refused_with_the_reason(
    tmp_path: Path, outside: Path, name: str, whiteouts: Whiteouts
) -> None:
    layer, reason = REFUSED[name]
    before = tree(outside)
    with pytest.raises(ImageError, match=reason) as caught:
        unpack(layer, tmp_path / "target", whiteouts)
    assert caught.value.what.startswith("the layer ")
    assert caught.value.fix
    assert tree(outside) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "target"]


@pytest.mark.parametrize("whiteouts", list(Whiteouts))
@pytest.mark.parametrize("name", HELD_INSIDE)
def test_what_leads_outside_stays_inside(tmp_path: Path, outside: Path, name: str, whiteouts: Whiteouts) -> None:
    before = tree(outside)
    unpack(HELD_INSIDE[name], tmp_path / "target", whiteouts)
    assert tree(outside) == before
    assert not Path("/planted").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "target"]
