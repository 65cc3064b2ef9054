"""Archives for the tests, byte by byte: tar members as no sane tool would write them, layers, images."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK = 512


def member(
    name: bytes,
    data: bytes = b"",
    kind: bytes = b"0",
    *,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    size: int | None = None,
    mtime: int = 1_000_000_000,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    pax: dict[bytes, bytes] | None = None,
) -> bytes:
    """Return one member, with a PAX header before it when ``pax`` has records."""
    header = bytearray(BLOCK)
    header[0:100] = name[:100].ljust(100, b"\0")
    header[100:108] = b"%07o\0" % mode
    header[108:116] = b"%07o\0" % uid
    header[116:124] = b"%07o\0" % gid
    header[124:136] = b"%011o\0" % (len(data) if size is None else size)
    header[136:148] = b"%011o\0" % mtime
    header[156:157] = kind
    header[157:257] = link[:100].ljust(100, b"\0")
    header[257:265] = b"ustar\x0000"
    header[329:337] = b"%07o\0" % device[0]
    header[337:345] = b"%07o\0" % device[1]
    return records(pax or {}) + checked(header) + data + bytes(-len(data) % BLOCK)


def checked(header: bytearray) -> bytes:
    """Return the header with its checksum."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def records(pax: dict[bytes, bytes]) -> bytes:
    """Return a PAX header with these records."""
    if not pax:
        return b""
    data = b"".join(record(key, value) for key, value in pax.items())
    return member(b"PaxHeader", data, b"x")


def record(key: bytes, value: bytes) -> bytes:
    """Return one PAX record: its own length comes first, and counts itself."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest


def directory(name: bytes, mode: int = 0o755, **fields: Any) -> bytes:
    """Return a directory's member."""
    return member(name, kind=b"5", mode=mode, **fields)


def symlink(name: bytes, target: bytes) -> bytes:
    """Return a symbolic link's member."""
    return member(name, kind=b"2", link=target)


def hardlink(name: bytes, target: bytes) -> bytes:
    """Return a hard link's member."""
    return member(name, kind=b"1", link=target)


def tar(*members: bytes) -> bytes:
    """Return an archive."""
    return b"".join(members) + bytes(2 * BLOCK)


def sha256(data: bytes) -> str:
    """Return the digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class TestImage:
    """An image to be put in an archive: uncompressed layers, and what its configuration says beside them."""

    __test__ = False

    layers: tuple[bytes, ...]
    cmd: tuple[str, ...] = ("/bin/true",)
    architecture: str = "amd64"

    def config(self, **wrong: Any) -> bytes:
        """Return the configuration, with fields replaced."""
        rootfs = {"type": "layers", "diff_ids": [sha256(layer) for layer in self.layers]}
        plain = {
            "architecture": self.architecture, "os": "linux", "created": "2024-01-02T03:04:05Z",
            "config": {"Cmd": list(self.cmd), "Env": ["PATH=/bin"]}, "rootfs": rootfs,
        }  # fmt: skip
        return json.dumps(plain | wrong).encode()

    @property
    def id(self) -> str:
        """The image's ID."""
        return sha256(self.config())


def docker_archive(*images: tuple[TestImage, list[str]]) -> bytes:
    """Return what ``docker save`` of version 1.10 to 24 writes."""
    files: dict[str, bytes] = {}
    listed = []
    for image, names in images:
        config = image.config()
        name = f"{sha256(config)[7:]}.json"
        files[name] = config
        layers = [f"{sha256(layer)[7:]}/layer.tar" for layer in image.layers]
        files |= dict(zip(layers, image.layers, strict=True))
        listed.append({"Config": name, "RepoTags": names, "Layers": layers})
    files["manifest.json"] = json.dumps(listed).encode()
    return tar(*(member(name.encode(), data) for name, data in files.items()))


def oci_files(image: TestImage, name: str = "", *, compress: bool = True) -> dict[str, bytes]:
    """Return the files of an OCI layout that holds one image."""
    layers = [gzip.compress(layer, 1, mtime=0) if compress else layer for layer in image.layers]
    suffix = "+gzip" if compress else ""
    config = image.config()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(layer, f"application/vnd.oci.image.layer.v1.tar{suffix}") for layer in layers],
    }
    return layout(json.dumps(manifest).encode(), [config, *layers], name)


def layout(manifest: bytes, blobs: list[bytes], name: str = "", **platform: str) -> dict[str, bytes]:
    """Return the files of an OCI layout with one manifest and these blobs."""
    entry = described(manifest, "application/vnd.oci.image.manifest.v1+json")
    if name:
        entry["annotations"] = {"io.containerd.image.name": name}
    if platform:
        entry["platform"] = platform
    files = {"blobs/sha256/" + sha256(blob)[7:]: blob for blob in (*blobs, manifest)}
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    return files


def described(data: bytes, media_type: str) -> dict[str, Any]:
    """Return a descriptor."""
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}


def archive_of(files: dict[str, bytes]) -> bytes:
    """Return a tar archive of these files."""
    return tar(*(member(name.encode(), data) for name, data in files.items()))


def write_files(directory: Path, files: dict[str, bytes]) -> Path:
    """Write files below a directory and return it."""
    for name, data in files.items():
        place = directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return directory
