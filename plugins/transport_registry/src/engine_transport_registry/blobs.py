"""A blob from a registry, read to its end whatever happens on the way: what breaks off is asked for from there on."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import ImageError
from engine.spec.descriptor import Descriptor
from engine_transport_registry.client import Client
from engine_transport_registry.connections import Response
from engine_transport_registry.manifests import pull_scope
from engine_transport_registry.trouble import Passing

_PIECE = 128 * 1024
"""Bytes that are read at a time: what is lost when a pull is killed, and how often progress is told on a slow line."""
_SKIPPED = 1024 * 1024
_BROKEN = "Ask whoever runs the registry."


class BlobReader:
    """Reads a blob from an offset, over as many requests as it takes. Use as a context manager."""

    def __init__(self, client: Client, path: str, blob: Descriptor, offset: int) -> None:
        self._client = client
        self._path = path
        self._blob = blob
        self._offset = offset
        self._failures = 0
        self._response: Response | None = None

    def read(self, size: int) -> bytes:
        """Return at most so many bytes, none at the end.

        Raises `Passing` when the registry breaks off again and again without sending anything.
        """
        while self._offset < self._blob.size:
            try:
                if self._response is None:
                    self._response = self._request()
                data = self._response.read(min(size, _PIECE))
            except Passing as trouble:
                self.close()
                self._failures += 1
                self._client.patience.wait(trouble, self._failures)
                continue
            if not data:
                self.close()
                return b""
            self._failures = 0
            self._offset += len(data)
            return data
        self.close()
        return b""

    def close(self) -> None:
        """Let go of the connection."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def _request(self) -> Response:
        url = self._client.url(self._path, "blobs", self._blob.digest)
        headers = {"Range": f"bytes={self._offset}-"} if self._offset else {}
        response = self._client.once("GET", url, pull_scope(self._path), headers)
        try:
            self._position(response)
        except BaseException:
            response.close()
            raise
        return response

    def _position(self, response: Response) -> None:
        """See to it that what is read next is what follows: not every registry sends a part (RFC 9110, "Range")."""
        if response.status == 206:
            start = response.headers.get("Content-Range", "").partition("-")[0]
            if start != f"bytes {self._offset}":
                raise ImageError(f"{self._client.domain} sends another part than was asked for", fix=_BROKEN)
        elif response.status == 200:
            left = self._offset
            while left and (data := response.read(min(left, _SKIPPED))):
                left -= len(data)
        elif response.status == 416:
            raise ImageError(
                f"the blob {self._blob.digest} at {self._client.domain} has fewer bytes than its manifest says",
                fix=_BROKEN,
            )
        else:
            raise self._client.problem(response, f"blob {self._blob.digest} of {self._path}")


def begin(
    client: Client, path: str, blob: Descriptor, opened: list[BlobReader]
) -> Callable[[int], Callable[[int], bytes]]:
    """Return what begins to read a blob at an offset, for `ContentSink.resume`; readers are put in ``opened``."""

    def at(offset: int) -> Callable[[int], bytes]:
        reader = BlobReader(client, path, blob, offset)
        opened.append(reader)
        return reader.read

    return at
