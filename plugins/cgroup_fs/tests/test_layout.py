"""Where groups are, for every kind of machine, from mountinfo alone."""

from __future__ import annotations

import pytest

from engine.errors import InvalidInput
from engine.linux.cgroups import Hierarchies, Hierarchy
from engine_cgroup_fs.layout import Layout, checked_parent, of_machine

V1 = {"cpu": "/c/cpu", "cpuacct": "/c/cpu", "memory": "/c/memory", "freezer": "/c/freezer"}
V2 = Layout({}, "/c", ("cpu", "memory"), "00c0ffee")


def v1_machine(v2: Hierarchy | None = None) -> Layout:
    hierarchies = Hierarchies({name: Hierarchy(mount, "/", "/") for name, mount in V1.items()}, v2)
    return of_machine(hierarchies, "00c0ffee")


def test_controllers_of_one_hierarchy_share_a_directory() -> None:
    group = v1_machine().group("abc", "")
    assert group.v1["cpu"] == group.v1["cpuacct"] == "/c/cpu/engine-00c0ffee/abc"
    assert len(group.directories) == 3


def test_the_freezer_of_v1_is_used_where_there_is_no_v2(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert "freezer" in v1_machine().v1
    mount = tmp_path_factory.mktemp("v2")
    (mount / "cgroup.controllers").write_text("hugetlb pids\n")
    hybrid = v1_machine(Hierarchy(str(mount), "/", "/"))
    assert "freezer" not in hybrid.v1
    assert hybrid.v2_controllers == ("hugetlb", "pids")
    assert (hybrid.enabled(set()), hybrid.enabled({"hugetlb", "cpu"})) == (["pids"], ["hugetlb", "pids"])
    assert [hybrid.version(name) for name in ("memory", "pids", "cpuset")] == [1, 2, 0]


def test_controllers_are_enabled_from_the_top_down_but_not_in_the_group_itself() -> None:
    group = V2.group("abc", "/web/blue")
    assert V2.above(group) == ["/c", "/c/web", "/c/web/blue", "/c/web/blue/engine-00c0ffee"]


@pytest.mark.parametrize(("parent", "path"), [("", ""), ("/", ""), ("/a", "/a"), ("/a/", "/a"), ("/a//b/.", "/a/b")])
def test_parents_are_paths_below_the_mount_point(parent: str, path: str) -> None:
    assert checked_parent(parent) == path


@pytest.mark.parametrize("parent", ["a", "machine.slice", "/a/../b", "//a", "/a b", "/a\nb", "/..", "."])
def test_parents_that_lead_elsewhere_are_refused(parent: str) -> None:
    with pytest.raises(InvalidInput):
        checked_parent(parent)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_names_are_one_component(name: str) -> None:
    with pytest.raises(InvalidInput):
        V2.path(name, "")
