"""Archives that other tools write, and hostile ones: each is refused with a reason, and nothing of it stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.tests.images.archives import (
    TestImage,
    archive_of,
    described,
    directory,
    docker_archive,
    hardlink,
    layout,
    member,
    oci_files,
    sha256,
    symlink,
    tar,
    write_files,
)
from engine.contracts.transport import Source, TransportConfig
from engine.errors import EngineError, ImageError, InvalidInput, NotFound
from engine.images.library import Library
from engine.metadata.store import Store
from engine.spec.descriptor import Platform
from engine_transport_archive.driver import ArchiveTransport

AMD64 = Platform("linux", "amd64")
BASE = tar(directory(b"bin"), member(b"bin/true", b"#!" * 4000, mode=0o755))
IMAGE = TestImage((BASE, tar(member(b"one", b"1"))))
GOOD = oci_files(IMAGE, "one:1")
INDEX, MANIFEST = "index.json", "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    root = tmp_path / "engine"
    root.mkdir()
    with Store(root) as store:
        yield Library(root, store.connection)


def load(library: Library, source: Path, platform: Platform = AMD64) -> list[tuple[str, tuple[str, ...]]]:
    loaded = library.load(str(source), [ArchiveTransport(TransportConfig({}))], platform=platform)
    return [(one.image.id, one.image.names) for one in loaded]


def kept(library: Library) -> list[str]:
    """Return every file in the content store but its lock."""
    files = (path for path in library.content.root.rglob("*") if path.is_file())
    return sorted(path.name for path in files if path.name != "gc.lock")


def manifest_of(files: dict[str, bytes]) -> tuple[str, dict[str, Any]]:
    (entry,) = json.loads(files[INDEX])["manifests"]
    name = "blobs/" + entry["digest"].replace(":", "/")
    return name, json.loads(files[name])


def with_manifest(change: dict[str, Any], files: dict[str, bytes] = GOOD) -> dict[str, bytes]:
    """Return a layout whose manifest has other fields, all digests right."""
    name, manifest = manifest_of(files)
    blobs = [data for path, data in files.items() if path.startswith("blobs/") and path != name]
    return layout(json.dumps(manifest | change).encode(), blobs, "one:1")


def with_config(config: bytes) -> dict[str, bytes]:
    """Return a layout whose image has another configuration, all digests right."""
    _, manifest = manifest_of(GOOD)
    blobs = [data for path, data in GOOD.items() if path.startswith("blobs/")]
    manifest["config"] = described(config, manifest["config"]["mediaType"])
    return layout(json.dumps(manifest).encode(), [*blobs, config], "one:1")


def without(name: str) -> dict[str, bytes]:
    return {path: data for path, data in GOOD.items() if name not in path}


def layer_name() -> str:
    return manifest_of(GOOD)[1]["layers"][0]["digest"][7:]


DOCKER = docker_archive((IMAGE, ["one:1"]))
CONFIG = f"{IMAGE.id[7:]}.json"


def docker(listed: Any, *members: bytes) -> bytes:
    return tar(*members, member(b"manifest.json", json.dumps(listed).encode()))


def one_listed(**change: Any) -> list[dict[str, Any]]:
    return [{"Config": "c.json", "RepoTags": ["one:1"], "Layers": ["a", "b"]} | change]


PARTS = (member(b"c.json", IMAGE.config()), member(b"a", IMAGE.layers[0]), member(b"b", IMAGE.layers[1]))

HOSTILE: dict[str, tuple[bytes | dict[str, bytes], str]] = {
    "nothing": (b"", "no image archive"),
    "text": (b"hello\n" * 200, "no image archive"),
    "an empty tar": (tar(member(b"x")), "holds no image"),
    "a root filesystem": (BASE, "holds no image"),
    "an archive cut in a layer": (archive_of(GOOD)[:4000], "cut short"),
    "an archive cut in a header": (archive_of(GOOD)[:1000], "cut short"),
    "an archive of gzip cut short": (b"\x1f\x8b\x08" + bytes(100), "gzip"),
    "a sparse member": (tar(member(b"x", b"", pax={b"GNU.sparse.map": b"", b"GNU.sparse.size": b"9"})), "sparse"),
    "an index that is no JSON": (GOOD | {INDEX: b"{"}, "not a JSON document"),
    "an index that is a list": (GOOD | {INDEX: b"[]"}, "not a JSON object"),
    "an index of the wrong types": (GOOD | {INDEX: b'{"manifests": [3]}'}, "other than objects"),
    "an index of nothing": (GOOD | {INDEX: b'{"manifests": []}'}, "no image for"),
    "an index nested deep": (GOOD | {INDEX: b'{"manifests":' + b"[" * 200 + b"]" * 200 + b"}"}, "nested"),
    "an index nested past Python": (GOOD | {INDEX: b"[" * 200_000}, "not a JSON document"),
    "an index with a number of any length": (GOOD | {INDEX: b'{"a":' + b"9" * 10_000 + b"}"}, "not a JSON document"),
    "an index of megabytes": (GOOD | {INDEX: b" " * 5_000_000}, "larger than"),
    "an index that is not UTF-8": (GOOD | {INDEX: b'{"a": "\xff"}'}, "not a JSON document"),
    "a digest that is a path": (
        GOOD | {INDEX: json.dumps({"manifests": [described(b"", MANIFEST) | {"digest": "sha256:../../x"}]}).encode()},
        "not a sha256 digest",
    ),
    "a size below zero": (
        GOOD | {INDEX: json.dumps({"manifests": [described(b"", MANIFEST) | {"size": -1}]}).encode()}, "number",
    ),
    "another layout version": (GOOD | {"oci-layout": b'{"imageLayoutVersion": "2.0.0"}'}, "version"),
    "a manifest that is missing": (without(manifest_of(GOOD)[0]), "no file"),
    "a manifest that was changed": (GOOD | {manifest_of(GOOD)[0]: b"{}"}, "not what its name says"),
    "a layer that is missing": (without(layer_name()), "does not hold layer 1 of 2"),
    "a layer that was changed": (GOOD | {f"blobs/sha256/{layer_name()}": b"x" * 100}, "layer 1 of 2"),
    "a layer of the wrong size": (
        with_manifest({"layers": [one | {"size": 7} for one in manifest_of(GOOD)[1]["layers"]]}), "more than 7",
    ),
    "a layer too many": (with_manifest({"layers": manifest_of(GOOD)[1]["layers"] * 2}), "has 4 layers"),
    "too many layers": (with_manifest({"layers": manifest_of(GOOD)[1]["layers"] * 300}), "at most 500"),
    "a layer of unknown type": (
        with_manifest({"layers": [described(b"", "application/x-encrypted")]}), "unknown type",
    ),
    "an artifact": (with_manifest({"config": described(b"{}", "application/vnd.oci.empty.v1+json")}), "artifact"),
    "no configuration": (with_manifest({"config": None}), "no"),
    "a configuration of wrong types": (with_config(IMAGE.config(config={"Env": "PATH"})), "list of texts"),
    "a configuration with NUL": (with_config(IMAGE.config(config={"Cmd": ["a\0b"]})), "list of texts"),
    "a configuration without a platform": (with_config(IMAGE.config(os="")), "which os"),
    "a configuration for another machine": (with_config(IMAGE.config(architecture="s390x")), "linux/s390x"),
    "diff IDs that are none": (with_config(IMAGE.config(rootfs={"diff_ids": ["x", "y"]})), "diff ID"),
    "an impossible name": (oci_files(IMAGE, "../etc/passwd"), "impossible name"),
    "a manifest.json that is no list": (docker({}, *PARTS), "list"),
    "a manifest.json of wrong types": (docker(one_listed(Layers="a"), *PARTS), "list of texts"),
    "a configuration that is missing": (docker(one_listed(Config="../c.json"), *PARTS[1:]), "no file"),
    "a configuration that is a directory": (docker(one_listed(), directory(b"c.json"), *PARTS[1:]), "no file"),
    "a configuration that is a fifo": (docker(one_listed(), member(b"c.json", kind=b"6"), *PARTS[1:]), "no file"),
    "links in a circle": (docker(one_listed(Config="l"), symlink(b"l", b"m"), symlink(b"m", b"l"), *PARTS), "no file"),
    "a link out of the archive": (docker(one_listed(Config="l"), symlink(b"l", b"/etc/passwd"), *PARTS), "no file"),
    "a hard link out": (docker(one_listed(Config="l"), hardlink(b"l", b"../../etc/passwd"), *PARTS), "no file"),
    "a layer fewer": (docker(one_listed(Layers=["a"]), *PARTS), "lists 1 layers"),
    "layers in the wrong order": (docker(one_listed(Layers=["b", "a"]), *PARTS), "layer 1 of 2"),
    "a layer not as its diff ID": (docker(one_listed(), PARTS[0], member(b"a", BASE[:-512]), PARTS[2]), "layer 1 of 2"),
    "a configuration not as its name": (
        tar(member(CONFIG.encode(), b"{}"), member(b"manifest.json", json.dumps(one_listed(Config=CONFIG)).encode())),
        "not what its name says",
    ),
    "docker's name is impossible": (docker(one_listed(RepoTags=["UPPER"]), *PARTS), "impossible name"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(library: Library, tmp_path: Path, name: str) -> None:
    archive, reason = HOSTILE[name]
    source = tmp_path / "source.tar"
    source.write_bytes(archive if isinstance(archive, bytes) else archive_of(archive))
    with pytest.raises(EngineError, match=reason) as caught:
        load(library, source)
    assert isinstance(caught.value, ImageError | NotFound | InvalidInput)
    assert caught.value.fix
    assert kept(library) == []
    assert library.list() == ()


def test_the_good_ones_are_good(library: Library, tmp_path: Path) -> None:
    for data in (archive_of(GOOD), DOCKER, docker(one_listed(), *PARTS), archive_of(with_manifest({}))):
        source = tmp_path / "source.tar"
        source.write_bytes(data)
        assert load(library, source) == [(IMAGE.id, ("one:1",))]


def test_layers_kept_once_by_links_are_found(library: Library, tmp_path: Path) -> None:
    source = tmp_path / "source.tar"
    links = (directory(b"x/"), member(b"x/layer.tar", BASE), symlink(b"y/layer.tar", b"../x/layer.tar"))
    twice = TestImage((BASE, BASE))
    config = member(b"c.json", twice.config())
    source.write_bytes(docker(one_listed(Layers=["x/layer.tar", "y/layer.tar"]), config, *links))
    assert load(library, source) == [(twice.id, ("one:1",))]


def test_hostile_files_below_a_directory_are_not_opened(library: Library, tmp_path: Path) -> None:
    source = write_files(tmp_path / "source", GOOD)
    layer = source / "blobs" / "sha256" / layer_name()
    secret = tmp_path / "secret"
    layer.rename(secret)
    layer.symlink_to(secret)
    with pytest.raises(ImageError, match="does not hold layer 1"):
        load(library, source)
    layer.unlink()
    os.mkfifo(layer)
    with pytest.raises(ImageError, match="does not hold layer 1"):
        load(library, source)
    assert kept(library) == []


def test_the_platform_is_chosen(library: Library, tmp_path: Path) -> None:
    images = {arch: TestImage((BASE,), architecture=arch) for arch in ("amd64", "arm64")}
    files: dict[str, bytes] = {}
    entries = []
    for arch, image in images.items():
        one = oci_files(image)
        entry = json.loads(one[INDEX])["manifests"][0] | {"platform": {"os": "linux", "architecture": arch}}
        if arch == "arm64":
            entry["platform"]["variant"] = "v8"
        entries.append(entry)
        files |= one
    noise = described(b"{}", MANIFEST) | {"platform": {"os": "unknown", "architecture": "unknown"}}
    nested = json.dumps({"schemaVersion": 2, "manifests": [noise, *entries]}).encode()
    outer = described(nested, "application/vnd.oci.image.index.v1+json")
    outer["annotations"] = {"io.containerd.image.name": "docker.io/library/many:1"}
    files[f"blobs/sha256/{sha256(nested)[7:]}"] = nested
    for index in ([outer], entries):
        files[INDEX] = json.dumps({"schemaVersion": 2, "manifests": index}).encode()
        source = tmp_path / "source.tar"
        source.write_bytes(archive_of(files))
        assert [one[0] for one in load(library, source)] == [images["amd64"].id]
        assert [one[0] for one in load(library, source, Platform("linux", "arm64"))] == [images["arm64"].id]
        assert [one[0] for one in load(library, source, Platform("linux", "arm64", "v8"))] == [images["arm64"].id]
        with pytest.raises(NotFound, match="linux/s390x"):
            load(library, source, Platform("linux", "s390x"))
    assert library.resolve("many:1").id == images["arm64"].id


SKOPEO = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


@SKOPEO
@pytest.mark.parametrize("form", ["docker-archive:{}/out:one:2", "oci-archive:{}/out:one:2", "oci:{}/out:one:2"])
def test_what_skopeo_writes_is_read(library: Library, tmp_path: Path, form: str) -> None:
    given = tmp_path / "given.tar"
    given.write_bytes(DOCKER)
    source = f"docker-archive:{given}"
    subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", source, form.format(tmp_path)], check=True)
    ((image_id, names),) = load(library, tmp_path / "out")
    assert names == ("one:2",)
    assert library.resolve(image_id).config.diff_ids == tuple(map(sha256, IMAGE.layers))


def test_what_docker_writes_since_version_25_is_read(library: Library, tmp_path: Path) -> None:
    """It has an OCI layout whose index names nothing but the tag, and a manifest.json beside it that has the names."""
    files = oci_files(IMAGE, compress=False)
    layers = [f"blobs/sha256/{sha256(layer)[7:]}" for layer in IMAGE.layers]
    listed = [{"Config": f"blobs/sha256/{IMAGE.id[7:]}", "RepoTags": ["example.org/one:1"], "Layers": layers}]
    files["manifest.json"] = json.dumps(listed).encode()
    source = tmp_path / "source.tar"
    source.write_bytes(archive_of(files))
    assert load(library, source) == [(IMAGE.id, ("example.org/one:1",))]


def test_what_can_be_read_is_told_without_reading(tmp_path: Path) -> None:
    transport = ArchiveTransport(TransportConfig({}))
    assert transport.probe().usable
    for data, readable in ((DOCKER, True), (b"\x1f\x8b\x08", True), (b"", False), (b"text" * 100, False)):
        file = tmp_path / "file"
        file.write_bytes(data)
        with file.open("rb", buffering=0) as opened:
            assert transport.can_read(Source("file", opened)) is readable
            assert opened.tell() == 0
    assert not transport.can_read(Source("d", path=str(tmp_path)))
    assert transport.can_read(Source("d", path=str(write_files(tmp_path / "layout", GOOD))))


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(InvalidInput, match="colour"):
        ArchiveTransport(TransportConfig({"colour": "red"}))
