"""The reference driver broken in one way at a time, and which check of the storage suite must notice each.

`MUTANTS` is the table that `test_storage_suite` holds complete: a check without a mutant might be one that cannot fail.
"""

from __future__ import annotations

from core.tests.testing import (
    storage_mutants_changes,
    storage_mutants_crashes,
    storage_mutants_files,
    storage_mutants_ids,
    storage_mutants_lifecycle,
)
from core.tests.testing.storage_mutants_table import MUTANTS

__all__ = [
    "MUTANTS",
    "storage_mutants_changes",
    "storage_mutants_crashes",
    "storage_mutants_files",
    "storage_mutants_ids",
    "storage_mutants_lifecycle",
]
