"""The contract suite of cgroup drivers: every sentence of `engine.contracts.cgroup`, measured on real processes.

A plugin's whole test module is a subclass with a fixture::

    class TestMyDriver(CgroupContract):
        @pytest.fixture
        def make_driver(self):
            return MyDriver

``make_driver`` makes the driver from a `CgroupConfig`: the suite gives each check a mark of its own. ``parent`` is a
cgroup parent in the driver's own syntax, other than the default, and ``parents_stay`` tells whether the driver leaves
parents that it made. A plan is carried out by a process that does what the
shim does (`engine.testing.cgroup_shim`); limits are judged by what happens to processes, not by reading files back. A
check that needs a capability is skipped unless the driver declares it, and another one makes sure that a driver
refuses by name what it does not declare. The checks need root, or whatever the driver needs.
"""

from __future__ import annotations

from engine.testing.cgroup_changes import ChangesChecks
from engine.testing.cgroup_io import IoChecks
from engine.testing.cgroup_lifecycle import LifecycleChecks
from engine.testing.cgroup_limits import LimitsChecks
from engine.testing.cgroup_memory import MemoryChecks
from engine.testing.cgroup_network import NetworkChecks
from engine.testing.cgroup_refusals import RefusalsChecks
from engine.testing.cgroup_rest import RestChecks


class CgroupContract(
    LifecycleChecks, LimitsChecks, ChangesChecks, IoChecks, RestChecks, MemoryChecks, NetworkChecks, RefusalsChecks
):
    """Subclass it; see the module's text."""
