"""Import a chosen plugin, check it, and call its hook.

Each plugin is registered with a pluggy manager of its own: a rejected registration leaves nothing behind, and a hook
called there reaches this plugin alone. Whatever a plugin does wrong becomes a `PluginError` that names the plugin, its
distribution and version, and the hook; no other plugin is imported on the way.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, NotFound, PluginError
from engine.plugins.installed import Entry, index
from engine.tuples import NamedTuple

if TYPE_CHECKING:
    import pluggy

CONTRACTS = {
    "namespace": ("engine.contracts.namespace", "NamespaceDriver"),
    "cgroup": ("engine.contracts.cgroup", "CgroupDriver"),
    "storage": ("engine.contracts.storage", "StorageDriver"),
    "runtime": ("engine.contracts.runtime", "Runtime"),
    "log": ("engine.contracts.logs", "LogDriver"),
    "transport": ("engine.contracts.transport", "Transport"),
}
"""The module and class of what each kind's factory hook returns. An observer returns nothing."""


class Loaded(NamedTuple):
    """A plugin that was imported, checked and registered. ``warning`` is a sentence for people, or ``""``."""

    entry: Entry
    module: ModuleType
    manager: pluggy.PluginManager
    contract: int
    warning: str


_loaded: dict[Entry, Loaded] = {}


def find(kind: str, name: str) -> Entry:
    """Return the installed plugin of that kind and name.

    Raises `NotFound` with what there is instead, `PluginError` when two distributions claim the name.
    """
    found = index().named(kind, name)
    if len(found) == 1:
        return found[0]
    if found:
        origins = " and ".join(entry.origin for entry in found)
        raise PluginError(
            f"the {kind} plugin name '{name}' is taken twice: by {origins}",
            fix=f"Uninstall one of them, as with: pip uninstall {found[-1].distribution}",
            plugin=name,
        )
    names = index().names(kind)
    raise NotFound(
        f"no {kind} plugin named '{name}' is installed",
        fix=f"Installed are {', '.join(names)}." if names else f"Install a distribution with an engine.{kind} plugin.",
    )


def load(kind: str, name: str) -> Loaded:
    """Import, check and register a plugin, once a process.

    Raises `NotFound` and `PluginError`. A plugin for the contract version before works, with a line on standard error.
    """
    entry = find(kind, name)
    if entry not in _loaded:
        _loaded[entry] = loaded = examine(entry)
        if loaded.warning:
            complain(loaded.warning)
    return _loaded[entry]


def examine(entry: Entry) -> Loaded:
    """Do what `load` does for one installed plugin, anew, and say nothing of its warning."""
    module = _import(entry)
    contract, warning = _contract(entry, module)
    return Loaded(entry, module, _register(entry, module), contract, warning)


def make(loaded: Loaded, config: Any) -> Any:
    """Call the factory hook of a plugin and return its driver.

    `EngineError` (an option that makes no sense) passes through, with the plugin named; anything else that the hook
    raises, and an answer that is no driver of that kind, becomes a `PluginError`.
    """
    from engine.hookspecs import GROUPS

    entry = loaded.entry
    driver = call(loaded, GROUPS[entry.kind], config=config)
    place, name = CONTRACTS[entry.kind]
    contract: type = getattr(importlib.import_module(place), name)
    if isinstance(driver, contract):
        return driver
    raise _broken(entry, f"its hook {GROUPS[entry.kind]} returned {type(driver).__name__}, which is no {name}")


def call(loaded: Loaded, hook: str, **arguments: Any) -> Any:
    """Call a hook of one plugin; errors as `make` says."""
    entry = loaded.entry
    try:
        return getattr(loaded.manager.hook, hook)(**arguments)
    except EngineError as error:
        error.plugin = error.plugin or entry.label
        raise
    except (Exception, SystemExit) as error:
        raise _broken(entry, f"its hook {hook} raised {_text(error)}") from error


def complain(sentence: str) -> None:
    """Write a line about a plugin to standard error: nothing that would stop the command."""
    sys.stderr.write(f"engine: warning: {sentence}\n")


def _import(entry: Entry) -> ModuleType:
    try:
        return importlib.import_module(entry.value)
    except (Exception, SystemExit) as error:
        raise _broken(entry, f"importing {entry.value} raised {_text(error)}") from error


def _contract(entry: Entry, module: ModuleType) -> tuple[int, str]:
    from engine.contracts.common import CONTRACT_VERSION

    version = getattr(module, "contract", None)
    if not isinstance(version, int):
        raise _broken(entry, f"{entry.value} states no contract version (this engine has {CONTRACT_VERSION})")
    if version == CONTRACT_VERSION:
        return version, ""
    stated = f"it was written for contract version {version}, and this engine has {CONTRACT_VERSION}"
    if version == CONTRACT_VERSION - 1:
        return version, f"the {entry.kind} plugin {entry.label} is old: {stated}"
    newer = "engine-core" if version > CONTRACT_VERSION else entry.distribution
    raise _broken(entry, stated, fix=f"Upgrade {newer}: pip install --upgrade {newer}")


def _register(entry: Entry, module: ModuleType) -> pluggy.PluginManager:
    import pluggy

    from engine import hookspecs

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, name=entry.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _broken(entry, " ".join(str(error).split())) from error
    wanted = hookspecs.GROUPS[entry.kind]
    if any(caller.name == wanted for caller in manager.get_hookcallers(module) or ()):
        return manager
    unmarked = " (its function of that name lacks @hookimpl)" if hasattr(module, wanted) else ""
    raise _broken(entry, f"{entry.value} does not implement the hook {wanted}{unmarked}")


def _broken(entry: Entry, why: str, *, fix: str = "") -> PluginError:
    return PluginError(
        f"the {entry.kind} plugin {entry.label} is broken: {why}",
        fix=fix or f"Upgrade or remove it: pip uninstall {entry.distribution}",
        plugin=entry.label,
    )


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {_first_line(error)}" if str(error) else type(error).__name__


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
