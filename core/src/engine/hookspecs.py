"""Every hook of the engine: the page to read first.

A plugin is a distribution with entry points. An entry point belongs to one group (``engine.storage``, …), its name is
what the user types (``--storage overlay``), its value is a module with two things::

    contract = 1                       # the contract version the plugin was written for

    @hookimpl
    def storage_driver(config):        # the hook of its group, called on the chosen plugin alone
        return MyDriver(config)

The driver hooks below are factories: cheap, without side effects, one driver a call. A plugin of one group implements
that group's hook; a name that is no hook of this page is an error that names the plugin. The observer hook goes to all
plugins of ``engine.observer``. New hooks and new arguments are added without a new contract version: a hook
implementation may name fewer arguments than the specification has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from engine.contracts.cgroup import CgroupConfig, CgroupDriver
    from engine.contracts.logs import LogConfig, LogDriver
    from engine.contracts.namespace import NamespaceConfig, NamespaceDriver
    from engine.contracts.observer import Event
    from engine.contracts.runtime import Runtime, RuntimeConfig
    from engine.contracts.storage import StorageConfig, StorageDriver
    from engine.contracts.transport import Transport, TransportConfig

PROJECT = "engine"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's implementation of a hook."""


@hookspec(firstresult=True)
def namespace_driver(config: NamespaceConfig) -> NamespaceDriver:  # type: ignore[empty-body]
    """Make the namespace driver of this plugin.

    Called once a command that makes or joins a container, in the command's process.

    :param config: the user's options.
    :return: a driver as `engine.contracts.namespace` describes.
    """


@hookspec(firstresult=True)
def cgroup_driver(config: CgroupConfig) -> CgroupDriver:  # type: ignore[empty-body]
    """Make the cgroup driver of this plugin.

    Called once a command that touches a container, in the command's process.

    :param config: the parent cgroup or slice, the mark of the engine's root, the user's options.
    :return: a driver as `engine.contracts.cgroup` describes.
    """


@hookspec(firstresult=True)
def storage_driver(config: StorageConfig) -> StorageDriver:  # type: ignore[empty-body]
    """Make the storage driver of this plugin over ``config.root``.

    Called once for each driver a command uses; several may be at work over one content store.

    :param config: the driver's own directory and the user's options.
    :return: a driver as `engine.contracts.storage` describes.
    """


@hookspec(firstresult=True)
def runtime(config: RuntimeConfig) -> Runtime:  # type: ignore[empty-body]
    """Make the runtime of this plugin: the driver half; its stage is imported by the shim.

    :param config: a cache directory and the user's options.
    :return: a runtime as `engine.contracts.runtime` describes.
    """


@hookspec(firstresult=True)
def log_driver(config: LogConfig) -> LogDriver:  # type: ignore[empty-body]
    """Make the log driver of this plugin: the reading half; its sink is imported by the shim.

    :param config: the user's options.
    :return: a driver as `engine.contracts.logs` describes.
    """


@hookspec(firstresult=True)
def transport(config: TransportConfig) -> Transport:  # type: ignore[empty-body]
    """Make the image transport of this plugin.

    :param config: the user's options.
    :return: a transport as `engine.contracts.transport` describes.
    """


@hookspec
def event_published(event: Event) -> None:
    """Be told that something happened; see `engine.contracts.observer`.

    :param event: what happened, already recorded.
    """


GROUPS = {
    "namespace": "namespace_driver",
    "cgroup": "cgroup_driver",
    "storage": "storage_driver",
    "runtime": "runtime",
    "log": "log_driver",
    "transport": "transport",
    "observer": "event_published",
}
"""Each kind of plugin (its entry-point group is ``engine.<kind>``) and the hook its plugins implement."""
