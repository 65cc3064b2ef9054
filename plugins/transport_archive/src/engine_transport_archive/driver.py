"""The transport: what kind of source it is, and who reads it."""

from __future__ import annotations

import os

from engine.contracts.common import Probe
from engine.contracts.transport import ContentSink, FetchedImage, Source, Transport, TransportConfig
from engine.errors import ImageError, InvalidInput
from engine_transport_archive import docker, oci
from engine_transport_archive.files import DirectoryFiles, Files, TarFiles

_MAGICS = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_USTAR_AT = 257


class ArchiveTransport(Transport):
    """Images from files and directories: docker-archive (``docker save``), OCI archive, OCI directory."""

    def __init__(self, config: TransportConfig) -> None:
        for key in config.options:
            raise InvalidInput(f"the transport archive has no option {key!r}", fix="Leave it out: it has none.")

    def probe(self) -> Probe:
        """Say yes: archives can be read everywhere."""
        return Probe(True, "reads docker-archive, OCI archive and OCI directory", 50)

    def can_read(self, source: Source) -> bool:
        """Say yes to a directory with an index, a tar archive (compressed or not), and whatever comes from a pipe."""
        if source.path is not None:
            return os.path.lexists(os.path.join(source.path, oci.INDEX))
        if source.file is None:
            return False
        if not source.file.seekable():
            return True
        try:
            head = os.pread(source.file.fileno(), _USTAR_AT + 5, 0)
        except OSError:
            return False
        return head.startswith(_MAGICS) or head[_USTAR_AT:] == b"ustar"

    def fetch(self, source: Source, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
        """Read whichever of the formats is there; see `Transport.fetch`."""
        if source.path is not None:
            with DirectoryFiles(source.path) as files:
                return _read(files, sink, platform)
        if source.file is None:
            raise InvalidInput(
                f"{source.name} is neither a file nor a directory", fix="Name an archive or a directory."
            )
        return _read(TarFiles(sink.seekable(source.file, source.name), source.name), sink, platform)


def _read(files: Files, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
    """Prefer the OCI layout where both are there, as in what ``docker save`` writes since version 25."""
    if files.has(oci.INDEX) and files.has(oci.LAYOUT):
        return oci.fetch(files, sink, platform)
    if files.has(docker.MANIFEST):
        return docker.fetch(files, sink, platform)
    raise ImageError(
        f"{files.name} holds no image: it has neither {docker.MANIFEST} nor {oci.INDEX} and {oci.LAYOUT}",
        fix="Write it with `docker save` or `skopeo copy`; `engine import` reads root filesystems.",
    )
