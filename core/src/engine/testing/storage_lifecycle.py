"""The storage suite's checks of names, states and errors: what needs no look into the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.contracts.common import IdMap, IdMapping
from engine.contracts.storage import Capability, SnapshotKind, StorageDriver
from engine.errors import Conflict, EngineError, InvalidInput, NotFound, Unsupported
from engine.testing.processes import Child, in_child
from engine.testing.storage_support import (
    StorageChecks,
    infos,
    inside,
    kinds,
    layer,
    nothing_left,
    nothing_mounted,
    refused,
)

ACTIVE, VIEW, COMMITTED = SnapshotKind.ACTIVE, SnapshotKind.VIEW, SnapshotKind.COMMITTED
BAD_NAMES = ("", ".", "..", "../escape", "a/b", "/absolute", ".hidden", "-dash", "Upper", "new\nline", "x" * 129)


class LifecycleChecks(StorageChecks):
    """Prepare, commit, view and remove, with every error of the contract."""

    def test_probe_says_usable_and_leaves_nothing(self, driver: StorageDriver, root: Path) -> None:
        """The suite runs where the driver works: the probe must agree, in words, and clean up."""
        driver.prepare("first", None)
        driver.remove("first")
        with nothing_left(root), nothing_mounted():
            probe = driver.probe()
        assert probe.usable, probe.reason
        assert probe.reason.strip()
        assert "\n" not in probe.reason

    def test_capabilities_are_of_the_contract(self, driver: StorageDriver) -> None:
        """What a driver declares is known to the core."""
        assert isinstance(driver.capabilities, frozenset)
        assert driver.capabilities <= set(Capability)

    def test_prepare_makes_an_active_snapshot(self, driver: StorageDriver) -> None:
        """A fresh driver holds nothing; a prepared snapshot is listed without a parent."""
        assert infos(driver) == {}
        driver.prepare("key", None)
        assert infos(driver) == {"key": ("key", ACTIVE, None)}

    def test_commit_turns_the_key_into_a_name(self, driver: StorageDriver) -> None:
        """After a commit the name is there and the key is gone."""
        driver.prepare("key", None)
        driver.commit("key", "name")
        assert infos(driver) == {"name": ("name", COMMITTED, None)}

    def test_snapshots_name_their_parent(self, driver: StorageDriver) -> None:
        """Each kind says what it is and what it was made over."""
        layer(driver, "base", None, lambda _: None)
        layer(driver, "top", "base", lambda _: None)
        driver.prepare("container", "top")
        driver.prepare("look", "top", read_only=True)
        assert infos(driver) == {
            "base": ("base", COMMITTED, None),
            "top": ("top", COMMITTED, "base"),
            "container": ("container", ACTIVE, "top"),
            "look": ("look", VIEW, "top"),
        }

    def test_state_is_on_disk(self, driver: StorageDriver) -> None:
        """What one process makes, another one sees: nothing is remembered in the driver object."""
        in_child(lambda: layer(driver, "base", None, lambda _: None))
        driver.prepare("container", "base")
        in_child(lambda: driver.remove("container"))
        assert kinds(driver) == {"base": COMMITTED}

    @pytest.mark.parametrize("bad", BAD_NAMES)
    def test_bad_names_are_refused(self, driver: StorageDriver, root: Path, bad: str) -> None:
        """A name that is none reaches the file system in no method, as key, name or parent."""
        driver.prepare("good", None)
        with nothing_left(root.parent):
            for call in (
                lambda: driver.prepare(bad, None),
                lambda: driver.prepare("other", bad),
                lambda: driver.commit("good", bad),
                lambda: driver.commit(bad, "name"),
                lambda: driver.mounts(bad),
                lambda: driver.unpack_target(bad),
                lambda: list(driver.changes(bad)),
                lambda: driver.usage(bad),
                lambda: driver.remove(bad),
            ):
                with refused(InvalidInput):
                    call()

    def test_an_existing_key_is_a_conflict(self, driver: StorageDriver, place: Path) -> None:
        """A second prepare of a key fails, and the first one's files stay."""
        driver.prepare("key", None)
        (driver.unpack_target("key").directory / "file").write_text("first")
        with refused(Conflict, "key"):
            driver.prepare("key", None)
        assert inside(driver, "key", place, lambda at: (at / "file").read_text()) == "first"

    def test_a_committed_name_is_no_free_key(self, driver: StorageDriver) -> None:
        """Keys and names are one name space: a key cannot be the name of a committed snapshot."""
        layer(driver, "name", None, lambda _: None)
        with refused(Conflict, "name"):
            driver.prepare("name", None)
        assert kinds(driver) == {"name": COMMITTED}

    def test_an_unknown_parent_is_not_found(self, driver: StorageDriver, root: Path) -> None:
        """Nothing is made over a parent that does not exist."""
        driver.prepare("first", None)
        with nothing_left(root), refused(NotFound, "absent"):
            driver.prepare("key", "absent")
        assert kinds(driver) == {"first": ACTIVE}

    def test_an_uncommitted_parent_is_not_found(self, driver: StorageDriver, root: Path) -> None:
        """An active snapshot and a view can be nobody's parent."""
        driver.prepare("active", None)
        driver.prepare("view", None, read_only=True)
        for parent in ("active", "view"):
            with nothing_left(root), refused(NotFound, parent):
                driver.prepare("key", parent)

    def test_committing_to_an_existing_name_is_a_conflict(self, driver: StorageDriver, place: Path) -> None:
        """The committed snapshot stays as it is, and so does the active one."""
        layer(driver, "name", None, lambda at: (at / "file").write_text("committed"))
        driver.prepare("key", None)
        (driver.unpack_target("key").directory / "file").write_text("active")
        with refused(Conflict, "name"):
            driver.commit("key", "name")
        assert kinds(driver) == {"name": COMMITTED, "key": ACTIVE}
        driver.prepare("look", "name", read_only=True)
        assert inside(driver, "look", place, lambda at: (at / "file").read_text()) == "committed"
        assert inside(driver, "key", place, lambda at: (at / "file").read_text()) == "active"

    def test_committing_an_unknown_key_is_not_found(self, driver: StorageDriver) -> None:
        """Nothing is committed from a key that was never prepared, nor from one committed already."""
        with refused(NotFound, "absent"):
            driver.commit("absent", "name")
        layer(driver, "name", None, lambda _: None)
        with refused(NotFound, "unpack-name"):
            driver.commit("unpack-name", "other")
        assert kinds(driver) == {"name": COMMITTED}

    def test_a_view_cannot_be_committed(self, driver: StorageDriver) -> None:
        """A view is for looking."""
        layer(driver, "base", None, lambda _: None)
        driver.prepare("look", "base", read_only=True)
        with refused(Conflict, "look"):
            driver.commit("look", "name")
        assert kinds(driver) == {"base": COMMITTED, "look": VIEW}

    def test_unknown_keys_are_not_found(self, driver: StorageDriver) -> None:
        """Every question about a key that does not exist says so."""
        for question in (
            lambda: driver.mounts("absent"),
            lambda: driver.unpack_target("absent"),
            lambda: list(driver.changes("absent")),
            lambda: driver.usage("absent"),
        ):
            with refused(NotFound, "absent"):
                question()

    def test_committed_snapshots_are_not_mounted(self, driver: StorageDriver) -> None:
        """A committed snapshot is mounted through a view, and nothing more is unpacked into it."""
        layer(driver, "base", None, lambda _: None)
        for question in (lambda: driver.mounts("base"), lambda: driver.unpack_target("base")):
            with refused(NotFound, "base"):
                question()

    def test_remove_may_be_repeated(self, driver: StorageDriver, root: Path) -> None:
        """Removing what is gone, or never was, does nothing."""
        driver.prepare("key", None)
        driver.remove("key")
        with nothing_left(root):
            driver.remove("key")
            driver.remove("never-was")
        assert infos(driver) == {}

    def test_remove_leaves_nothing(self, driver: StorageDriver, root: Path, place: Path) -> None:
        """Active, view or committed: what a snapshot put below the root goes with it, what was mounted included."""
        layer(driver, "base", None, lambda at: (at / "file").write_text("below"))
        with nothing_left(root):
            driver.prepare("container", "base")
            inside(driver, "container", place, lambda at: (at / "file").rename(at / "other"))
            driver.prepare("look", "base", read_only=True)
            inside(driver, "look", place, lambda at: (at / "file").read_text())
            layer(driver, "top", "base", lambda at: (at / "more").mkdir())
            for name in ("container", "look", "top"):
                driver.remove(name)
        assert kinds(driver) == {"base": COMMITTED}

    def test_a_parent_in_use_stays(self, driver: StorageDriver, place: Path) -> None:
        """A committed snapshot goes only after everything made over it, of whatever kind."""
        layer(driver, "base", None, lambda at: (at / "file").write_text("below"))
        children: tuple[Callable[[], None], ...] = (
            lambda: driver.prepare("child", "base"),
            lambda: driver.prepare("child", "base", read_only=True),
            lambda: layer(driver, "child", "base", lambda _: None),
        )
        for make in children:
            make()
            with refused(Conflict, "base"):
                driver.remove("base")
            driver.prepare("look", "base", read_only=True)
            assert inside(driver, "look", place, lambda at: (at / "file").read_text()) == "below"
            driver.remove("look")
            driver.remove("child")
        driver.remove("base")
        assert infos(driver) == {}

    def test_a_key_may_be_used_again(self, driver: StorageDriver, place: Path) -> None:
        """After a remove, and after a commit, a key starts empty."""
        driver.prepare("key", None)
        (driver.unpack_target("key").directory / "old").write_text("old")
        driver.remove("key")
        driver.prepare("key", None)
        assert inside(driver, "key", place, lambda at: list(at.iterdir())) == []
        driver.commit("key", "name")
        driver.prepare("key", "name")
        assert kinds(driver) == {"name": COMMITTED, "key": ACTIVE}

    def test_mounts_are_plain_values(self, driver: StorageDriver, root: Path) -> None:
        """Asking for the mounts touches nothing, says the same each time, and can be sent to another process."""
        layer(driver, "base", None, lambda _: None)
        driver.prepare("container", "base")
        driver.prepare("look", "base", read_only=True)
        with nothing_left(root), nothing_mounted():
            for key in ("container", "look"):
                values = driver.mounts(key)
                assert isinstance(values, tuple)
                assert values
                assert driver.mounts(key) == values
                json.dumps(values)
                assert all(type(part) is str for value in values for pair in value.options for part in pair)

    def test_nothing_stays_mounted(self, driver: StorageDriver) -> None:
        """No method leaves a mount behind in the caller's mount namespace."""
        with nothing_mounted():
            layer(driver, "base", None, lambda at: (at / "file").write_text("below"))
            driver.prepare("container", "base")
            driver.prepare("look", "base", read_only=True)
            (driver.unpack_target("container").directory / "new").write_text("new")
            list(driver.changes("container"))
            driver.usage("container")
            driver.usage("base")
            driver.remove("look")
            driver.remove("container")
            driver.remove("base")

    def test_undeclared_capabilities_are_refused(self, driver: StorageDriver, root: Path, tmp_path: Path) -> None:
        """Optional behaviour is declared, or refused by name with nothing left behind."""
        layer(driver, "base", None, lambda _: None)
        driver.prepare("key", None)
        ids = (IdMapping(0, 100000, 65536),)
        calls: dict[Capability, Callable[[], object]] = {
            Capability.HOST_LOWER: lambda: driver.prepare("new", None, lower=tmp_path),
            Capability.QUOTA: lambda: driver.prepare("new", None, size=1 << 20),
            Capability.IDMAP: lambda: driver.mounts("key", idmap=IdMap(ids, ids)),
            Capability.PARALLEL_UNPACK: lambda: driver.commit("key", "name", parent="base"),
        }
        for capability in set(calls) - driver.capabilities:
            with nothing_left(root), refused(Unsupported, capability):
                calls[capability]()
        assert kinds(driver) == {"base": COMMITTED, "key": ACTIVE}

    def test_two_processes_work_side_by_side(self, driver: StorageDriver) -> None:
        """Different keys at the same time, over the same parent, from two processes: nobody disturbs the other."""
        layer(driver, "base", None, lambda at: (at / "file").write_text("below"))

        def work(who: str) -> str:
            for turn in range(12):
                key = f"{who}-{turn}"
                driver.prepare(key, "base")
                (driver.unpack_target(key).directory / "new").write_text(key)
                if turn % 3 == 0:
                    driver.commit(key, f"{key}-layer")
                    driver.remove(f"{key}-layer")
                driver.remove(key)
                assert f"{key}" not in kinds(driver)
            driver.prepare(f"{who}-last", "base")
            return who

        workers = [Child(lambda who=who: work(who)) for who in ("one", "two")]  # type: ignore[misc]
        assert [worker.result() for worker in workers] == ["one", "two"]
        assert kinds(driver) == {"base": COMMITTED, "one-last": ACTIVE, "two-last": ACTIVE}

    def test_parents_are_safe_from_a_race(self, driver: StorageDriver) -> None:
        """A parent being removed while a child is prepared: one of the two is refused, never both done."""
        for _ in range(8):
            layer(driver, "base", None, lambda at: (at / "file").write_text("below"))
            children = [Child(lambda: _tried(lambda: driver.prepare("child", "base")))]
            children.append(Child(lambda: _tried(lambda: driver.remove("base"))))
            assert [child.result() for child in children].count("done") == 1
            driver.remove("child")
            driver.remove("base")


def _tried(call: Callable[[], object]) -> str:
    try:
        call()
    except (Conflict, NotFound):
        return "refused"
    except EngineError as error:
        return repr(error)
    return "done"
