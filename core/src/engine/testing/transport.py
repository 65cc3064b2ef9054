"""The contract suite of image transports: what every sentence of `engine.contracts.transport` means, tried.

A plugin's test module is a subclass with two fixtures, and with a third where it can push::

    class TestMine(TransportContract):
        @pytest.fixture
        def transport(self):
            return MyTransport(TransportConfig({}))

        @pytest.fixture
        def source(self):
            return Source("name", remote=RemoteName("registry.example", "app", "1"))

        @pytest.fixture
        def target(self):
            return RemoteName("registry.example", "pushed", "1")

``source`` holds an image that says to be for ``platform``, and none for "plan9/vax". Nothing here needs root.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO

import pytest

from engine.contracts.common import Probe
from engine.contracts.transport import (
    Begin,
    Blob,
    Capability,
    Content,
    ContentSink,
    FetchedImage,
    RemoteName,
    Source,
    Transport,
)
from engine.errors import EngineError, ImageError, InvalidInput, NotFound, Unsupported
from engine.spec.descriptor import read_manifest
from engine.spec.image import read_config

_NOWHERE = "plan9/vax"


class Full(EngineError):
    """What `Blobs` raises when it is to take no more."""


class Blobs(ContentSink, Content):
    """A sink and content in memory. ``taken`` lists what was put, in order; ``most`` is how much it takes."""

    def __init__(self, most: int = 1 << 40) -> None:
        self.blobs: dict[str, bytes] = {}
        self.taken: list[str] = []
        self.told: list[tuple[int, int]] = []
        self._most = most
        self._lock = threading.Lock()

    def has(self, digest: str, size: int) -> bool:
        """Return whether it is here."""
        return len(self.blobs.get(digest, b"")) == size and digest in self.blobs

    def put(
        self, read: Callable[[int], bytes], *, digest: str | None = None, size: int | None = None, what: str = "a blob"
    ) -> Blob:
        """Take in a blob."""
        data = b""
        while chunk := read(65536):
            data += chunk
            if len(data) > self._most:
                raise Full(f"there is no room for {what}", fix="Make some.")
        actual = "sha256:" + hashlib.sha256(data).hexdigest()
        if (digest or actual, len(data) if size is None else size) != (actual, len(data)):
            raise ImageError(f"{what} is not what was promised", fix="Get it again.")
        with self._lock:
            self.blobs[actual] = data
            self.taken.append(actual)
        return Blob(actual, len(data))

    def resume(self, begin: Begin, digest: str, size: int, *, what: str) -> Blob:
        """Take in a blob from its beginning: nothing was cut off."""
        return self.put(begin(0), digest=digest, size=size, what=what)

    def expect(self, manifest: bytes) -> None:
        """See that the configuration came first."""
        self.read(read_manifest(manifest, "the manifest").config.digest)

    def seekable(self, file: BinaryIO, what: str) -> BinaryIO:
        """Return the file in memory."""
        return BytesIO(file.read())

    def open(self, digest: str, size: int | None = None) -> BinaryIO:
        """Open a blob."""
        return BytesIO(self.read(digest))

    def read(self, digest: str) -> bytes:
        """Return a blob."""
        if digest not in self.blobs:
            raise NotFound(f"there is no blob {digest}")
        return self.blobs[digest]

    def sent(self, what: str, count: int, total: int) -> None:
        """Take note."""
        self.told.append((count, total))


def _fetch(transport: Transport, source: Source, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
    """Fetch from the source's beginning, which `fetch` is promised."""
    if source.file is not None:
        source.file.seek(0)
    return transport.fetch(source, sink, platform)


