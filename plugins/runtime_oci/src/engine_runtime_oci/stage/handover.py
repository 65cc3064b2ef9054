"""The one step of this runtime: everything in the specification, which the program does."""

from __future__ import annotations

import json

from engine.actions.base import Slots, action
from engine.tuples import NamedTuple


@action("execve")
class HandOver(NamedTuple):
    """Have the program make the container that the config.json in ``document`` specifies."""

    name: str
    document: str

    def describe(self) -> str:
        """Return the sentence."""
        spec = json.loads(self.document)
        kinds = ", ".join(one["type"] for one in spec["linux"]["namespaces"])
        return f"have {self.name} make the {kinds} namespaces, {len(spec.get('mounts', []))} mounts and the process"

    def run(self, slots: Slots) -> None:
        """Do nothing: the stage hands the document to the program, whose child does what it says."""
