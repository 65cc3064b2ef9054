"""What every test of the workspace has: marks, a look at the machine, a real systemd and root filesystems."""

from __future__ import annotations

pytest_plugins = [
    "tests.machine.plugin",
    "tests.testbed.plugin",
    "tests.testbed.cgroup_report",
    "tests.workloads.plugin",
]
