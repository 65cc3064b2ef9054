"""Actions: what touches the machine, as values. Start with `engine.actions.base`.

Importing the package registers the core's own actions, so that a plan or a journal can be decoded wherever it is read.
"""

from engine.actions import cgroups, namespaces, rootfs, sharing

__all__ = ["cgroups", "namespaces", "rootfs", "sharing"]