class TransportContract:
    """Subclass it; see the module's text."""

    platform = "linux/amd64"

    @pytest.fixture
    def transport(self) -> Transport:
        """Return the transport. A plugin's own."""
        raise NotImplementedError

    @pytest.fixture
    def source(self) -> Source:
        """Return a source with an image. A plugin's own."""
        raise NotImplementedError

    @pytest.fixture
    def target(self) -> RemoteName:
        """Return where an image can be pushed to. A plugin's own, when it can push."""
        raise NotImplementedError

    def test_probe_is_usable_and_says_why(self, transport: Transport) -> None:
        """Where the suite runs it is usable, and it says why."""
        answer = transport.probe()
        assert isinstance(answer, Probe)
        assert answer.usable
        assert answer.reason

    def test_it_can_read_its_source_and_tells_others_apart(self, transport: Transport, source: Source) -> None:
        """It says yes to its source, and to registries if and only if it declares them."""
        assert transport.can_read(source)
        assert not transport.can_read(Source("nothing", path="/proc/nothing-of-this-name"))
        remote = Source("somewhere", remote=RemoteName("registry.invalid", "some/image", "1"))
        assert transport.can_read(remote) is (Capability.REGISTRY in transport.capabilities)

    def test_all_that_a_manifest_names_is_in_the_sink(self, transport: Transport, source: Source) -> None:
        """All that a manifest names is there when `fetch` returns, of the sizes that it says."""
        sink = Blobs()
        images = _fetch(transport, source, sink, self.platform)
        assert images
        for image in images:
            manifest = read_manifest(sink.read(image.manifest), "the manifest")
            for blob in (manifest.config, *manifest.layers):
                assert len(sink.read(blob.digest)) == blob.size
            config = read_config(sink.read(manifest.config.digest), "the configuration")
            assert len(config.diff_ids) == len(manifest.layers)
            assert str(config.platform).startswith(self.platform)

    def test_the_same_source_gives_the_same_manifest(self, transport: Transport, source: Source) -> None:
        """A manifest that is written for an image is the same each time."""
        first, second = (_fetch(transport, source, Blobs(), self.platform) for _ in range(2))
        assert first == second

    def test_layers_that_are_there_are_not_taken_again(self, transport: Transport, source: Source) -> None:
        """What the sink has is not sent."""
        sink = Blobs()
        (image, *_) = _fetch(transport, source, sink, self.platform)
        layers = {layer.digest for layer in read_manifest(sink.read(image.manifest), "the manifest").layers}
        sink.taken.clear()
        _fetch(transport, source, sink, self.platform)
        assert not layers & set(sink.taken)

    def test_a_registry_names_the_digest_and_nothing_else(self, transport: Transport, source: Source) -> None:
        """The core knows the name of what it asked a registry for; it wants the digest."""
        if source.remote is None:
            pytest.skip("the source is no registry")
        (image,) = _fetch(transport, source, Blobs(), self.platform)
        assert image.names == ()
        assert image.digest.startswith("sha256:")

    def test_no_image_for_the_platform_is_not_found(self, transport: Transport, source: Source) -> None:
        """The platform that was asked for is named."""
        with pytest.raises(NotFound, match=_NOWHERE) as caught:
            _fetch(transport, source, Blobs(), _NOWHERE)
        assert caught.value.fix

    def test_a_name_that_is_not_there_is_not_found(self, transport: Transport, source: Source) -> None:
        """A tag that a registry has not is `NotFound`."""
        if source.remote is None:
            pytest.skip("the source is no registry")
        missing = source._replace(remote=source.remote._replace(tag="no-such-tag", digest=""))
        with pytest.raises(NotFound) as caught:
            transport.fetch(missing, Blobs(), self.platform)
        assert caught.value.fix

    def test_what_the_sink_raises_is_passed_on_and_no_thread_stays(self, transport: Transport, source: Source) -> None:
        """A full disk is told as such, and nothing goes on in the background."""
        before = set(threading.enumerate())
        with pytest.raises(Full):
            _fetch(transport, source, Blobs(most=0), self.platform)
        left = {one for one in threading.enumerate() if not one.daemon} - before
        assert not left

    def test_another_kind_of_source_is_refused(self, transport: Transport, source: Source) -> None:
        """What is neither file nor directory nor in a registry is refused."""
        with pytest.raises(InvalidInput) as caught:
            transport.fetch(Source(source.name), Blobs(), self.platform)
        assert caught.value.fix

    def test_undeclared_push_is_refused(self, transport: Transport, source: Source) -> None:
        """Who does not declare push refuses it."""
        if Capability.PUSH in transport.capabilities:
            pytest.skip("the transport declares push")
        with pytest.raises(Unsupported) as caught:
            transport.push("sha256:" + "0" * 64, RemoteName("registry.invalid", "x", "1"), Blobs())
        assert caught.value.fix

    def test_what_was_pushed_is_fetched_again(
        self, transport: Transport, source: Source, request: pytest.FixtureRequest
    ) -> None:
        """An image comes back as it was sent, by tag and by digest; the second time nothing is sent."""
        if Capability.PUSH not in transport.capabilities:
            pytest.skip("the transport does not declare push")
        target: RemoteName = request.getfixturevalue("target")
        given, got = Blobs(), Blobs()
        (image, *_) = _fetch(transport, source, given, self.platform)
        digest = transport.push(image.manifest, target, given)
        assert all(0 < count <= total for count, total in given.told)
        (again,) = transport.fetch(Source("pushed", remote=target), got, self.platform)
        assert (again.digest, again.manifest) == (digest, image.manifest)
        named = target._replace(tag="", digest=digest)
        assert transport.fetch(Source("pushed", remote=named), Blobs(), self.platform) == (again,)
        given.told.clear()
        assert transport.push(image.manifest, target, given) == digest
        assert given.told == [], "what is there was sent again"

    def test_undeclared_tags_are_refused(self, transport: Transport) -> None:
        """Who does not declare tags refuses to list them."""
        if Capability.TAGS in transport.capabilities:
            pytest.skip("the transport declares tags")
        with pytest.raises(Unsupported) as caught:
            transport.tags(RemoteName("registry.invalid", "x", "1"))
        assert caught.value.fix

    def test_the_tags_of_a_repository_are_listed(self, transport: Transport, source: Source) -> None:
        """The source's own tag is among them, once; a repository that is not there is `NotFound`."""
        if Capability.TAGS not in transport.capabilities or source.remote is None:
            pytest.skip("the transport does not declare tags")
        assert list(transport.tags(source.remote)).count(source.remote.tag) == 1
        with pytest.raises(NotFound) as caught:
            transport.tags(source.remote._replace(path=f"{source.remote.path}/no-such"))
        assert caught.value.fix
