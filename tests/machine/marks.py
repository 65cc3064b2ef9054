"""The marks by which what a test makes is known as its own."""

from __future__ import annotations

import binascii
import hashlib
import os
import re
import tempfile
from pathlib import Path

RUN = "TESTRUN"
"""Environment: the run's own six hex digits, set by the process that controls it and inherited by its workers.

Not ``ENGINE_…``: those are the engine's settings, and part of what it keys its cache by.
"""
TEST = "TESTRUN_NODE"
"""Environment: the node id of the test that runs."""
PREFIX = "engine-test-"
PATTERN = re.compile(rf"{PREFIX}[0-9a-f]{{6}}(?:-[0-9a-f]{{8}})?")


def begin_run() -> str:
    """Return this run's digits, drawing them when there are none yet."""
    return os.environ.setdefault(RUN, os.urandom(3).hex())


PLACE = Path("/var/tmp")
"""Where engine roots are made: on the machine's disk, since an overlay's upper layer cannot lie on another overlay."""


def of_run() -> str:
    """Return the beginning of every mark of this run."""
    return f"{PREFIX}{begin_run()}"


def of_engine_root(root: Path) -> str:
    """Return the name of the cgroup, and the beginning of the unit, that holds the containers of an engine root."""
    return f"engine-{binascii.crc32(os.path.realpath(root).encode()):08x}"


def cache() -> Path:
    """Return the cache directory of this run's engines: shared, so that not every test pays for what is remembered."""
    return Path(tempfile.gettempdir(), f"{of_run()}-cache")


def of(nodeid: str) -> str:
    """Return the mark of a test: 27 characters, fit for a file, a cgroup and a host name."""
    return f"{of_run()}-{hashlib.sha256(nodeid.encode()).hexdigest()[:8]}"


def of_worker(what: str) -> str:
    """Return the mark of what all tests of a pytest-xdist worker share."""
    return of(f"{what} {os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
