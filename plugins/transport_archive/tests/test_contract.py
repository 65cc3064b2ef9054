"""The contract suite, over each form of archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.tests.images.archives import (
    TestImage,
    archive_of,
    directory,
    docker_archive,
    member,
    oci_files,
    tar,
    write_files,
)
from engine.contracts.transport import Source, Transport, TransportConfig
from engine.testing.transport import TransportContract
from engine_transport_archive.driver import ArchiveTransport

IMAGE = TestImage((tar(directory(b"bin"), member(b"bin/true", b"#!")), tar(member(b"one", b"1"))))


def stated() -> dict[str, bytes]:
    """Return the files of a layout whose index says for which platform its image is."""
    files = oci_files(IMAGE, "one:1")
    index = json.loads(files["index.json"])
    index["manifests"][0]["platform"] = {"os": "linux", "architecture": "amd64"}
    return files | {"index.json": json.dumps(index).encode()}


class _Archive(TransportContract):
    data = b""

    @pytest.fixture
    def transport(self) -> Transport:
        return ArchiveTransport(TransportConfig({}))

    @pytest.fixture
    def source(self, tmp_path: Path) -> Iterator[Source]:
        file = tmp_path / "archive.tar"
        file.write_bytes(self.data)
        with file.open("rb", buffering=0) as opened:
            yield Source("archive.tar", opened)


class TestDockerArchive(_Archive):
    data = docker_archive((IMAGE, ["one:1"]))


class TestOciArchive(_Archive):
    data = archive_of(stated())


class TestOciDirectory(_Archive):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        return Source("layout", path=str(write_files(tmp_path / "layout", stated())))
