"""Push (distribution-spec, "Push"): the blobs that the registry lacks, whole ("monolithic"), and last the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import quote, urljoin

from engine.contracts.transport import Content, RemoteName
from engine.spec.descriptor import MANIFEST, Descriptor, read_manifest
from engine.spec.document import read_object
from engine_transport_registry.client import Client
from engine_transport_registry.connections import Body, Response
from engine_transport_registry.parallel import each

_CHUNK = 256 * 1024


def push(
    client: Client, manifest: str, target: RemoteName, content: Content, mountable: Sequence[str], workers: int
) -> str:
    """Send the image; return its manifest's digest. Raises `Passing`, `EngineError`, and what ``content`` raises."""
    data = content.read(manifest)
    parsed = read_manifest(data, f"the manifest {manifest}")
    blobs = {blob.digest: blob for blob in (*parsed.layers, parsed.config)}
    upload = _Upload(client, target.path, content, tuple(mountable))
    each([partial(upload.ensure, blob) for blob in blobs.values()], workers, client.stop)
    _put_manifest(client, target, data, manifest)
    return manifest


class _Upload:
    """Uploads to one repository."""

    def __init__(self, client: Client, path: str, content: Content, mountable: tuple[str, ...]) -> None:
        self._client = client
        self._path = path
        self._content = content
        self._mountable = mountable
        self._scope = _scope(path)

    def ensure(self, blob: Descriptor) -> None:
        """Send a blob unless it is there, or is in one of the other repositories."""
        url = self._client.url(self._path, "blobs", blob.digest)
        with self._client.request("HEAD", url, self._scope) as response:
            if response.status == 200:
                return
        begun: list[str] = []
        if not any(self._mount(blob, path, begun) for path in self._mountable):
            self._client.patience.persist(lambda: self._send(blob, begun))

    def _mount(self, blob: Descriptor, path: str, begun: list[str]) -> bool:
        """Ask for the blob of another repository; a registry that has none there has begun an upload instead."""
        if begun:
            return False
        scope = (*self._scope, f"repository:{path}:pull")
        query = f"?mount={blob.digest}&from={quote(path, safe='')}"
        with self._client.request("POST", self._uploads() + query, scope) as response:
            if response.status == 202:
                begun.append(self._location(response))
            return response.status == 201

    def _begin(self) -> str:
        with self._client.once("POST", self._uploads(), self._scope) as response:
            if response.status != 202:
                raise self._client.problem(response, f"an upload to {self._path}")
            return self._location(response)

    def _send(self, blob: Descriptor, begun: list[str]) -> None:
        """Send all of it, to an upload that is begun or to a new one. Raises `Passing`: do it again."""
        location = begun.pop() if begun else self._begin()
        url = f"{location}{'&' if '?' in location else '?'}digest={quote(blob.digest, safe='')}"
        headers = {"Content-Type": "application/octet-stream"}
        body = Body(blob.size, lambda: self._chunks(blob))
        with self._client.once("PUT", url, self._scope, headers, body) as response:
            if response.status != 201:
                raise self._client.problem(response, f"the blob {blob.digest}")

    def _chunks(self, blob: Descriptor) -> Iterator[bytes]:
        what, sent = f"the blob {blob.digest}", 0
        with self._content.open(blob.digest, blob.size) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
                sent += len(chunk)
                self._content.sent(what, sent, blob.size)

    def _uploads(self) -> str:
        return self._client.url(self._path, "blobs", "uploads", "")

    def _location(self, response: Response) -> str:
        return urljoin(self._uploads(), response.headers.get("Location", ""))


def _put_manifest(client: Client, target: RemoteName, data: bytes, digest: str) -> None:
    media_type = read_object(data, f"the manifest {digest}").text("mediaType", "") or MANIFEST
    url = client.url(target.path, "manifests", target.tag or digest)
    body = Body(len(data), lambda: iter([data]))
    with client.request("PUT", url, _scope(target.path), {"Content-Type": media_type}, body) as response:
        if response.status not in {201, 200}:
            raise client.problem(response, f"the manifest of {target}")


def _scope(path: str) -> tuple[str, ...]:
    return (f"repository:{path}:pull,push",)
