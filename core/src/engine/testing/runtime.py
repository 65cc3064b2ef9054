"""The contract suite of runtimes: every sentence of `engine.contracts.runtime`, seen from inside real containers.

A plugin's whole test module is a subclass with a fixture::

    class TestMyRuntime(RuntimeContract):
        @pytest.fixture
        def runtime(self, tmp_path: Path) -> Runtime:
            return MyRuntime(RuntimeConfig(tmp_path / "cache", {}))

Each check gets a `Box`: the runtime, its stage, and a root file system of busybox. The suite plays the shim in a forked
process with a mount namespace of its own (`engine.testing.shim`). A check of something optional is skipped unless the
runtime declares it. Root is needed, and Debian's busybox-static.
"""

from __future__ import annotations

from engine.testing.runtime_ids import IdsChecks
from engine.testing.runtime_lifecycle import LifecycleChecks
from engine.testing.runtime_optional import OptionalChecks
from engine.testing.runtime_process import ProcessChecks
from engine.testing.runtime_root import RootChecks
from engine.testing.runtime_support import RuntimeFixtures


class RuntimeContract(RuntimeFixtures, LifecycleChecks, RootChecks, ProcessChecks, OptionalChecks, IdsChecks):
    """Subclass it; see the module's text."""
