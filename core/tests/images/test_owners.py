"""Owners, access control lists and file capabilities, seen from inside and from outside of a mapped container."""

from __future__ import annotations

import struct

import pytest

from engine.contracts.common import IdMap, IdMapping
from engine.errors import InvalidInput
from engine.images import owners

IDS = IdMap((IdMapping(0, 100000, 33), IdMapping(33, 33, 1)), (IdMapping(0, 200000, 1000),))
PAIRS = [((0, 0), (100000, 200000)), ((32, 999), (100032, 200999)), ((33, 5), (33, 200005))]
CAPABILITY, ACL = b"security.capability", b"system.posix_acl_access"


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.mark.parametrize(("within", "without"), PAIRS)
def test_an_owner_either_way(within: tuple[int, int], without: tuple[int, int]) -> None:
    assert owners.inside(IDS, *without) == within
    assert owners.outside(IDS, *within) == without


def test_an_id_that_has_no_mapping() -> None:
    assert owners.inside(IDS, 0, 200000) == (65534, 0)
    assert owners.inside(IDS, 100033, 201000) == (65534, 65534)
    with pytest.raises(InvalidInput, match="user 34"):
        owners.outside(IDS, 34, 0)
    with pytest.raises(InvalidInput, match="group 1000"):
        owners.outside(IDS, 0, 1000)


def test_without_a_map_nothing_changes() -> None:
    assert owners.inside(None, 7, 8) == owners.outside(None, 7, 8) == (7, 8)
    for name in (CAPABILITY, ACL):
        assert owners.attribute_inside(None, name, b"x" * 24) == owners.attribute_outside(None, name, b"x" * 24)


def test_access_control_lists() -> None:
    """Entries of users and groups have ids, the others the number that stands for none."""
    none = 0xFFFFFFFF
    entries = ((1, 6, none), (2, 4, 33), (2, 4, 5), (4, 4, none), (8, 6, 5), (0x10, 6, none), (0x20, 4, none))
    within = acl(*entries)
    without = acl(*entries[:2], (2, 4, 100005), entries[3], (8, 6, 200005), *entries[5:])
    assert owners.attribute_outside(IDS, ACL, within) == without
    assert owners.attribute_inside(IDS, ACL, without) == within


def test_file_capabilities() -> None:
    """Those of the container's root are an image's own; those of a nested user namespace stay what they are."""
    plain = struct.pack("<5I", 0x02000001, 0x400, 0, 0, 0)
    rooted = struct.pack("<6I", 0x03000001, 0x400, 0, 0, 0, 100000)
    nested = struct.pack("<6I", 0x03000001, 0x400, 0, 0, 0, 100005)
    assert owners.attribute_outside(IDS, CAPABILITY, plain) == rooted
    assert owners.attribute_inside(IDS, CAPABILITY, rooted) == plain
    assert owners.attribute_inside(IDS, CAPABILITY, nested) == nested


def test_other_attributes_hold_no_ids() -> None:
    assert owners.attribute_inside(IDS, b"user.x", b"v" * 24) == b"v" * 24
    assert owners.attribute_outside(IDS, b"user.x", b"v" * 20) == b"v" * 20
