"""Registration: the entry point ``native`` of the group ``engine.runtime``."""

from __future__ import annotations

from engine.contracts.runtime import Runtime, RuntimeConfig
from engine.hookspecs import hookimpl
from engine_runtime_native.driver import NativeRuntime

contract = 1


@hookimpl
def runtime(config: RuntimeConfig) -> Runtime:
    """Make the runtime."""
    return NativeRuntime(config)
