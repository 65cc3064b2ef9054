"""Images from and to registries: which transport, what the names come to, and what is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from io import FileIO

from engine.contracts.observer import Topic
from engine.contracts.transport import Capability, Content, RemoteName, Source, Transport
from engine.errors import ImageError, InvalidInput, NotFound, Unsupported
from engine.images.content import ContentStore
from engine.images.image import Image
from engine.images.leases import Lease
from engine.images.loading import Loader
from engine.images.packing import pack
from engine.images.progress import Progress
from engine.images.reference import Reference, parse, parse_canonical
from engine.images.sink import StoreSink
from engine.images.telling import tell_kept, to_tell
from engine.metadata import images
from engine.metadata.images import ImageRow
from engine.metadata.transactions import transaction
from engine.spec.descriptor import Platform
from engine.tuples import NamedTuple


class Pulled(NamedTuple):
    """An image that was pulled: the name, the digest it stood for, and whether the name stood for another before."""

    name: Reference
    digest: str
    image: Image
    is_new: bool


class Pushed(NamedTuple):
    """An image that was pushed: the name, the digest by which the registry knows it, and its manifest's bytes."""

    name: Reference
    digest: str
    size: int


class StoreContent(Content):
    """What is pushed comes from the content store, under a lease."""

    def __init__(self, store: ContentStore, lease: Lease, progress: Progress) -> None:
        self._store = store
        self._lease = lease
        self._progress = progress

    def open(self, digest: str, size: int | None = None) -> FileIO:
        """Open a blob; see `Content.open`."""
        self._lease.protect(digest)
        return self._store.open(digest, size)

    def read(self, digest: str) -> bytes:
        """Return a document; see `Content.read`."""
        self._lease.protect(digest)
        return self._store.read(digest)

    def sent(self, what: str, count: int, total: int) -> None:
        """Pass it on; see `Content.sent`."""
        self._progress(what, count, total)


def pull(loader: Loader, text: str, transports: Sequence[Transport], platform: Platform | None) -> Pulled:
    """Take in an image from a registry; see `engine.images.library.Library.pull`. A digest counts, its tag does not."""
    name = parse(text)
    if name.digest:
        name = name._replace(tag="")
    source = Source(name.familiar, remote=RemoteName(*name))
    before = images.named(loader.connection, name.canonical)
    (loaded,) = loader.fetch(_transport(transports, source), source, platform)
    return Pulled(name, loaded.digest, loaded.image, before is None or before.id != loaded.image.id)


def tagged(text: str, transports: Sequence[Transport]) -> tuple[str, ...]:
    """Return the names of all images of a repository; see `engine.images.library.Library.tagged`."""
    name = parse(text)
    if name.digest or ":" in text.rpartition("/")[2]:
        raise InvalidInput(f"{text!r} has a tag or a digest, and all tags are asked for", fix="Name the repository.")
    remote = RemoteName(*name)
    able = [one for one in transports if Capability.TAGS in one.capabilities]
    tags = _transport(able, Source(name.familiar, remote=remote)).tags(remote)
    try:
        return tuple(parse(f"{name.domain}/{name.path}:{tag}").canonical for tag in tags)
    except InvalidInput as error:
        raise ImageError(f"{name.domain} lists an impossible tag: {error.what}", fix="Name the tags.") from error


def push(loader: Loader, text: str, transports: Sequence[Transport]) -> Pushed:
    """Send an image to a registry; see `engine.images.library.Library.push`."""
    name, row = _to_push(loader, text)
    source = Source(name.familiar, remote=RemoteName(*name))
    transport = _transport([one for one in transports if Capability.PUSH in one.capabilities], source)
    with loader.content.leases.take() as lease:
        lease.protect(row.manifest)
        with StoreSink(loader.content, lease, loader.progress) as sink:
            row = pack(row, loader.content, loader.connection, sink)
        content = StoreContent(loader.content, lease, loader.progress)
        size = len(content.read(row.manifest))
        digest = transport.push(row.manifest, RemoteName(*name), content, _siblings(name, row))
    with transaction(loader.connection):
        if images.by_id(loader.connection, row.id) is not None:
            images.point(loader.connection, name._replace(tag="", digest=digest).canonical, row.id)
        kept = to_tell(loader.connection, Topic.PUSH, name.familiar, (name.familiar,))
    tell_kept(loader.root, loader.connection, kept)
    return Pushed(name, digest, size)


def _to_push(loader: Loader, text: str) -> tuple[Reference, ImageRow]:
    name = parse(text)
    if name.digest:
        raise InvalidInput(f"{text!r} has a digest, and an image is pushed under a tag", fix="Name it by its tag.")
    row = images.named(loader.connection, name.canonical)
    if row is None:
        raise NotFound(
            f"there is no image of the name {name.familiar!r}",
            fix=f"Give it the name with `engine tag IMAGE {name.familiar}`; `engine images` lists what is here.",
        )
    return name, row


def _transport(transports: Sequence[Transport], source: Source) -> Transport:
    found = next((one for one in transports if one.can_read(source)), None)
    if found is None:
        raise Unsupported(
            f"no installed transport speaks with the registry of {source.name}",
            fix="Install engine-transport-registry; `engine plugins` shows what is installed.",
        )
    return found


def _siblings(name: Reference, row: ImageRow) -> tuple[str, ...]:
    """Return the paths of other repositories of the same registry that the image came from or was sent to."""
    others = (parse_canonical(one) for one in row.names)
    known = {one.path for one in others if one.digest and one.domain == name.domain}
    return tuple(sorted(known - {name.path}))
