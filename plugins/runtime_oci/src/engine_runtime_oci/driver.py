"""The driver half: which program, whether it works here, and the specification as that program shall get it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.actions.base import Phase, Step
from engine.contracts.common import Probe
from engine.contracts.namespace import NamespacePlan
from engine.contracts.runtime import Capability, Runtime, RuntimeConfig
from engine.errors import InvalidInput, Unsupported
from engine.linux import cgroups
from engine.spec.runtime import Process, Spec
from engine_runtime_oci import checks, document, programs
from engine_runtime_oci.stage.handover import HandOver


class OciRuntime(Runtime):
    """A container made by runc, or by a program with the same command line. See `engine.contracts.runtime`.

    The only option is ``path``, the program's; without, it is looked for in PATH.
    """

    capabilities = frozenset({
        Capability.EXEC, Capability.TERMINAL, Capability.SECCOMP, Capability.PIN_NAMESPACES,
    })  # fmt: skip
    manages_cgroup = True
    manages_namespaces = True
    stage = "engine_runtime_oci.stage"

    def __init__(self, name: str, config: RuntimeConfig) -> None:
        unknown = sorted(config.options.keys() - {"path"})
        if unknown:
            raise InvalidInput(
                f"the runtime {name} has no option {unknown[0]!r}", fix=f"Its option is: path, of the program {name}."
            )
        self.name = name
        self._path = config.options.get("path", "")

    def probe(self) -> Probe:
        """Say whether the program is there and can work with this machine's cgroups."""
        return programs.probe(self.name, self._path)

    def plan(self, spec: Spec, namespaces: NamespacePlan) -> Sequence[Step]:
        """Return one step that stands for all that the program does; the specification is in it."""
        if programs.refuses(self.name, cgroups.discover().mode):
            raise Unsupported(programs.HYBRID, fix="Use --runtime runc or native.")
        checks.check(spec, namespaces, self.name, lambda: programs.spec_version(self.name, self._path))
        given = document.of(spec, namespaces, self.name)
        return [Step(Phase.CHILD_BEFORE_PIVOT, HandOver(self.name, json.dumps(given)), self.name)]

    def arguments(self) -> Mapping[str, Any]:
        """Return the program's name and path."""
        return {"name": self.name, "path": programs.find(self.name, self._path)}

    def plan_exec(self, spec: Spec, process: Process) -> Sequence[Step]:
        """Return no step: the stage hands the process over as it is."""
        checks.check_process(process)
        return []
