"""The storage suite's checks of the worst moments: killed, or out of space, at each step of each method."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from engine.contracts.storage import SnapshotKind, StorageDriver
from engine.errors import Conflict, EngineError
from engine.testing import tracing
from engine.testing.storage_support import StorageChecks, infos, inside, kinds, layer, nothing_mounted, paths

ACTIVE, VIEW, COMMITTED = SnapshotKind.ACTIVE, SnapshotKind.VIEW, SnapshotKind.COMMITTED


def fill(at: Path) -> None:
    """Unpack a small layer."""
    (at / "directory").mkdir()
    (at / "directory/file").write_text("content")


def look(at: Path) -> str:
    """Read what `fill` unpacked."""
    return (at / "directory/file").read_text()


@pytest.mark.skipif(not tracing.CAN_KILL, reason="the tracer does not know the system calls of this machine")
class CrashChecks(StorageChecks):
    """SIGKILL before each system call that changes something, and ENOSPC as the answer to each."""

    def test_killed_in_probe(self, driver: StorageDriver, root: Path) -> None:
        """What a probe was trying is listed when it is still there, and goes by that name."""
        layer(driver, "base", None, fill)
        clean = self._warmed(driver, root)
        for step in killed_at_each_step(driver.probe, may_do_nothing=True):
            listed = kinds(driver)
            assert listed.pop("base") is COMMITTED, f"killed before {step}"
            assert paths(root) == clean or listed, f"killed before {step}: an unlisted remnant"
            for name in listed:
                driver.remove(name)
            assert paths(root) == clean, f"killed before {step}: not cleared by remove"

    @pytest.mark.parametrize("read_only", [False, True])
    def test_killed_in_prepare(self, driver: StorageDriver, root: Path, place: Path, read_only: bool) -> None:
        """What is left is no snapshot or the whole one, is listed if it is there, and goes with its key."""
        layer(driver, "base", None, fill)
        clean = self._warmed(driver, root)
        prepare = lambda: driver.prepare("key", "base", read_only=read_only)  # noqa: E731
        for step in killed_at_each_step(prepare):
            listed = infos(driver)
            listed.pop("key", None)
            assert listed == {"base": ("base", COMMITTED, None)}, f"killed before {step}"
            assert paths(root) == clean or "key" in kinds(driver), f"killed before {step}: an unlisted remnant"
            driver.remove("key")
            assert paths(root) == clean, f"killed before {step}: not cleared by remove"
        assert inside(driver, "key", place, look) == "content"

    def test_killed_in_prepare_and_prepared_again(self, driver: StorageDriver, place: Path) -> None:
        """The same prepare again makes the snapshot, or says that there is one already, which is then whole."""
        layer(driver, "base", None, fill)
        for step in killed_at_each_step(lambda: driver.prepare("key", "base")):
            with suppress(Conflict):
                driver.prepare("key", "base")
            assert infos(driver)["key"] == ("key", ACTIVE, "base"), f"killed before {step}"
            assert inside(driver, "key", place, look) == "content", f"killed before {step}"
            driver.remove("key")

    def test_killed_in_commit(self, driver: StorageDriver, root: Path, place: Path) -> None:
        """The snapshot is either still active, with all its files, or committed, with all its files."""
        layer(driver, "base", None, fill)
        clean = self._warmed(driver, root)
        for step in killed_at_each_step(lambda: driver.commit("key", "name"), prepared(driver)):
            found = kinds(driver)
            found.pop("base")
            assert found in ({"key": ACTIVE}, {"name": COMMITTED}), f"killed before {step}"
            if "key" in found:
                assert inside(driver, "key", place, look) == "content", f"killed before {step}"
                driver.commit("key", "name")
            driver.prepare("look", "name", read_only=True)
            assert inside(driver, "look", place, look) == "content", f"killed before {step}"
            for name in ("look", "key", "name"):
                driver.remove(name)
            assert paths(root) == clean, f"killed before {step}: not cleared by remove"

    def test_killed_in_commit_and_removed(self, driver: StorageDriver, root: Path) -> None:
        """A commit cut short is cleared by removing the key and the name."""
        layer(driver, "base", None, fill)
        clean = self._warmed(driver, root)
        for step in killed_at_each_step(lambda: driver.commit("key", "name"), prepared(driver)):
            driver.remove("key")
            driver.remove("name")
            assert kinds(driver) == {"base": COMMITTED}, f"killed before {step}"
            assert paths(root) == clean, f"killed before {step}: not cleared by remove"

    @pytest.mark.parametrize("name", ["key", "name"])
    def test_killed_in_remove(self, driver: StorageDriver, root: Path, place: Path, name: str) -> None:
        """What is half removed is no committed snapshot, stays listed, and is gone after the next remove."""
        layer(driver, "base", None, fill)
        clean = self._warmed(driver, root)

        def prepare() -> None:
            prepared(driver)()
            if name == "name":
                driver.commit("key", "name")

        whole = COMMITTED if name == "name" else ACTIVE
        whole_tree = {"directory", "directory/file", "more", "more/files"}
        for step in killed_at_each_step(lambda: driver.remove(name), prepare):
            found = kinds(driver)
            assert found.get(name) in {None, ACTIVE, whole}, f"killed before {step}"
            assert paths(root) == clean or name in found, f"killed before {step}: an unlisted remnant"
            if found.get(name) is COMMITTED:
                driver.prepare("look", name, read_only=True)
                assert inside(driver, "look", place, paths) == whole_tree, f"killed before {step}"
                driver.remove("look")
            driver.remove(name)
            assert kinds(driver) == {"base": COMMITTED}, f"killed before {step}"
            assert paths(root) == clean, f"killed before {step}: not cleared by remove"

    def test_others_go_on_beside_a_remnant(self, driver: StorageDriver, place: Path) -> None:
        """What a killed process left, locks included, holds nobody else up."""
        layer(driver, "base", None, fill)
        for step in killed_at_each_step(lambda: driver.prepare("key", "base")):
            with nothing_mounted():
                layer(driver, "other", "base", lambda at: (at / "more").touch())
                driver.prepare("container", "other")
            assert inside(driver, "container", place, look) == "content", f"killed before {step}"
            for name in ("container", "other", "key"):
                driver.remove(name)

    @pytest.mark.skipif(not tracing.CAN_FAIL, reason="the tracer cannot fail a system call on this machine")
    def test_a_full_disk_in_prepare(self, driver: StorageDriver, root: Path) -> None:
        """The error says what to do, and nothing is left; where the step does not matter the snapshot is made."""
        layer(driver, "base", None, fill)
        clean = self._warmed(driver, root)
        for step, error in full_at_each_step(lambda: driver.prepare("key", "base")):
            if error is None:
                assert infos(driver)["key"] == ("key", ACTIVE, "base"), f"no space for {step}"
                driver.remove("key")
            else:
                assert isinstance(error, EngineError), f"no space for {step}: {error!r}"
                assert error.fix, f"no space for {step}: no advice in {error}"
                assert paths(root) == clean, f"no space for {step}: something is left"

    @pytest.mark.skipif(not tracing.CAN_FAIL, reason="the tracer cannot fail a system call on this machine")
    def test_a_full_disk_in_commit(self, driver: StorageDriver, root: Path) -> None:
        """The snapshot stays active and can be committed later, or it is committed after all."""
        layer(driver, "base", None, fill)
        clean = self._warmed(driver, root)
        for step, error in full_at_each_step(lambda: driver.commit("key", "name"), prepared(driver)):
            found = kinds(driver)
            if error is None:
                assert found == {"base": COMMITTED, "name": COMMITTED}, f"no space for {step}"
            else:
                assert isinstance(error, EngineError), f"no space for {step}: {error!r}"
                assert error.fix, f"no space for {step}: no advice in {error}"
                assert found.get("key", found.get("name")) is not None, f"no space for {step}: the snapshot is lost"
            for name in ("key", "name"):
                driver.remove(name)
            assert paths(root) == clean, f"no space for {step}: not cleared by remove"

    @staticmethod
    def _warmed(driver: StorageDriver, root: Path) -> set[str]:
        """Return what lies below the root when the driver has made what it makes once."""
        driver.prepare("warm", "base")
        driver.remove("warm")
        return paths(root)


def prepared(driver: StorageDriver) -> Callable[[], None]:
    """Return what makes the active snapshot ``key`` with something in it."""

    def prepare() -> None:
        driver.prepare("key", "base")
        (driver.unpack_target("key").directory / "more").mkdir()
        (driver.unpack_target("key").directory / "more/files").touch()

    return prepare


def killed_at_each_step(
    call: Callable[[], object], before: Callable[[], object] = lambda: None, *, may_do_nothing: bool = False
) -> Iterator[str]:
    """Yield the name of the step before which ``call`` was killed, step after step; end when it ran to its end."""
    for number in count(1):
        before()
        step = tracing.kill_at(call, number)
        if step is None:
            assert number > 1 or may_do_nothing, "the call changes nothing: this check cannot find anything"
            return
        yield step


def full_at_each_step(
    call: Callable[[], object], before: Callable[[], object] = lambda: None
) -> Iterator[tuple[str, BaseException | None]]:
    """Yield the name of the step that found the disk full, and what ``call`` raised then, step after step."""
    for number in count(1):
        before()
        step, error = tracing.fail_at(call, number, errno.ENOSPC)
        if step is None:
            assert error is None, f"the call fails without a fault: {error!r}"
            return
        yield step, error
