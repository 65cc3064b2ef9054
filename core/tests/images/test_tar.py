"""The tar reader, against archives by GNU tar and Python's tarfile, and against broken ones."""

from __future__ import annotations

import io
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from core.tests.images.archives import directory, member, records, tar
from engine.spec.tar import TarReader
from engine.spec.tarheader import MAX_EXTENSION, SYMLINK, TarEntry, TarError


def read(data: bytes, chunk: int = 1 << 20) -> list[tuple[TarEntry, bytes]]:
    source = io.BytesIO(data)
    reader = TarReader(lambda _: source.read(chunk))
    return [(entry, b"".join(bytes(piece) for piece in reader.data())) for entry in reader]


@pytest.mark.parametrize("chunk", [1, 511, 513, 1 << 20])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_what_tarfile_writes(form: int, chunk: int) -> None:
    out = io.BytesIO()
    long = "d/" * 60 + "name" if form != tarfile.USTAR_FORMAT else "d/" * 60 + "n"
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, size in (("a", 0), (long, 700), ("b", 512)):
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.mode, info.mtime = size, 1000, 0o4755, 12345
            archive.addfile(info, io.BytesIO(name[:1].encode() * size))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "x" * (150 if form != tarfile.USTAR_FORMAT else 90)
        archive.addfile(link)
    found = read(out.getvalue(), chunk)
    assert [(entry.name, data) for entry, data in found[:3]] == [
        (b"a", b""), (long.encode(), b"d" * 700), (b"b", b"b" * 512),
    ]  # fmt: skip
    assert {(entry.mode, entry.uid, entry.mtime) for entry, _ in found[:3]} == {(0o4755, 1000, 12345 * 10**9)}
    assert (found[3][0].kind, found[3][0].link) == (SYMLINK, link.linkname.encode())


@pytest.mark.parametrize("form", ["gnu", "pax", "0.0", "0.1"])
def test_reads_every_sparse_format(tmp_path: Path, form: str) -> None:
    file = tmp_path / "sparse"
    with file.open("wb") as out:
        for number in range(40):  # more parts than a header of the old format holds
            out.seek(number * 65536)
            out.write(bytes([number + 1]) * 4096)
        out.truncate(40 * 65536 + 12345)
    kind = (
        ["--format=gnu"] if form == "gnu" else ["--format=pax", *([f"--sparse-version={form}"] if "." in form else [])]
    )
    made = subprocess.run(["tar", "-cS", *kind, "-C", tmp_path, "sparse"], check=True, capture_output=True).stdout
    assert len(made) < 300_000
    ((entry, data),) = read(made, 1000)
    assert entry.name == b"sparse"
    assert entry.size == file.stat().st_size
    content = bytearray(entry.size)
    for offset, length in entry.regions or ():
        content[offset : offset + length], data = data[:length], data[length:]
    assert bytes(content) == file.read_bytes()


def test_pax_records_say_what_the_block_cannot() -> None:
    pax = {
        b"path": b"\xff\xfe name", b"mtime": b"1234.5678901234", b"uid": b"3000000000", b"size": b"3",
        b"SCHILY.xattr.user.a=b": b"never", b"SCHILY.xattr.user.x": b"\0\n=",
    }  # fmt: skip
    ((entry, data),) = read(tar(member(b"short", b"abc", size=0, pax=pax)))
    assert (entry.name, entry.mtime, entry.uid, data) == (b"\xff\xfe name", 1234567890123, 3000000000, b"abc")
    assert dict(entry.xattrs)[b"user.x"] == b"\0\n="


@pytest.mark.parametrize(("text", "nanoseconds"), [(b"-1.5", -(15 * 10**8)), (b"0.000000001", 1), (b"7", 7 * 10**9)])
def test_times_are_exact(text: bytes, nanoseconds: int) -> None:
    ((entry, _),) = read(tar(member(b"a", pax={b"mtime": text})))
    assert entry.mtime == nanoseconds


