"""The contract of image transports: where images come from.

Vocabulary: a *source* is what the user named (a file, a directory, ``-`` for standard input); a *blob* is bytes
named by their SHA-256; a *manifest* lists the blobs of one image (manifest.md); the *sink* is where the core
takes blobs in.

A worked scenario, `engine load -i app.tar`::

    transport.can_read(source)                        the core asks each transport until one says yes
    transport.fetch(source, sink, "linux/amd64")      which looks inside, and for every image it finds:
        sink.has(layer_digest, layer_size)            True: here already, no need to send it
        sink.put(read, digest=…, size=…, what=…)      the layer, the configuration, last the manifest
    -> (FetchedImage(("app:1.0",), manifest_digest),) the core checks the manifest and records the names

Invariants. All that a manifest names is in the sink before `fetch` returns it. A transport that raises leaves nothing:
the sink forgets what it was given. A transport that finds another format than the image-spec's (docker-archive) writes
a manifest for it, the same bytes for the same image; layers are passed on as they are, never compressed anew.
What a source holds is hostile: names in it are looked up, never opened; documents are parsed with `engine.spec`.

Every method is called by the command that the user typed (the CLI's process), as the user, in the host's namespaces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from engine.contracts.common import Probe


@dataclass(frozen=True, slots=True)
class TransportConfig:
    """What the factory hook gets: the user's and the settings' options (an unknown key is `InvalidInput`)."""

    options: Mapping[str, str]


class Source(NamedTuple):
    """Where to read.

    ``name``  what the user typed, for messages
    ``file``  an open file at its start, possibly a pipe, which cannot seek; None when the source is a directory
    ``path``  the directory; None when the source is a file
    """

    name: str
    file: BinaryIO | None = None
    path: str | None = None


class Blob(NamedTuple):
    """A blob that the sink has taken in: its digest ("sha256:…") and bytes."""

    digest: str
    size: int


class FetchedImage(NamedTuple):
    """One image of a source: the names it bears there (as written, possibly none), and its manifest's digest."""

    names: tuple[str, ...]
    manifest: str


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
    def seekable(self, file: BinaryIO, what: str) -> BinaryIO:
        """Return the file's content uncompressed, in a file that can seek and is at its start.

        That is ``file`` itself where it is so already; otherwise (a pipe, gzip, zstd) an anonymous file, which lasts as
        long as the sink. Raises `ImageError` when the compression is broken or unknown, `EngineError` on a full disk.
        """


class Transport(ABC):
    """An image transport. See the module's text for vocabulary, a worked scenario and invariants."""

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

        Raises `ImageError` that says what is broken and what to do; `NotFound` when no image is for the platform.
        """
