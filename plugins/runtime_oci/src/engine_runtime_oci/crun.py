"""Registration: the entry point ``crun`` of the group ``engine.runtime``."""

from __future__ import annotations

from engine.contracts.runtime import Runtime, RuntimeConfig
from engine.hookspecs import hookimpl
from engine_runtime_oci.driver import OciRuntime

contract = 1


@hookimpl
def runtime(config: RuntimeConfig) -> Runtime:
    """Make the runtime."""
    return OciRuntime("crun", config)
