"""The tags of a repository (distribution-spec, "Content Discovery"), page after page."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from engine.errors import ImageError
from engine.spec.document import MAX_DOCUMENT, read_object
from engine_transport_registry.client import Client
from engine_transport_registry.connections import Response
from engine_transport_registry.manifests import pull_scope

_MOST_PAGES = 1000
_ENDLESS = "Ask whoever runs the registry, or name the tags."


def tags(client: Client, path: str) -> tuple[str, ...]:
    """Return every tag, as the registry orders them. Raises `Passing`, `NotFound`, `ImageError`."""
    found: dict[str, None] = {}
    url = client.url(path, "tags", "list")
    for _ in range(_MOST_PAGES):
        with client.request("GET", url, pull_scope(path)) as response:
            if response.status != 200:
                raise client.problem(response, f"repository {path}")
            what = f"the list of tags of {path}"
            listed = read_object(response.content(MAX_DOCUMENT, what), what).texts("tags")
            found.update(dict.fromkeys(listed or ()))
            url = _next(response, url)
        if not url:
            return tuple(found)
    raise ImageError(f"{client.domain} lists the tags of {path} without an end", fix=_ENDLESS)


def _next(response: Response, url: str) -> str:
    """Return where the next page is (RFC 8288), "" behind the last. It is of the same registry, or none."""
    link, _, parameters = response.headers.get("Link", "").partition(">")
    if not link.startswith("<") or 'rel="next"' not in parameters:
        return ""
    following = urljoin(url, link[1:])
    return following if urlsplit(following)[:2] == urlsplit(url)[:2] else ""
