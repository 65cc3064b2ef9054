"""The snapshots' store puts failures in words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.contracts.snapshots import SnapshotStore
from engine.errors import EngineError, KernelError


@pytest.mark.parametrize(
    ("error", "sentence", "advised"),
    [
        (
            PermissionError(1, "Operation not permitted", "/some/where"),
            "cannot look: Operation not permitted (/some/",
            0,
        ),
        (OSError(28, "No space left on device"), "cannot look: No space left on device", 1),
        (shutil.Error("it is a named pipe"), "cannot look: it is a named pipe", 0),
    ],
)
def test_a_failure_is_explained_as_far_as_it_has_a_number(
    error: OSError, sentence: str, advised: bool, tmp_path: Path
) -> None:
    with pytest.raises(EngineError) as caught, SnapshotStore(tmp_path, "mine").explaining("look"):
        raise error
    assert caught.value.what.startswith(sentence)
    assert "success" not in caught.value.what.lower()
    assert (caught.value.plugin, bool(caught.value.fix)) == ("mine", bool(advised))
    assert isinstance(caught.value, KernelError) is not bool(advised)
