"""The contract suite of storage drivers: every sentence of `engine.contracts.storage`, tried against the kernel.

A plugin's whole test module is a subclass with a fixture::

    class TestMyDriver(StorageContract):
        @pytest.fixture
        def driver(self, root: Path) -> StorageDriver:
            root.mkdir(mode=0o700)
            return MyDriver(StorageConfig(root, {}))

Each check gets a driver over an empty root. Where the root cannot lie below pytest's ``tmp_path`` (it must be on a file
system of its own), override the fixture ``root`` as well; where host-lower takes only some directories, ``lower``.
A check that needs a capability is skipped unless the driver declares it, and then another one makes sure that the
driver refuses it by name. The checks need root: they mount, in forked children with a mount namespace of their own.
"""

from __future__ import annotations

from engine.testing.storage_changes import ChangesChecks
from engine.testing.storage_crashes import CrashChecks
from engine.testing.storage_files import FilesChecks
from engine.testing.storage_ids import IdsChecks
from engine.testing.storage_lifecycle import LifecycleChecks


class StorageContract(LifecycleChecks, FilesChecks, IdsChecks, ChangesChecks, CrashChecks):
    """Subclass it; see the module's text."""
