"""The contract of image transports: where images come from, and where they go.

Vocabulary: a *source* is what the user named (a file, a directory, ``-`` for standard input, a name in a registry); a
*blob* is bytes named by their SHA-256; a *manifest* lists the blobs of one image (manifest.md); the *sink* is where the
core takes blobs in, *content* where it gives them out.

A worked scenario, `engine load -i app.tar`::

    transport.can_read(source)                        the core asks each transport until one says yes
    transport.fetch(source, sink, "linux/amd64")      which looks inside, and for every image it finds:
        sink.has(layer_digest, layer_size)            True: here already, no need to send it
        sink.put(read, digest=…, size=…, what=…)      the layer, the configuration, last the manifest
    -> (FetchedImage(("app:1.0",), manifest_digest),) the core checks the manifest and records the names

Another, `engine pull registry.example/app:1.0` and `engine push registry.example/app:1.0`::

    transport.can_read(Source(name, remote=RemoteName("registry.example", "app", "1.0")))
    transport.fetch(source, sink, "linux/amd64")      the manifest for the platform first, and its configuration;
        sink.expect(manifest)                         then the other blobs, several at a time, each from where an
        sink.has(digest, size)                        earlier pull was cut off:
        sink.resume(begin, digest, size, what=…)      begin(offset) asks the registry for the rest
    -> (FetchedImage((), manifest_digest, digest),)   the core records the name, and the digest it stood for

    transport.push(manifest_digest, RemoteName(…), content)     (Capability.PUSH)
        content.open(layer_digest)                    what the registry lacks; last the manifest
    -> digest                                         by which the registry knows it

Invariants. All that a manifest names is in the sink before `fetch` returns it. A transport that raises leaves nothing:
the sink forgets what it was given. A transport that finds another format than the image-spec's (docker-archive) writes
a manifest for it, the same bytes for the same image; layers are passed on as they are, never compressed anew. Nothing
names a pushed image before all that it needs is there. Secrets (passwords, tokens, signed addresses) are in no error.
What a source holds is hostile: names in it are looked up, never opened; documents are parsed with `engine.spec`.

Every method is called by the command that the user typed (the CLI's process), as the user, in the host's namespaces.
The methods of sink and content may be called from several threads at a time; `fetch` and `push` end their threads
before they return or raise, `KeyboardInterrupt` included.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import BinaryIO

from engine.contracts.common import Probe
from engine.errors import Unsupported
from engine.tuples import NamedTuple


class Capability(StrEnum):
    """Optional behaviour. What is not declared must be refused with `engine.errors.Unsupported`."""

    REGISTRY = "registry"
    """Sources in registries (``Source.remote``), and the option ``tls-verify`` ("true", "false") for them."""
    PUSH = "push"
    """`Transport.push`: images can be sent there too."""
    TAGS = "tags"
    """`Transport.tags`: what is in a repository can be listed."""


class TransportConfig(NamedTuple):
    """What the factory hook gets: the user's and the settings' options (an unknown key is `InvalidInput`)."""

    options: Mapping[str, str]


class RemoteName(NamedTuple):
    """An image in a registry, all of it filled in: "docker.io", "library/busybox", and a tag or a digest.

    ``domain`` may have a port ("localhost:5000"); of ``tag`` and ``digest`` exactly one is not "".
    """

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.domain}/{self.path}" + (f"@{self.digest}" if self.digest else f":{self.tag}")


class Source(NamedTuple):
    """Where to read: a file, a directory or a registry; exactly one of the last three is not None.

    ``name``    what the user typed, for messages
    ``file``    an open file at its start, possibly a pipe, which cannot seek
    ``path``    the directory
    ``remote``  the image in a registry
    """

    name: str
    file: BinaryIO | None = None
    path: str | None = None
    remote: RemoteName | None = None


class Blob(NamedTuple):
    """A blob that the sink has taken in: its digest ("sha256:…") and bytes."""

    digest: str
    size: int


class FetchedImage(NamedTuple):
    """One image of a source: the names it bears there (as written, possibly none), and its manifest's digest.

    ``digest`` is what a registry's name stands for: that of the index when it has several platforms, else the
    manifest's; "" where names stand for no digest. A registry's image has no ``names``: the core knows its name.
    """

    names: tuple[str, ...]
    manifest: str
    digest: str = ""


Begin = Callable[[int], Callable[[int], bytes]]
"""From an offset in a blob to what reads it from there, in pieces of at most the asked size, to its end."""


class ContentSink(ABC):
    """Where a transport puts blobs. Made by the core for one `fetch`; no blob in it is collected while it lives."""

    @abstractmethod
    def has(self, digest: str, size: int) -> bool:
        """Return whether the blob is here and whole (it is verified); then it stays at least until `fetch` is over."""

    @abstractmethod
    def put(
        self, read: Callable[[int], bytes], *, digest: str | None = None, size: int | None = None, what: str = "a blob"
    ) -> Blob:
        """Take in a blob, read to its end in pieces of at most the asked size; durable when this returns.

        ``what`` names it in errors. Raises `ImageError` when it is not what ``digest`` and ``size`` promise,
        `EngineError` on a full disk; nothing is kept then.
        """

    @abstractmethod
    def resume(self, begin: Begin, digest: str, size: int, *, what: str) -> Blob:
        """Take in a blob as `put` does, from where an earlier attempt was cut off.

        ``begin`` may be called again with 0: what was kept from the earlier attempt was damaged. Waits while another
        command takes in the same blob. When reading raises, or the process is killed, what was read so far is kept for
        the next attempt, for about a day.
        """

    @abstractmethod
    def expect(self, manifest: bytes) -> None:
        """Say which image is coming, its configuration being here: layers may be unpacked while others still come.

        No transport has to call it. It is for the thread that called `fetch`, and the manifest is put last all the
        same. What is wrong with a layer that is unpacked is raised by whichever method takes in a blob then.
        """

    @abstractmethod
    def seekable(self, file: BinaryIO, what: str) -> BinaryIO:
        """Return the file's content uncompressed, in a file that can seek and is at its start.

        That is ``file`` itself where it is so already; otherwise (a pipe, gzip, zstd) an anonymous file, which lasts as
        long as the sink. Raises `ImageError` when the compression is broken or unknown, `EngineError` on a full disk.
        """


class Content(ABC):
    """Where a transport takes from what it pushes. Made by the core for one `push`; its blobs stay while it lives."""

    @abstractmethod
    def open(self, digest: str, size: int | None = None) -> BinaryIO:
        """Open a blob for reading, unbuffered, at its start. Its content is not verified: the registry does that.

        Raises `NotFound`, and `StateError` when it has not ``size`` bytes.
        """

    @abstractmethod
    def read(self, digest: str) -> bytes:
        """Return a document, verified. Raises `NotFound` and `StateError`."""

    @abstractmethod
    def sent(self, what: str, count: int, total: int) -> None:
        """Tell the user that ``count`` of ``total`` bytes of ``what`` are sent. Cheap; many times a second."""


class Transport(ABC):
    """An image transport. See the module's text for vocabulary, a worked scenario and invariants."""

    capabilities: frozenset[Capability] = frozenset()
    """The optional behaviour it has."""

    @abstractmethod
    def probe(self) -> Probe:
        """Say whether the transport works on this machine."""

    @abstractmethod
    def can_read(self, source: Source) -> bool:
        """Return whether the source looks like this transport's: cheap, moves no file's position, raises nothing.

        A source that cannot seek is answered from its kind alone; `fetch` then says what is wrong with it.
        """

    @abstractmethod
    def fetch(self, source: Source, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
        """Put the source's images for ``platform`` ("linux/arm64/v8") into the sink, and return them; at least one.

        Raises `ImageError` that says what is broken and what to do; `NotFound` when there is no such image, or none for
        the platform; `Unreachable` when a registry does not answer, or stops answering.
        """

    def push(self, manifest: str, target: RemoteName, content: Content, mountable: Sequence[str] = ()) -> str:
        """Send an image, and return the digest by which the registry knows it. Optional: `Capability.PUSH`.

        ``manifest`` is its manifest's digest; ``target`` has a tag; ``mountable`` are the paths of other repositories
        of that registry which have the image's blobs, so that they need not be sent. Only what is missing is sent,
        and the manifest last. Raises `Unsupported` where it is not declared, `Unreachable`, `EngineError` when the
        registry refuses, and what ``content`` raises.
        """
        raise Unsupported("this transport cannot push images", fix="`engine save` writes them to an archive.")

    def tags(self, repository: RemoteName) -> Sequence[str]:
        """Return the tags of a repository; that of ``repository`` itself does not count. Optional: `Capability.TAGS`.

        What a registry says is hostile: the core looks whether each can be a tag. Raises `Unsupported` where it is not
        declared, `NotFound` when there is no such repository, `Unreachable`, `ImageError`.
        """
        raise Unsupported("this transport cannot list tags", fix="Name each tag.")
