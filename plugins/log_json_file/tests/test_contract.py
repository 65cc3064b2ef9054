"""Both drivers pass the contract suite of log drivers."""

from __future__ import annotations

import pytest

from engine.testing.log import LogContract, MakeDriver, SilentLogContract
from engine_log_json_file.driver import JsonFileDriver
from engine_log_json_file.none import NoneDriver


class TestJsonFile(LogContract):
    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        return JsonFileDriver


class TestJsonFileRotating(LogContract):
    """The same, with files so small that every check crosses several."""

    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        return lambda options: JsonFileDriver({"max-size": "64k", "max-file": "99", **options})


class TestNone(SilentLogContract):
    @pytest.fixture
    def make_driver(self) -> MakeDriver:
        return NoneDriver