def test_an_archive_may_end_without_its_end_blocks() -> None:
    assert len(read(member(b"a", b"data") + directory(b"d"))) == 2


def test_what_is_not_read_is_passed_over() -> None:
    source = io.BytesIO(tar(member(b"a", b"x" * 5000), member(b"b", b"y")))
    assert [entry.name for entry in TarReader(source.read)] == [b"a", b"b"]


def test_seeking_passes_over_data_and_knows_its_place() -> None:
    source = io.BytesIO(tar(member(b"a", b"x" * 5000), member(b"b", b"y" * 3000), member(b"c")))

    def skip(count: int) -> None:
        source.seek(count, os.SEEK_CUR)

    offsets = {entry.name: entry.offset for entry in TarReader(source.read, skip)}
    source.seek(offsets[b"b"])
    assert source.read(3000) == b"y" * 3000
    assert list(offsets) == [b"a", b"b", b"c"]


def pax_of(data: bytes) -> bytes:
    return tar(member(b"h", data, b"x"), member(b"a"))


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"not a tar archive".ljust(1024, b"\1"), "no tar archive"),
        (tar(member(b"a", b"x" * 600))[:700], "cut short"),
        (tar(member(b"a"))[:100], "cut short"),
        (bytes(512) + member(b"a"), "follows"),
        (tar(member(b"a", kind=b"Z")), "unknown type"),
        (tar(member(b"h", kind=b"x", size=MAX_EXTENSION + 1)), "extended header"),
        (tar(member(b"h", kind=b"L", size=1 << 32)), "extended header"),
        (pax_of(b"nonsense"), "PAX"),
        (pax_of(b"5 a=\n99 b=c\n"), "PAX"),
        (pax_of(b"0 a=b\n"), "PAX"),
        (pax_of(b"-9 a=b\n"), "PAX"),
        (pax_of(b"6 a=b\n"), None),
        (pax_of(b"6 ab=\n"), None),
        (records({b"size": b"-1"}) + member(b"a"), "number"),
        (records({b"size": b"9" * 30}) + member(b"a"), "number"),
        (records({b"path": b"a\0b"}) + member(b"a"), "NUL"),
        (records({b"mtime": b"1e9"}) + member(b"a"), "number"),
        (tar(member(b"a", b"xy", pax={b"GNU.sparse.map": b"0,1,0,1", b"GNU.sparse.size": b"9"})), "sparse"),
        (tar(member(b"a", b"x", pax={b"GNU.sparse.map": b"0,9", b"GNU.sparse.size": b"9"})), "sparse"),
        (tar(member(b"a", b"x", pax={b"GNU.sparse.map": b"8,1", b"GNU.sparse.size": b"4"})), "sparse"),
        (tar(member(b"a", b"9" * 512, pax={b"GNU.sparse.major": b"1", b"GNU.sparse.size": b"4"})), "sparse"),
        (tar(member(b"a", b"999999999\n", pax={b"GNU.sparse.major": b"1", b"GNU.sparse.size": b"4"})), "sparse"),
    ],
)
def test_broken_archives_are_refused_with_the_reason(archive: bytes, reason: str | None) -> None:
    if reason is None:
        read(archive)
        return
    with pytest.raises(TarError, match=reason):
        read(archive)


def test_noise_never_does_anything_but_a_tar_error() -> None:
    chosen = random.Random(7)
    good = tar(
        member(b"a", b"x" * 600, pax={b"mtime": b"1.5", b"GNU.sparse.map": b"0,600", b"GNU.sparse.size": b"700"}),
        directory(b"d"), member(b"n", b"long name\0", b"L"), member(b"b", b"y"),
    )  # fmt: skip
    refused = 0
    for _ in range(2000):
        noisy = bytearray(good)
        for _ in range(chosen.randrange(1, 4)):
            noisy[chosen.randrange(len(noisy))] = chosen.randrange(256)
        try:
            read(bytes(noisy), 300)
        except TarError:
            refused += 1
    assert refused > 1000
