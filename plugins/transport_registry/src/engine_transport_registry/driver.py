"""The transport: one client for each pull and push, and what its troubles come to for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from engine.contracts.common import Probe
from engine.contracts.transport import (
    Capability,
    Content,
    ContentSink,
    FetchedImage,
    RemoteName,
    Source,
    Transport,
    TransportConfig,
)
from engine.errors import InvalidInput, Unreachable
from engine.spec.descriptor import Platform
from engine_transport_registry.options import read_options

if TYPE_CHECKING:
    from engine_transport_registry.client import Client

_T = TypeVar("_T")


class RegistryTransport(Transport):
    """Images from and to registries that speak the OCI distribution specification, Docker Hub among them."""

    capabilities = frozenset({Capability.REGISTRY, Capability.PUSH, Capability.TAGS})

    def __init__(self, config: TransportConfig) -> None:
        self._options = read_options(config.options)

    def probe(self) -> Probe:
        """Say yes: whether a registry answers is known when it is asked."""
        return Probe(True, "pulls from and pushes to registries of the OCI distribution specification", 50)

    def can_read(self, source: Source) -> bool:
        """Say yes to every image in a registry."""
        return source.remote is not None

    def fetch(self, source: Source, sink: ContentSink, platform: str) -> tuple[FetchedImage, ...]:
        """Pull the image for the platform; see `Transport.fetch`."""
        from engine_transport_registry.pull import pull

        remote = source.remote
        if remote is None:
            raise InvalidInput(f"{source.name} is not in a registry", fix="`engine load` reads archives.")
        wanted, workers = Platform(*platform.split("/")), self._options.parallel
        return (self._with_client(remote, lambda client: pull(client, remote, sink, wanted, workers)),)

    def push(self, manifest: str, target: RemoteName, content: Content, mountable: Sequence[str] = ()) -> str:
        """Send the image; see `Transport.push`."""
        from engine_transport_registry.push import push

        workers = self._options.parallel
        return self._with_client(target, lambda client: push(client, manifest, target, content, mountable, workers))

    def tags(self, repository: RemoteName) -> tuple[str, ...]:
        """List the tags; see `Transport.tags`."""
        from engine_transport_registry.tags import tags

        return self._with_client(repository, lambda client: tags(client, repository.path))

    def _with_client(self, remote: RemoteName, deed: Callable[[Client], _T]) -> _T:
        from engine_transport_registry.client import Client
        from engine_transport_registry.trouble import Passing

        client = Client(remote.domain, self._options)
        try:
            client.open()
            return deed(client)
        except Passing as trouble:
            raise Unreachable(f"the registry {remote.domain} {trouble.what}", fix=trouble.fix) from trouble
        finally:
            client.close()
