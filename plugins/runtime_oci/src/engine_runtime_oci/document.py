"""The config.json that the program gets: the container's, with the namespaces of the plan in it. Pure."""

from __future__ import annotations

import copy

from engine.actions.base import Action
from engine.actions.namespaces import LoopbackUp, SetDomainname, SetHostname
from engine.contracts.namespace import NamespacePlan
from engine.errors import Unsupported
from engine.spec.runtime import Namespace, Spec

ROOTFS = "../rootfs"
"""The program's bundle is a directory of its own beside the engine's mount point ``rootfs``."""
VERSION = "1.0.2"
"""Of the runtime-spec: the oldest that has what is in the document, since crun refuses those that it does not know."""
_OCI_TYPES = {"net": "network"}


def of(spec: Spec, namespaces: NamespacePlan, name: str) -> Spec:
    """Return a copy of ``spec`` that says everything the plan does. Raises `Unsupported` for a step it cannot say.

    The plan decides, not what the specification was made with: what is joined may have been started anew since.
    """
    given = copy.deepcopy(spec)
    given["ociVersion"] = VERSION
    given["root"] = {**spec.get("root", {}), "path": ROOTFS}
    given.setdefault("linux", {})["namespaces"] = _namespaces(namespaces)
    given.pop("hostname", None)
    given.pop("domainname", None)
    for step in namespaces.steps:
        _say(given, step.action, name)
    return given


def _namespaces(plan: NamespacePlan) -> list[Namespace]:
    listed: list[Namespace] = [{"type": _OCI_TYPES.get(kind, kind)} for kind in (*plan.clone, *plan.unshare)]
    for kind, path in plan.joins:
        listed.append({"type": _OCI_TYPES.get(kind, kind), "path": path})
    return listed


def _say(given: Spec, action: Action, name: str) -> None:
    if isinstance(action, SetHostname):
        given["hostname"] = action.hostname
    elif isinstance(action, SetDomainname):
        given["domainname"] = action.domainname
    elif not isinstance(action, LoopbackUp):  # which the program does by itself in every new network namespace
        raise Unsupported(f"the runtime {name} cannot {action.describe()}", fix="Use --runtime native.")
