"""IDs and names of containers: 64 hex digits of randomness, and two words when the user gives no name."""

from __future__ import annotations

import os
import re

from engine.errors import InvalidInput

_ADJECTIVES = [
    "able",
    "agile",
    "airy",
    "amber",
    "ample",
    "brave",
    "brief",
    "bright",
    "brisk",
    "calm",
    "candid",
    "clear",
    "clever",
    "cosy",
    "crisp",
    "daring",
    "deft",
    "eager",
    "early",
    "earnest",
    "fair",
    "fine",
    "fleet",
    "fond",
    "frank",
    "fresh",
    "gentle",
    "glad",
    "golden",
    "grand",
    "happy",
    "hardy",
    "keen",
    "kind",
    "light",
    "lively",
    "loyal",
    "lucid",
    "merry",
    "mild",
    "neat",
    "noble",
    "patient",
    "plain",
    "polite",
    "proud",
    "quick",
    "quiet",
    "rapid",
    "ready",
    "robust",
    "rustic",
    "sharp",
    "silent",
    "simple",
    "sober",
    "solid",
    "steady",
    "stout",
    "sunny",
    "swift",
    "tidy",
    "tough",
    "true",
    "vivid",
    "warm",
    "wise",
    "witty",
]
_NOUNS = [
    "acorn",
    "alder",
    "anchor",
    "anvil",
    "arch",
    "aspen",
    "basin",
    "beacon",
    "birch",
    "bison",
    "bolt",
    "bridge",
    "brook",
    "canyon",
    "cedar",
    "cliff",
    "clover",
    "cove",
    "crane",
    "creek",
    "dale",
    "delta",
    "dune",
    "elm",
    "falcon",
    "fern",
    "finch",
    "fjord",
    "forge",
    "fox",
    "glade",
    "glen",
    "harbor",
    "hare",
    "hawk",
    "hazel",
    "heron",
    "hill",
    "island",
    "ivy",
    "juniper",
    "lark",
    "ledge",
    "lynx",
    "maple",
    "marsh",
    "meadow",
    "mill",
    "moss",
    "oak",
    "orchard",
    "otter",
    "owl",
    "peak",
    "pebble",
    "pine",
    "pond",
    "quarry",
    "quay",
    "raven",
    "reed",
    "ridge",
    "river",
    "robin",
    "sage",
    "spruce",
    "stone",
    "swan",
    "thistle",
    "valley",
    "willow",
    "wren",
]
_NAME = r"[a-zA-Z0-9][a-zA-Z0-9_.-]*"
_MAX_NAME = 128


def new_id() -> str:
    """Return a new container ID."""
    return os.urandom(32).hex()


def new_name() -> str:
    """Return two words and a number: easy to say, and rarely in use already."""
    return f"{_ADJECTIVES[_random(len(_ADJECTIVES))]}-{_NOUNS[_random(len(_NOUNS))]}-{_random(1000)}"


def _random(below: int) -> int:
    return int.from_bytes(os.urandom(4), "big") % below


def check_name(name: str) -> str:
    """Return the name, or raise `InvalidInput` for one that is no container name."""
    if not re.fullmatch(_NAME, name) or len(name) > _MAX_NAME:
        raise InvalidInput(
            f"{name!r} is no container name",
            fix="Use letters, digits, '_', '.' and '-', beginning with a letter or digit, 128 at most.",
        )
    return name
