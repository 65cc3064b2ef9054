"""From a registry's refusal to an error (distribution-spec, "Error Codes")."""

from __future__ import annotations

from engine.errors import EngineError, ImageError, NotFound
from engine.spec.document import read_json
from engine_transport_registry.connections import Response
from engine_transport_registry.trouble import Passing

_LARGEST = 65536
_LONGEST_TEXT = 200


def problem(response: Response, domain: str, what: str, advice: str) -> EngineError:
    """Return the error for an answer that is none of the expected ones; ``what`` is what was asked for.

    ``advice`` is what to do when access is refused. The registry's own words are in it, cut and without addresses.
    """
    said = _said(response)
    if response.status == 404:
        return NotFound(f"{domain} has no {what}{said}", fix="Check the name and the tag; names are case-sensitive.")
    if response.status in {401, 403}:
        return EngineError(f"{domain} gives no access to {what}{said}", fix=advice)
    return EngineError(f"{domain} answers {response.status} to {what}{said}", fix="Ask whoever runs the registry.")


def _said(response: Response) -> str:
    """Return what the registry says in its first error, as " (…)", or nothing."""
    try:
        parsed = read_json(response.content(_LARGEST, "the answer"), "the answer")
        first = parsed["errors"][0]
        text = str(first.get("message") or first.get("code") or "")
    except (ImageError, Passing, LookupError, TypeError, AttributeError):
        return ""
    if not text or "://" in text:
        return ""
    return f" ({text[:_LONGEST_TEXT]})"
