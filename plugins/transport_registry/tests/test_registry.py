"""Pull and push against a real registry server, and against one that breaks off, lies, or wants to know who asks."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.tests.images.archives import (
    TestImage,
    member,
    oci_files,
    sha256,
    tar,
    write_files,
)
from engine.contracts.transport import Source, TransportConfig
from engine.errors import EngineError, ImageError, InvalidInput, NotFound, Unreachable, Unsupported
from engine.images.library import Library
from engine.metadata import images
from engine.metadata.store import Store
from engine.spec.descriptor import Platform
from engine_transport_registry.driver import RegistryTransport
from plugins.transport_registry.tests.support import AMD64, BASE, IMAGE, NOISE, archive, transport
from tests.testbed.lying import Answer, Asked, Change, LyingProxy
from tests.testbed.registry import Registry, copy, free_port

INDEX = "application/vnd.oci.image.index.v1+json"


def kept(library: Library) -> list[str]:
    """Return every file in the content store but its lock."""
    files = (path for path in library.content.root.rglob("*") if path.is_file())
    return sorted(f"{path.parent.name}/{path.name}" for path in files if path.name != "gc.lock")


def to_blob(digest: str, change: Callable[[Answer], Answer], times: int = 1) -> Change:
    """Return a change of the first answers to GET of one blob."""
    left = [times]

    def changed(asked: Asked, answer: Answer) -> Answer:
        if asked.method == "GET" and digest in asked.path and left[0] > 0:
            left[0] -= 1
            return change(answer)
        return answer

    return changed


def noise_digest() -> str:
    return sha256(gzip.compress(NOISE, 1, mtime=0))


def test_what_skopeo_pushed_is_pulled_and_named(library: Library, registry: Registry, path: str) -> None:
    name = f"{registry.domain}/{path}:1"
    pulled = library.pull(name, [transport()], platform=AMD64)
    assert (pulled.image.id, pulled.is_new) == (IMAGE.id, True)
    assert pulled.image.names == (name,)
    assert pulled.image.digests == (f"{registry.domain}/{path}@{pulled.digest}",)
    assert pulled.image.config.diff_ids == tuple(map(sha256, IMAGE.layers))
    assert library.resolve(f"{registry.domain}/{path}@{pulled.digest}").id == IMAGE.id
    assert not library.pull(name, [transport()], platform=AMD64).is_new
    assert library.remove(name).deleted == (IMAGE.id,)


def test_by_digest_there_is_no_tag(library: Library, registry: Registry, path: str) -> None:
    digest = library.pull(f"{registry.domain}/{path}:1", [transport()], platform=AMD64).digest
    library.remove(f"{registry.domain}/{path}:1")
    pulled = library.pull(f"{registry.domain}/{path}:ignored@{digest}", [transport()], platform=AMD64)
    assert (pulled.image.names, pulled.digest) == ((), digest)


def test_only_what_is_missing_is_pulled(library: Library, proxy: LyingProxy, path: str, tmp_path: Path) -> None:
    other = TestImage((BASE, tar(member(b"other"))))
    library.load(str(write_files(tmp_path / "other", oci_files(other))), [archive()], platform=AMD64)
    library.pull(f"{proxy.domain}/{path}:1", [transport()], platform=AMD64)
    assert len({one.path for one in proxy.blobs()}) == 3, "the configuration and two of three layers"


def test_what_was_pushed_is_the_same_for_skopeo(library: Library, registry: Registry, tmp_path: Path) -> None:
    library.load(str(write_files(tmp_path / "given", oci_files(IMAGE, "one:1"))), [archive()], platform=AMD64)
    name = f"{registry.domain}/pushed/one:1"
    library.tag("one:1", name)
    pushed = library.push(name, [transport()])
    assert pushed.digest == library.resolve("one:1").manifest
    assert library.resolve(f"{registry.domain}/pushed/one@{pushed.digest}").id == IMAGE.id
    copy(f"docker://{name}", f"oci:{tmp_path / 'out'}")
    assert (tmp_path / "out/blobs" / pushed.digest.replace(":", "/")).read_bytes() == library.content.read(
        pushed.digest
    )


def test_only_what_the_registry_lacks_is_pushed_or_mounted(
    library: Library, proxy: LyingProxy, path: str, tmp_path: Path
) -> None:
    library.pull(f"{proxy.domain}/{path}:1", [transport()], platform=AMD64)
    for name in (f"{proxy.domain}/{path}:2", f"{proxy.domain}/{path}/mounted:1"):
        library.tag(f"{proxy.domain}/{path}:1", name)
        proxy.asked.clear()
        library.push(name, [transport()])
        puts = [one.path for one in proxy.asked if one.method == "PUT"]
        assert [one.rpartition("/")[0].rpartition("/")[2] for one in puts] == ["manifests"], puts
    assert len([one for one in proxy.asked if "mount=" in one.path]) == 4


def test_docker_schema_2_goes_both_ways(library: Library, registry: Registry, path: str, tmp_path: Path) -> None:
    name = f"{registry.domain}/{path}"
    copy(f"docker://{name}:1", f"docker-archive:{tmp_path / 'd.tar'}:x:1")
    copy(f"docker-archive:{tmp_path / 'd.tar'}", f"docker://{name}:docker")
    pulled = library.pull(f"{name}:docker", [transport()], platform=AMD64)
    assert b"docker.distribution.manifest.v2" in library.content.read(pulled.image.manifest)
    library.tag(f"{name}:docker", f"{name}/copy:1")
    assert library.push(f"{name}/copy:1", [transport()]).digest == pulled.digest


def two_platforms(registry: Registry, path: str, place: Path) -> tuple[str, dict[str, TestImage]]:
    """Put an index of two platforms, and what is no image, under ``many``; return its digest and the images."""
    images = {name: TestImage((BASE,), architecture=name) for name in ("amd64", "arm64")}
    entries: list[dict[str, Any]] = []
    for name, image in images.items():
        files = oci_files(image)
        copy(f"oci:{write_files(place / name, files)}", f"docker://{registry.domain}/{path}:{name}")
        entry = json.loads(files["index.json"])["manifests"][0]
        entries.append(entry | {"platform": {"os": "linux", "architecture": name}})
    entries[1]["platform"]["variant"] = "v8"
    noise = entries[0] | {"platform": {"os": "unknown", "architecture": "unknown"}}
    noise["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [noise, *entries]}
    registry.put_manifest(path, "many", document)
    return sha256(json.dumps(document).encode()), images


def test_the_platform_is_chosen(library: Library, registry: Registry, path: str, tmp_path: Path) -> None:
    digest, images = two_platforms(registry, path, tmp_path)
    name = f"{registry.domain}/{path}:many"
    for platform, wanted in (("amd64", "amd64"), ("arm64", "arm64"), ("arm64/v8", "arm64")):
        pulled = library.pull(name, [transport()], platform=Platform("linux", *platform.split("/")))
        assert (pulled.image.id, pulled.digest) == (images[wanted].id, digest)
    with pytest.raises(NotFound, match="not there for linux/s390x, only for linux/amd64, linux/arm64/v8"):
        library.pull(name, [transport()], platform=Platform("linux", "s390x"))
    with pytest.raises(NotFound, match="is for linux/amd64, not for linux/arm64"):
        library.pull(f"{registry.domain}/{path}:amd64", [transport()], platform=Platform("linux", "arm64"))


def test_a_blob_that_breaks_off_is_continued(library: Library, proxy: LyingProxy, path: str) -> None:
    proxy.change = to_blob(noise_digest(), lambda answer: answer._replace(cut=len(answer.body) // 2), times=2)
    assert library.pull(f"{proxy.domain}/{path}:1", [transport()], platform=AMD64).image.id == IMAGE.id
    ranges = [one.range for one in proxy.blobs() if noise_digest() in one.path]
    assert len(ranges) == 3
    assert [one[:6] for one in ranges] == ["", "bytes=", "bytes="]
    assert [name for name in kept(library) if name.startswith("partial/")] == []


def test_a_registry_without_ranges_sends_it_again(library: Library, proxy: LyingProxy, path: str) -> None:
    whole: list[Answer] = []

    def change(answer: Answer) -> Answer:
        if not whole:
            whole.append(answer)
            return answer._replace(cut=len(answer.body) // 2)
        return whole[0]

    proxy.change = to_blob(noise_digest(), change, times=2)
    assert library.pull(f"{proxy.domain}/{path}:1", [transport()], platform=AMD64).image.id == IMAGE.id


def test_a_pull_that_was_given_up_is_continued_by_the_next(library: Library, proxy: LyingProxy, path: str) -> None:
    cut = to_blob(noise_digest(), lambda answer: answer._replace(cut=len(answer.body) // 2))
    dead = to_blob(noise_digest(), lambda answer: answer._replace(status=503, headers=[], body=b""), times=99)
    proxy.change = lambda asked, answer: dead(asked, answer) if asked.range else cut(asked, answer)
    with pytest.raises(Unreachable, match="answers 503"):
        library.pull(f"{proxy.domain}/{path}:1", [transport(retries="1")], platform=AMD64)
    assert [name for name in kept(library) if name.startswith("partial/")] == [f"partial/{noise_digest()[7:]}"]
    proxy.change = lambda _asked, answer: answer
    proxy.asked.clear()
    library.pull(f"{proxy.domain}/{path}:1", [transport()], platform=AMD64)
    (asked,) = (one for one in proxy.blobs() if noise_digest() in one.path)
    assert int(asked.range.removeprefix("bytes=").rstrip("-")) > 100_000
    assert [name for name in kept(library) if name.startswith("partial/")] == []


def test_what_was_kept_of_a_blob_and_is_damaged_is_read_anew(library: Library, proxy: LyingProxy, path: str) -> None:
    place = library.content.root / "partial" / noise_digest()[7:]
    place.parent.mkdir()
    place.write_bytes(b"damaged" * 1000)
    library.pull(f"{proxy.domain}/{path}:1", [transport()], platform=AMD64)
    assert [one.range for one in proxy.blobs() if noise_digest() in one.path] == ["bytes=7000-", ""]


def flipped(answer: Answer) -> Answer:
    return answer._replace(body=answer.body[:1000] + bytes([answer.body[1000] ^ 1]) + answer.body[1001:])


LIES: dict[str, tuple[Callable[[Answer], Answer], str]] = {
    "a changed blob": (flipped, "should have the digest"),
    "a longer blob": (lambda answer: answer._replace(body=answer.body + b"x"), "more than|should have the digest"),
    "a shorter blob": (lambda answer: answer._replace(body=answer.body[:1000]), "fewer bytes|instead of"),
    "no blob": (lambda answer: answer._replace(status=404, body=b"{}"), "has no blob"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_registry_is_found_out_and_leaves_nothing(
    lie: str, library: Library, proxy: LyingProxy, path: str
) -> None:
    change, reason = LIES[lie]
    proxy.change = to_blob(noise_digest(), change)
    with pytest.raises(EngineError, match=reason) as caught:
        library.pull(f"{proxy.domain}/{path}:1", [transport()], platform=AMD64)
    assert isinstance(caught.value, ImageError | NotFound)
    assert caught.value.fix
    assert kept(library) == []
    assert library.list() == ()


def test_a_changed_manifest_is_found_out(library: Library, proxy: LyingProxy, path: str) -> None:
    proxy.change = lambda asked, answer: (
        answer._replace(body=answer.body + b" ") if "/manifests/" in asked.path else answer
    )
    with pytest.raises(ImageError, match="sends something with the digest"):
        library.pull(f"{proxy.domain}/{path}:1", [transport()], platform=AMD64)


def test_a_busy_registry_is_asked_again(library: Library, proxy: LyingProxy, path: str) -> None:
    refusals = iter([429, 503, 500])

    def change(asked: Asked, answer: Answer) -> Answer:
        status = next(refusals, 0) if asked.path != "/v2/" else 0
        return answer._replace(status=status, headers=[("Retry-After", "0")], body=b"") if status else answer

    proxy.change = change
    assert library.pull(f"{proxy.domain}/{path}:1", [transport(retries="3")], platform=AMD64).image.id == IMAGE.id
    assert next(refusals, None) is None


def given(library: Library, tmp_path: Path, name: str) -> str:
    """Load the image under a name."""
    library.load(str(write_files(tmp_path / "given", oci_files(IMAGE, name))), [archive()], platform=AMD64)
    return name


def test_an_upload_that_breaks_off_is_begun_again(library: Library, proxy: LyingProxy, tmp_path: Path) -> None:
    name = given(library, tmp_path, f"{proxy.domain}/broken/uploads:1")
    broken: list[str] = []

    def change(asked: Asked, answer: Answer) -> Answer:
        if asked.method == "PUT" and "uploads" in asked.path and len(broken) < 2:
            broken.append(asked.path)
            return answer._replace(cut=0, body=b"xx")
        return answer

    proxy.change = change
    library.push(name, [transport()])
    assert len(broken) == 2
    assert library.pull(name, [transport()], platform=AMD64).image.id == IMAGE.id


def test_what_another_repository_has_not_is_sent(
    library: Library, proxy: LyingProxy, tmp_path: Path, store: Store
) -> None:
    name = given(library, tmp_path, f"{proxy.domain}/without/sibling:1")
    with store.transaction() as connection:
        images.point(connection, f"{proxy.domain}/no/sibling@sha256:{'0' * 64}", IMAGE.id)
    library.push(name, [transport()])
    posts = [one.path for one in proxy.asked if one.method == "POST"]
    assert len(posts) == 4, "the upload that was begun instead of a mount is used"
    assert all("mount=" in path for path in posts)


def test_what_is_not_there_is_said(library: Library, registry: Registry, path: str) -> None:
    for name in (f"{registry.domain}/{path}:none", f"{registry.domain}/no/such:1"):
        with pytest.raises(NotFound, match="has no image"):
            library.pull(name, [transport()], platform=AMD64)
    nobody = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=f"registry {nobody} cannot be reached: connection refused"):
        library.pull(f"{nobody}/x:1", [transport(retries="9")], platform=AMD64)
    with pytest.raises(Unsupported, match="no installed transport speaks"):
        library.pull(f"{registry.domain}/{path}:1", [archive()], platform=AMD64)
    assert kept(library) == []


def test_what_cannot_be_pushed_is_said(library: Library, registry: Registry, path: str) -> None:
    pulled = library.pull(f"{registry.domain}/{path}:1", [transport()], platform=AMD64)
    with pytest.raises(NotFound, match="no image of the name"):
        library.push(f"{registry.domain}/{path}:nothing", [transport()])
    with pytest.raises(InvalidInput, match="has a digest"):
        library.push(pulled.image.digests[0], [transport()])


def test_a_blob_that_is_damaged_here_is_not_pushed(library: Library, registry: Registry, tmp_path: Path) -> None:
    image = TestImage((tar(member(b"own", os.urandom(1000))),))
    name = f"{registry.domain}/damaged/one:1"
    library.load(
        str(write_files(tmp_path / "given", oci_files(image, name, compress=False))), [archive()], platform=AMD64
    )
    place = library.content.path(sha256(image.layers[0]))
    place.chmod(0o600)
    place.write_bytes(bytes(place.stat().st_size))
    with pytest.raises(EngineError, match="digest") as caught:
        library.push(name, [transport()])
    assert caught.value.fix
    with pytest.raises(NotFound):
        library.pull(name, [transport()], platform=AMD64)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_pull_that_waits(library: Library, proxy: LyingProxy, path: str) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def change(asked: Asked, answer: Answer) -> Answer:
        if noise_digest() in asked.path:
            waiting.set()
            go_on.wait(30)
        return answer

    def interrupt() -> None:
        waiting.wait(30)
        os.kill(os.getpid(), 2)

    proxy.change = change
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            library.pull(f"{proxy.domain}/{path}:1", [transport()], platform=AMD64)
        assert not go_on.is_set()
        assert not [one for one in threading.enumerate() if one.name.startswith("blob")]
    finally:
        go_on.set()
    assert library.list() == ()


@pytest.mark.parametrize(
    "options",
    [{"colour": "red"}, {"parallel": "0"}, {"tls-verify": "perhaps"}, {"certificates": "here"}, {"retries": "x"}],
)
def test_impossible_options_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        RegistryTransport(TransportConfig(options))
    assert not transport().can_read(Source("file", path="/"))


def test_the_tag_moves_and_the_digest_stays(library: Library, registry: Registry, path: str, tmp_path: Path) -> None:
    name = f"{registry.domain}/{path}/moved:1"
    copy(f"docker://{registry.domain}/{path}:1", f"docker://{name}")
    old = library.pull(name, [transport()], platform=AMD64)
    new = TestImage((BASE,))
    copy(f"oci:{write_files(tmp_path / 'new', oci_files(new))}", f"docker://{name}")
    assert library.pull(name, [transport()], platform=AMD64).is_new
    assert library.resolve(name).id == new.id
    assert library.resolve(f"{registry.domain}/{path}/moved@{old.digest}").names == ()


def test_tags_are_read_page_by_page_from_the_registry_alone(library: Library, proxy: LyingProxy, path: str) -> None:
    elsewhere = "<http://registry.invalid/v2/more>"
    pages = {
        "": (["1", "two"], f"</v2/{path}/tags/list?last=two>"), "last=two": (["two", "v3"], elsewhere),
    }  # fmt: skip

    def answer(asked: Asked, true: Answer) -> Answer:
        place, _, query = asked.path.partition("?")
        if not place.endswith("/tags/list"):
            return true
        tags, link = pages[query]
        headers = [("Content-Type", "application/json"), ("Link", f'{link}; rel="next"')]
        return Answer(200, headers, json.dumps({"name": path, "tags": tags}).encode())

    proxy.change = answer
    names = library.tagged(f"{proxy.domain}/{path}", [transport()])
    assert names == tuple(f"{proxy.domain}/{path}:{tag}" for tag in ("1", "two", "v3"))
    pages["last=two"] = (["../../up"], elsewhere)
    with pytest.raises(ImageError, match="impossible tag"):
        library.tagged(f"{proxy.domain}/{path}", [transport()])
