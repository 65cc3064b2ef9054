"""The runtime suite is run against broken runtimes: every check must catch one, and says nothing of the sound one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import cast

import pytest

from core.tests.testing import runtime_mutants, runtime_mutants_ids
from core.tests.testing.runtime_mutants import Altered, BrokenStage
from engine.actions.task import Stage
from engine.contracts.runtime import RuntimeConfig
from engine.errors import EngineError
from engine.linux import mountinfo, mounts
from engine.testing.runtime import RuntimeContract
from engine.testing.runtime_support import make_box
from engine_runtime_native.driver import NativeRuntime

MUTANTS = runtime_mutants.MUTANTS | runtime_mutants_ids.MUTANTS
CHECKS = [name for name in dir(RuntimeContract) if name.startswith("test_")]
CAUGHT = (AssertionError, EngineError, OSError, IndexError, pytest.fail.Exception)


def test_every_check_has_a_mutant_and_every_mutant_a_check() -> None:
    assert sorted(MUTANTS) == sorted(CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_check_catches_its_mutant(check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = copy.copy(MUTANTS[check])
    runtime = Altered(NativeRuntime(RuntimeConfig(tmp_path / "cache", {})))
    mutant.driver(runtime)
    stage = BrokenStage()
    mutant.stage(stage)
    for holder, name, replacement in mutant.patch:
        monkeypatch.setattr(holder, name, replacement)
    box = make_box(runtime, tmp_path / "bundle", cast("Stage", stage))
    runtime.bundle = str(box.bundle)
    try:
        with pytest.raises(CAUGHT):
            getattr(RuntimeContract(), check)(box)
    finally:
        for entry in mountinfo.below(runtime.bundle, mountinfo.read()):
            mounts.umount(entry.mount_point)
