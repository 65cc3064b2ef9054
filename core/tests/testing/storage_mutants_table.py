"""Which check of the storage suite must notice which broken driver."""

from __future__ import annotations

from collections.abc import Callable

from core.tests.testing.vfs import VfsDriver

MUTANTS: dict[str, type[VfsDriver]] = {}


def caught_by(*checks: str) -> Callable[[type[VfsDriver]], type[VfsDriver]]:
    """Enter a broken driver into the table; each check may have one."""

    def enter(mutant: type[VfsDriver]) -> type[VfsDriver]:
        assert not MUTANTS.keys() & set(checks), f"{checks} have a mutant already"
        MUTANTS.update(dict.fromkeys(checks, mutant))
        return mutant

    return enter
