"""What `diff` leaves out: the mount points that the runtime made, and nothing of the user's."""

from __future__ import annotations

from engine.containers.reading import without_mount_points
from engine.contracts.storage import Change, ChangeKind

A, C, D = ChangeKind.ADDED, ChangeKind.CHANGED, ChangeKind.DELETED


def test_mount_points_and_what_leads_only_to_them_are_left_out() -> None:
    found = [Change(C, "/etc"), Change(A, "/etc/hosts"), Change(A, "/proc"), Change(A, "/srv"), Change(A, "/srv/data")]
    assert without_mount_points(found, {"/etc/hosts", "/proc", "/srv/data"}) == []


def test_what_the_user_changed_stays_with_the_way_to_it() -> None:
    found = [Change(C, "/etc"), Change(A, "/etc/hosts"), Change(D, "/etc/motd"), Change(C, "/usr"), Change(A, "/usr/x")]
    assert without_mount_points(found, {"/etc/hosts"}) == [
        Change(C, "/etc"),
        Change(D, "/etc/motd"),
        Change(C, "/usr"),
        Change(A, "/usr/x"),
    ]


def test_a_directory_above_a_mount_point_that_was_there_before_stays() -> None:
    assert without_mount_points([Change(C, "/etc")], {"/etc/hosts"}) == [Change(C, "/etc")]
