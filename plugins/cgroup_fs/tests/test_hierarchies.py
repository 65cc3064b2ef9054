"""cgroupfs keeps the contract on v1 alone and on v2 alone too.

Where this machine has both, the other hierarchies are unmounted in a mount namespace of the test's own: the driver asks
mountinfo, so it sees a machine without them. What v2 has no controllers for is shown by the virtual machines.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.linux import cgroups
from tests.testbed import inner

INSIDE = Path(__file__).with_name("contract_inside.py")
UNMOUNT = {"v1": "cgroup2", "v2": "cgroup"}
NOT_ON_V1 = {
    "the driver does not offer unified here", "the driver does not offer hugetlb here",
    "no pressure is accounted here: there is no cgroup v2, or the kernel does not", "there is no cgroup v2 here",
    "the memory controller is not on v2 here",
    "the driver does not offer net-cls here", "the driver does not offer net-prio here",
    "the driver does not offer rdma here", "this machine has no swap",
    "the kernel cannot be told to take memory back: that is cgroup v2's since Linux 5.19",
}  # fmt: skip
SCRIPT = 'findmnt --noheadings --output TARGET --types "$1" | xargs --no-run-if-empty umount; shift; exec "$@"'


@pytest.mark.slow
@inner.WHOLE
@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_contract(mode: str, tmp_path: Path) -> None:
    native = cgroups.discover().mode
    if native not in ("hybrid", mode):
        pytest.skip(f"this machine's cgroups are {native} alone")
    alone = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", SCRIPT, "sh", UNMOUNT[mode]]
    suite = inner.suite(INSIDE, tmp_path / "inner")
    passed, skipped = inner.outcome(subprocess.run([*alone, *suite], capture_output=True, text=True, timeout=inner.ALL))
    assert passed > 20
    # On a hybrid machine the controllers are bound to v1, also where v1 is out of sight.
    assert mode == "v2" or skipped <= NOT_ON_V1, skipped
