"""The transport suite is run against broken transports: every check must catch one, and none the sound one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from io import BytesIO

import pytest

from core.tests.images.archives import TestImage, member, oci_files, sha256, tar
from engine.contracts.common import Probe
from engine.contracts.transport import (
    Capability,
    Content,
    ContentSink,
    FetchedImage,
    RemoteName,
    Source,
    Transport,
)
from engine.errors import EngineError, InvalidInput, NotFound
from engine.spec.descriptor import Descriptor, read_manifest
from engine.testing.transport import TransportContract

CHECKS = [name for name in dir(TransportContract) if name.startswith("test_")]
CAUGHT = (AssertionError, EngineError, pytest.fail.Exception)
IMAGE = TestImage((tar(member(b"one", b"1")), tar(member(b"two", b"2"))))
FILES = oci_files(IMAGE)
MANIFEST = next(sha256(data) for data in FILES.values() if b'"layers": [' in data)
SOURCE = Source("app", remote=RemoteName("registry.example", "app", "1"))
TARGET = RemoteName("registry.example", "pushed", "1")


class Sound(Transport):
    """A registry in memory, with one image in it."""

    capabilities = frozenset({Capability.REGISTRY, Capability.PUSH, Capability.TAGS})

    def __init__(self) -> None:
        self.blobs = {sha256(data): data for name, data in FILES.items() if name.startswith("blobs/")}
        self.names = {str(SOURCE.remote): MANIFEST}

    def probe(self) -> Probe:
        return Probe(True, "it is in memory")

    def can_read(self, source: Source) -> bool:
        return source.remote is not None

    def fetch(self, source: Source, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
        if source.remote is None:
            raise InvalidInput("that is no registry", fix="Name one.")
        digest = self.names.get(str(source.remote))
        if digest is None:
            raise NotFound("there is no such image", fix="Name another.")
        if platform != "linux/amd64":
            raise NotFound(f"it is not there for {platform}", fix="Choose another --platform.")
        for blob in self.needs(digest):
            self.give(blob, sink)
        sink.put(BytesIO(self.blobs[digest]).read, digest=digest)
        return (FetchedImage((), digest, digest),)

    def needs(self, digest: str) -> Sequence[Descriptor]:
        manifest = read_manifest(self.blobs[digest], "the manifest")
        return (manifest.config, *manifest.layers)

    def give(self, blob: Descriptor, sink: ContentSink) -> None:
        if not sink.has(blob.digest, blob.size):
            sink.put(BytesIO(self.blobs[blob.digest]).read, digest=blob.digest, size=blob.size)

    def push(self, manifest: str, target: RemoteName, content: Content, mountable: Sequence[str] = ()) -> str:
        self.blobs[manifest] = content.read(manifest)
        for blob in self.needs(manifest):
            if not self.names_there(target):
                content.sent("a blob", blob.size, blob.size)
        self.names |= {str(target): manifest, str(target._replace(tag="", digest=manifest)): manifest}
        return manifest

    def names_there(self, target: RemoteName) -> bool:
        return str(target) in self.names

    def tags(self, repository: RemoteName) -> Sequence[str]:
        start = f"{repository.domain}/{repository.path}:"
        found = [name.removeprefix(start) for name in self.names if name.startswith(start)]
        if not found:
            raise NotFound("there is no such repository", fix="Name another.")
        return found


class Unusable(Sound):
    def probe(self) -> Probe:
        return Probe(False, "")


class Greedy(Sound):
    def can_read(self, source: Source) -> bool:
        return True


class Forgetful(Sound):
    def needs(self, digest: str) -> Sequence[Descriptor]:
        return super().needs(digest)[:-1]


class Fickle(Sound):
    def fetch(self, source: Source, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
        (image,) = super().fetch(source, sink, platform)
        other = self.blobs[image.manifest] + b" "
        self.blobs[sha256(other)] = other
        self.names[str(source.remote)] = sha256(other)
        return (image,)


class Wasteful(Sound):
    def give(self, blob: Descriptor, sink: ContentSink) -> None:
        sink.put(BytesIO(self.blobs[blob.digest]).read)


class Naming(Sound):
    def fetch(self, source: Source, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
        return tuple(one._replace(names=("app:1",)) for one in super().fetch(source, sink, platform))


class Careless(Sound):
    """Takes any platform and any name for its own."""

    def fetch(self, source: Source, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
        return super().fetch(SOURCE, sink, "linux/amd64")


class Swallowing(Sound):
    def give(self, blob: Descriptor, sink: ContentSink) -> None:
        try:
            super().give(blob, sink)
        except EngineError:
            return

    def fetch(self, source: Source, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
        try:
            return super().fetch(source, sink, platform)
        except EngineError:
            return ()


class Hiding(Sound):
    """Can push, and does not say so."""

    capabilities = frozenset({Capability.REGISTRY})


class Repeating(Sound):
    def tags(self, repository: RemoteName) -> Sequence[str]:
        return [*super().tags(repository)] * 2


class Resending(Sound):
    def names_there(self, target: RemoteName) -> bool:
        return False


MUTANTS: dict[str, Callable[[], Transport]] = {
    "test_probe_is_usable_and_says_why": Unusable,
    "test_it_can_read_its_source_and_tells_others_apart": Greedy,
    "test_all_that_a_manifest_names_is_in_the_sink": Forgetful,
    "test_the_same_source_gives_the_same_manifest": Fickle,
    "test_layers_that_are_there_are_not_taken_again": Wasteful,
    "test_a_registry_names_the_digest_and_nothing_else": Naming,
    "test_no_image_for_the_platform_is_not_found": Careless,
    "test_a_name_that_is_not_there_is_not_found": Careless,
    "test_what_the_sink_raises_is_passed_on_and_no_thread_stays": Swallowing,
    "test_another_kind_of_source_is_refused": Careless,
    "test_undeclared_push_is_refused": Hiding,
    "test_what_was_pushed_is_fetched_again": Resending,
    "test_undeclared_tags_are_refused": Hiding,
    "test_the_tags_of_a_repository_are_listed": Repeating,
}


class TestSound(TransportContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return Sound()

    @pytest.fixture
    def source(self) -> Source:
        return SOURCE

    @pytest.fixture
    def target(self) -> RemoteName:
        return TARGET


def run(check: str, transport: Transport, request: pytest.FixtureRequest) -> None:
    """Run a check as pytest would, without its skips."""
    function = getattr(TransportContract(), check)
    names = function.__func__.__code__.co_varnames[1 : function.__func__.__code__.co_argcount]
    known = {"transport": transport, "source": SOURCE, "request": request}
    function(**{name: known[name] for name in names})


@pytest.fixture
def target() -> RemoteName:
    return TARGET


def test_every_check_has_a_mutant_and_every_mutant_a_check() -> None:
    assert sorted(MUTANTS) == sorted(CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_check_catches_its_mutant(check: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(CAUGHT):
        run(check, MUTANTS[check](), request)


def test_a_thread_that_stays_is_caught(request: pytest.FixtureRequest) -> None:
    go_on = threading.Event()

    class Lingering(Sound):
        def give(self, blob: Descriptor, sink: ContentSink) -> None:
            threading.Thread(target=go_on.wait, args=(30,)).start()
            super().give(blob, sink)

    try:
        with pytest.raises(AssertionError):
            run("test_what_the_sink_raises_is_passed_on_and_no_thread_stays", Lingering(), request)
    finally:
        go_on.set()
