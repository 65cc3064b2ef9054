"""The configuration that each kind's factory hook gets, from the settings and the command line's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.settings import Settings


def config_for(kind: str, name: str, settings: Settings, options: Mapping[str, str] | None = None) -> Any:
    """Return the configuration of the ``kind`` plugin ``name``.

    ``options`` are the command line's (``--storage-opt key=value``) and win over the settings' for that driver. Makes
    nothing: the directory of a storage driver is the caller's to make. An observer has no configuration: `KeyError`.
    """
    return _MAKERS[kind](name, settings, {**settings.options_of(kind, name), **(options or {})})


def _storage(name: str, settings: Settings, options: Mapping[str, str]) -> Any:
    from engine.contracts.storage import StorageConfig

    return StorageConfig(root=settings.root / "storage" / name, options=options)


def _cgroup(_name: str, settings: Settings, options: Mapping[str, str]) -> Any:
    from engine.contracts.cgroup import CgroupConfig

    return CgroupConfig(parent=settings.cgroup_parent, mark=settings.mark, options=options)


def _namespace(_name: str, _settings: Settings, options: Mapping[str, str]) -> Any:
    from engine.contracts.namespace import NamespaceConfig

    return NamespaceConfig(options=options)


def _runtime(name: str, settings: Settings, options: Mapping[str, str]) -> Any:
    from engine.contracts.runtime import RuntimeConfig

    return RuntimeConfig(cache=settings.cache / "runtime" / name, options=options)


def _log(_name: str, _settings: Settings, options: Mapping[str, str]) -> Any:
    from engine.contracts.logs import LogConfig

    return LogConfig(options=options)


def _transport(_name: str, _settings: Settings, options: Mapping[str, str]) -> Any:
    from engine.contracts.transport import TransportConfig

    return TransportConfig(options=options)


_MAKERS = {
    "cgroup": _cgroup,
    "log": _log,
    "namespace": _namespace,
    "runtime": _runtime,
    "storage": _storage,
    "transport": _transport,
}
