"""The contract suite of namespace drivers: each kind new, shared and joined, its effect seen from inside.

A plugin's whole test module is a subclass with a fixture::

    class TestMyDriver(NamespaceContract):
        @pytest.fixture
        def driver(self) -> NamespaceDriver:
            return MyDriver(NamespaceConfig({}))

Each check tries the kinds that the driver declares. A plan is entered in a forked process, in the order in which a
runtime does it: joins, clone, identity maps from outside, unshare, the child's steps. Root is needed.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

import pytest

from engine.actions.base import Phase
from engine.contracts.common import IdMap, IdMapping
from engine.contracts.namespace import Host, Join, NamespaceDriver, New
from engine.errors import InvalidInput
from engine.linux import mounts
from engine.linux.namespaces import KINDS
from engine.testing.namespace_support import NEIGHBOURS_IDS, Neighbour, entered, own
from engine.testing.processes import in_private_mounts

_NS_GET_USERNS = 0xB701
_HOUR = 3600 * 1_000_000_000
_WHOLE_DEADLINE = 5


class NamespaceContract:
    """Subclass it; see the module's text."""

    @pytest.fixture
    def driver(self) -> NamespaceDriver:
        """Return the driver to check."""
        raise NotImplementedError("override the fixture 'driver'")

    def test_kinds_are_known_ones(self, driver: NamespaceDriver) -> None:
        """The driver declares kinds, and only those that the kernel has names for."""
        assert driver.kinds
        assert driver.kinds <= KINDS.keys()

    def test_probe_says_that_it_works_here(self, driver: NamespaceDriver) -> None:
        """`probe` says that the driver works here, and why."""
        answer = driver.probe()
        assert answer.usable, answer.reason
        assert answer.reason

    def test_plan_and_probe_change_nothing(self, driver: NamespaceDriver) -> None:
        """The caller is in the same namespaces after `probe` and `plan`, and a plan is the same each time."""
        before = [own(kind) for kind in sorted(KINDS)]
        choices = dict.fromkeys(sorted(driver.kinds), New())
        driver.probe()
        assert driver.plan(choices) == driver.plan(choices)
        assert [own(kind) for kind in sorted(KINDS)] == before

    def test_new_is_planned_once_by_clone_or_unshare(self, driver: NamespaceDriver) -> None:
        """A new namespace is made once, and its steps belong to the phases after the clone."""
        for kind in sorted(driver.kinds):
            plan = driver.plan({kind: New()})
            assert (*plan.clone, *plan.unshare) == (kind,)
            assert not plan.joins
            assert all(step.phase in {Phase.PARENT_AFTER, Phase.CHILD_BEFORE_PIVOT} for step in plan.steps)

    def test_new_is_not_the_hosts(self, driver: NamespaceDriver) -> None:
        """A new namespace is another than the host's, and the others stay the host's."""
        for kind in sorted(driver.kinds):
            seen = entered(driver, {kind: New()}, lambda: {one: own(one) for one in KINDS})
            assert {one for one in KINDS if seen[one] != own(one)} == {kind}

    def test_host_is_the_hosts(self, driver: NamespaceDriver) -> None:
        """Sharing the host's namespace is nothing to do."""
        for kind in sorted(driver.kinds):
            assert entered(driver, {kind: Host()}, lambda kind=kind: own(kind)) == own(kind)  # type: ignore[misc]

    def test_join_is_the_neighbours(self, driver: NamespaceDriver) -> None:
        """A joined namespace is that of the other process."""
        for kind in sorted(driver.kinds):
            with Neighbour(kind) as neighbour:
                seen = entered(driver, {kind: Join(neighbour.path(kind))}, lambda kind=kind: own(kind))  # type: ignore[misc]
                assert seen == own(kind, neighbour.pid) != own(kind)

    def test_several_are_joined_with_their_user_namespace(self, driver: NamespaceDriver) -> None:
        """Namespaces and the user namespace that owns them can be joined together."""
        kinds = sorted(driver.kinds & {"user", "net", "uts", "ipc"})
        with Neighbour(*kinds) as neighbour:
            choices = {kind: Join(neighbour.path(kind)) for kind in kinds}
            seen = entered(driver, choices, lambda: [own(kind) for kind in kinds])
            assert seen == [own(kind, neighbour.pid) for kind in kinds]

    def test_join_by_a_bind_mounted_file(self, driver: NamespaceDriver, tmp_path: Path) -> None:
        """A namespace can be joined by a file that it is bound to."""
        kind = sorted(driver.kinds & {"net", "uts", "ipc"})[0]
        file = tmp_path / "namespace"
        file.touch()
        with Neighbour(kind) as neighbour:

            def bound() -> str:
                mounts.mount(neighbour.path(kind), str(file), None, mounts.MS_BIND)
                return entered(driver, {kind: Join(str(file))}, lambda: own(kind))

            assert in_private_mounts(bound) == own(kind, neighbour.pid)

    def test_join_of_the_own_namespace_is_nothing_to_do(self, driver: NamespaceDriver) -> None:
        """A container may be told to join what the engine is in, the user namespace too."""
        for kind in sorted(driver.kinds):
            path = f"/proc/self/ns/{KINDS[kind].proc_name}"
            assert entered(driver, {kind: Join(path)}, lambda kind=kind: own(kind)) == own(kind)  # type: ignore[misc]

    def test_all_kinds_at_once(self, driver: NamespaceDriver) -> None:
        """All kinds can be new together."""
        kinds = sorted(driver.kinds)
        seen = entered(driver, dict.fromkeys(kinds, New()), lambda: [own(kind) for kind in kinds])
        assert not set(seen) & {own(kind) for kind in kinds}

    def test_user_namespace_owns_the_others(self, driver: NamespaceDriver) -> None:
        """With a new user namespace, the other new ones belong to it."""
        _need(driver, "user", "net")
        choices = {"net": New(), "user": New()}
        owner, mine = entered(driver, choices, lambda: (_owner("/proc/self/ns/net"), own("user")))
        assert f"user:[{owner}]" == mine != own("user")

    def test_host_and_domain_name_are_set_inside_alone(self, driver: NamespaceDriver) -> None:
        """The names of a uts namespace are set, and the host's are not changed."""
        _need(driver, "uts")
        before = os.uname().nodename
        new = New(hostname="box", domainname="example")
        seen = entered(driver, {"uts": new}, lambda: (os.uname().nodename, _read("/proc/sys/kernel/domainname")))
        assert seen == ("box", "example")
        assert os.uname().nodename == before

    def test_loopback_is_brought_up(self, driver: NamespaceDriver) -> None:
        """The loopback device of a network namespace is the only device, and works, or stays down when so asked."""
        _need(driver, "net")
        assert entered(driver, {"net": New()}, lambda: [name for _, name in socket.if_nameindex()]) == ["lo"]
        assert entered(driver, {"net": New()}, _can_listen_and_connect)
        assert not entered(driver, {"net": New(loopback=False)}, _can_listen_and_connect)

    def test_identity_map_is_written(self, driver: NamespaceDriver) -> None:
        """The identity map that was given holds: 0 inside is the host's id outside."""
        _need(driver, "user")
        id_map = IdMap((IdMapping(0, 400000, 1000),), (IdMapping(0, 500000, 2000),))
        seen = entered(driver, {"user": New(id_map=id_map)}, lambda: (_rows("uid_map"), _rows("gid_map"), os.getuid()))
        assert seen == ([[0, 400000, 1000]], [[0, 500000, 2000]], 0)

    def test_identity_map_is_the_engines_own_by_default(self, driver: NamespaceDriver) -> None:
        """Without a map every id that the engine has is itself inside."""
        _need(driver, "user")
        seen = entered(driver, {"user": New()}, lambda: _rows("uid_map"))
        assert seen == [[inside, inside, size] for inside, _outside, size in _rows("uid_map")]

    def test_clock_offsets_are_set(self, driver: NamespaceDriver) -> None:
        """The offsets of a time namespace hold for its first process, to the nanosecond."""
        _need(driver, "time")
        new = New(monotonic=_HOUR * 50 + 7, boottime=-1)
        seen = entered(driver, {"time": new}, lambda: Path("/proc/self/timens_offsets").read_text(encoding="ascii"))
        assert seen.split() == ["monotonic", str(3600 * 50), "7", "boottime", "-1", "999999999"]

    def test_first_process_of_a_pid_namespace_is_1(self, driver: NamespaceDriver) -> None:
        """The process that is cloned into a new pid namespace is its init."""
        _need(driver, "pid")
        assert entered(driver, {"pid": New()}, os.getpid) == 1

    def test_mounts_stay_inside(self, driver: NamespaceDriver, tmp_path: Path) -> None:
        """What is mounted in a new mount namespace whose mounts are private does not show outside."""
        _need(driver, "mount")

        def look() -> list[str]:
            mounts.make_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
            mounts.mount("none", str(tmp_path), "tmpfs")
            (tmp_path / "inside").touch()
            return os.listdir(tmp_path)

        assert entered(driver, {"mount": New()}, look) == ["inside"]
        assert os.listdir(tmp_path) == []

    def test_cgroup_namespace_is_rooted_where_its_maker_is(self, driver: NamespaceDriver) -> None:
        """A cgroup namespace hides where in the hierarchies the process is."""
        _need(driver, "cgroup")
        lines = entered(driver, {"cgroup": New()}, lambda: _read("/proc/self/cgroup").splitlines())
        assert {line.split(":", 2)[2] for line in lines} == {"/"}

    def test_setting_of_another_kind_is_refused(self, driver: NamespaceDriver) -> None:
        """A setting that a kind does not have is refused by name."""
        wrong = {"hostname": New(hostname="x"), "boottime": New(boottime=1), "loopback": New(loopback=False)}
        homes = {"hostname": "uts", "boottime": "time", "loopback": "net"}
        for setting, new in wrong.items():
            for kind in sorted(driver.kinds - {homes[setting]}):
                with pytest.raises(InvalidInput, match=setting):
                    driver.plan({kind: new})

    def test_name_that_is_too_long_is_refused(self, driver: NamespaceDriver) -> None:
        """A host name that the kernel would not take is refused."""
        _need(driver, "uts")
        with pytest.raises(InvalidInput, match="x" * 65):
            driver.plan({"uts": New(hostname="x" * 65)})

    def test_identity_map_that_cannot_be_is_refused(self, driver: NamespaceDriver) -> None:
        """An identity map without a root, or with an id twice, is refused."""
        _need(driver, "user")
        good = (IdMapping(0, 1000, 10),)
        for rows in ((IdMapping(1, 1000, 10),), (*good, IdMapping(5, 9000, 10)), (*good, IdMapping(100, 1005, 10))):
            with pytest.raises(InvalidInput):
                driver.plan({"user": New(id_map=IdMap(rows, good))})

    def test_join_of_what_is_no_such_namespace_is_refused(self, driver: NamespaceDriver, tmp_path: Path) -> None:
        """A missing file, another file, a fifo, and a namespace of another kind are refused, named, without waiting."""
        file, fifo = tmp_path / "file", tmp_path / "fifo"
        file.touch()
        os.mkfifo(fifo)
        for kind in sorted(driver.kinds):
            other = "uts" if kind != "uts" else "ipc"
            for path in (tmp_path / "missing", file, fifo, Path(f"/proc/self/ns/{other}")):
                with pytest.raises(InvalidInput, match=str(path)):
                    driver.plan({kind: Join(str(path))})

    def test_joined_user_namespace_has_its_map(self, driver: NamespaceDriver) -> None:
        """In a joined user namespace the ids are those of its map."""
        _need(driver, "user")
        with Neighbour("user") as neighbour:
            seen = entered(driver, {"user": Join(neighbour.path("user"))}, lambda: _rows("uid_map"))
        assert seen == [list(row) for row in NEIGHBOURS_IDS]


def _need(driver: NamespaceDriver, *kinds: str) -> None:
    for kind in kinds:
        if kind not in driver.kinds:
            pytest.skip(f"the driver does not declare {kind} namespaces")


def _read(path: str) -> str:
    return Path(path).read_text(encoding="ascii").strip()


def _rows(file: str) -> list[list[int]]:
    return [[int(number) for number in line.split()] for line in _read(f"/proc/self/{file}").splitlines()]


def _owner(path: str) -> int:
    """Return the inode of the user namespace that owns a namespace (ioctl_ns(2))."""
    fd = os.open(path, os.O_RDONLY)
    owner = fcntl.ioctl(fd, _NS_GET_USERNS)
    try:
        return os.fstat(owner).st_ino
    finally:
        os.close(owner)
        os.close(fd)


def _can_listen_and_connect() -> bool:
    with socket.socket() as server, socket.socket() as client:
        server.settimeout(_WHOLE_DEADLINE)
        client.settimeout(_WHOLE_DEADLINE)
        try:
            server.bind(("127.0.0.1", 0))
            server.listen()
            client.connect(server.getsockname())
        except OSError:
            return False
        return True
