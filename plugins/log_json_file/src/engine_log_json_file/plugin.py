"""Registers ``json-file`` with the engine."""

from __future__ import annotations

from engine.contracts.logs import LogConfig, LogDriver
from engine.hookspecs import hookimpl
from engine_log_json_file.driver import JsonFileDriver

contract = 1


@hookimpl
def log_driver(config: LogConfig) -> LogDriver:
    """Make the driver."""
    return JsonFileDriver(config.options)
